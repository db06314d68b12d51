#!/usr/bin/env python3
"""Score speaker verification: EER, min DCF and AUC of a trial list's scores."""

import math
from pathlib import Path

from espnet2_cltm.bin.command_line import command, parser_of
from espnet2_cltm.speaker.metrics import P_TARGETS, fewest_nontargets, score_trials
from espnet2_cltm.speaker.trials import read_scores, read_trials

get_parser = parser_of(
    __doc__,
    trials="Kaldi trial list with lines of '<enrol> <test> target|nontarget'",
    scores="lines of '<enrol> <test> <score>', higher for one speaker, in any order",
)


def speaker_score(trials_path: Path, scores_path: Path) -> None:
    """Print the metrics of scored trials, one per line.

    Raises:
        UserError: A file cannot be read, the scores are not those of the trials, or
            there are no targets or no nontargets.
    """
    trials = read_trials(trials_path)
    scores = read_scores(scores_path, trials)
    metrics = score_trials(scores, trials.is_target).metrics
    print(f"EER {100 * metrics['eer']:.4f} % (linear between thresholds)")
    print(f"EER {100 * metrics['eer_hull']:.4f} % (convex hull of the ROC)")
    for p_target in P_TARGETS:
        cost = metrics[f"min_dcf_p{p_target:g}"]
        text = f"{cost:.6f}"
        if math.isnan(cost):
            needed = fewest_nontargets(p_target)
            text = f"not available, as it needs {needed} nontarget trials"
        print(f"min DCF (p_target {p_target:g}) {text}")
    print(f"AUC {metrics['roc_auc']:.6f}")
    n_targets = int(trials.is_target.sum())
    print(f"trials {n_targets} target, {len(trials) - n_targets} nontarget")


main = command(get_parser, lambda args: speaker_score(args.trials, args.scores))

if __name__ == "__main__":
    main()
