#!/usr/bin/env python3
"""Stage 3: draw training subsets and write the plan of all runs.

With --regime_budgets the runs are those of learning curves: single runs at every N,
each tested on its own language.

With --dry_run true nothing is written: the runs, the hours of audio and an estimate
of time and disk are printed, from a few small runs made for that purpose.
"""

import argparse
import logging
import math
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from espnet2_cltm.bin.command_line import (
    configure_logging,
    positive_number,
    run_command,
    true_or_false,
    whole_number,
)
from espnet2_cltm.corpus.datadir import SPLITS
from espnet2_cltm.errors import UserError
from espnet2_cltm.experiment.estimate import Workers, estimate_cost
from espnet2_cltm.experiment.keep_choices import KEEP_CHOICES
from espnet2_cltm.experiment.layout import ExperimentDir
from espnet2_cltm.experiment.learning_curves import parse_grid
from espnet2_cltm.experiment.plan import PlannedRun
from espnet2_cltm.experiment.planning import (
    Planned,
    check_same_data,
    log_notes,
    make_plan,
    write_experiment,
)
from espnet2_cltm.experiment.settings import Settings, check_unchanged
from espnet2_cltm.experiment.slurm_settings import read_slurm_settings
from espnet2_cltm.experiment.states import runs_left
from espnet2_cltm.experiment.task_registry import TASKS
from espnet2_cltm.experiment.train_config_reading import read_train_configs


def get_parser() -> argparse.ArgumentParser:
    """Give the options."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--exp", type=Path, required=True, help="exp/<tag>")
    parser.add_argument(
        "--task", default=" ".join(TASKS), help="Tasks, separated by spaces"
    )
    parser.add_argument("--corpus", required=True)
    parser.add_argument("--dumpdir", default="dump")
    parser.add_argument(
        "--langs", default="", help="Language codes; default: all in the store"
    )
    parser.add_argument("--seeds", required=True, help="Numbers separated by spaces")
    parser.add_argument(
        "--model",
        default="",
        help="Hub id, directory or YAML file; default: the configuration's",
    )
    parser.add_argument(
        "--freeze",
        default="",
        help="Of the encoder: none, cnn, all or the number of lowest transformer "
        "layers, computed once for each utterance; default: the configuration's",
    )
    for task in TASKS:
        parser.add_argument(
            f"--{task}_budget",
            type=positive_number,
            help=f"N of {task}, utterances (gender: per class)",
        )
        parser.add_argument(
            f"--{task}_config",
            type=Path,
            default=Path("conf") / f"train_{task}.yaml",
            help=f"Training configuration of {task}",
        )
    parser.add_argument(
        "--shared_speakers",
        type=true_or_false,
        default=False,
        help="A speaker's name, but for <lang>-, is one person in all languages",
    )
    parser.add_argument(
        "--utts_per_speaker",
        type=positive_number,
        default=1,
        help="speaker: utterances that a speaker gives before the next one's turn",
    )
    parser.add_argument(
        "--max_positives",
        type=positive_number,
        default=200,
        help="speaker: most target trials of a speaker",
    )
    parser.add_argument(
        "--trials_seed", type=whole_number, default=0, help="speaker: draws the trials"
    )
    parser.add_argument(
        "--cross_language_trials",
        type=true_or_false,
        default=False,
        help="speaker: test bilingual speakers across languages",
    )
    parser.add_argument("--zero_shot", type=true_or_false, default=True)
    parser.add_argument(
        "--pairs_fraction",
        type=share,
        default=1.0,
        help="Share of the pairs of languages to measure, balanced over languages",
    )
    parser.add_argument(
        "--pairs_seed", type=whole_number, default=0, help="Draws which pairs"
    )
    parser.add_argument(
        "--regime_budgets",
        default="",
        help="Every N of learning curves, such as '4 8 16 32', in place of a matrix",
    )
    parser.add_argument("--test_batch_bins", type=positive_number, default=480_000)
    parser.add_argument("--dry_run", type=true_or_false, default=False)
    group = parser.add_argument_group("For the estimate of --dry_run, as in stage 4")
    group.add_argument("--executor", choices=("local", "slurm"), default="local")
    group.add_argument("--slurm_config", type=Path, default=Path("conf/slurm.yaml"))
    group.add_argument("--nj", type=positive_number, default=1)
    group.add_argument("--ngpu", type=whole_number, default=0)
    group.add_argument("--audio_cache", type=whole_number, default=500)
    group.add_argument("--keep_models", choices=KEEP_CHOICES, default="none")
    return parser


def share(text: str) -> float:
    """Read a share above 0 and at most 1; an option type for argparse."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value <= 1:
        raise argparse.ArgumentTypeError(
            f"takes a share above 0 and at most 1, such as 0.2, not '{text}'"
        )
    return value


def read_settings_from(args: argparse.Namespace) -> Settings:
    """Turn the options into the experiment's settings.

    Raises:
        UserError: A task is unknown or a number is out of range.
    """
    tasks = args.task.split()
    for task in tasks:
        if task not in TASKS:
            raise UserError(
                f"The task {task!r} is unknown: give --task one or more of "
                f"{', '.join(TASKS)}."
            )
    if not tasks:
        raise UserError(f"--task is empty: give one or more of {', '.join(TASKS)}.")
    grid = parse_grid(args.regime_budgets)
    budget = {}
    if not grid:
        budget = {task: getattr(args, f"{task}_budget") for task in tasks}
    for task in (task for task in budget if budget[task] is None):
        raise UserError(
            f"--{task}_budget is missing: give N, the number of utterances."
        )
    if args.cross_language_trials and not args.shared_speakers:
        raise UserError(
            "--cross_language_trials takes speakers of one name for one person: give "
            "--shared_speakers true as well, if they are."
        )
    return Settings(
        corpus=args.corpus,
        dumpdir=args.dumpdir,
        budget=budget,
        shared_speakers=args.shared_speakers,
        utts_per_speaker=args.utts_per_speaker,
        max_positives=args.max_positives,
        trials_seed=args.trials_seed,
        cross_language_trials=args.cross_language_trials,
        zero_shot=args.zero_shot and not grid,
        test_batch_bins=args.test_batch_bins,
        train_config=read_train_configs(
            {task: getattr(args, f"{task}_config") for task in tasks},
            args.model or None,
            args.freeze or None,
        ),
        pairs_fraction=args.pairs_fraction,
        pairs_seed=args.pairs_seed,
        regime_budgets=grid,
    )


def choose_languages(settings: Settings, langs: str) -> list[str]:
    """Give the languages asked for, or all of the audio store.

    Raises:
        UserError: The store does not hold one of them.
    """
    store = Path(settings.dumpdir) / settings.corpus
    found = sorted(p for p in store.iterdir() if p.is_dir()) if store.is_dir() else []
    known = [
        p.name
        for p in found
        if all((p / split / "wav.scp").exists() for split in SPLITS)
    ]
    if not known:
        raise UserError(f"{store} holds no language: run stages 1 and 2 first.")
    for lang in {p.name for p in found} - set(known) if not langs else ():
        logging.warning("%s is left out: stage 2 has not finished it", lang)
    asked = langs.split() or known
    for lang in asked:
        if lang not in known:
            raise UserError(
                f"The language {lang} is not in {store}: run stages 1 and 2 for it, or "
                f"give --langs some of {' '.join(known)}."
            )
    return asked


def parse_seeds(seeds: str) -> list[int]:
    """Read the numbers of ``--seeds``.

    Raises:
        UserError: One is not a whole number from 0 on.
    """
    for seed in seeds.split():
        if not seed.isdecimal():
            raise UserError(
                f"--seeds holds {seed!r}: give whole numbers, such as '42 43 44'."
            )
    return sorted({int(seed) for seed in seeds.split()})


def describe(planned: Planned) -> str:
    """Count a plan's runs by task and kind, and its audio."""
    lines = []
    for task in sorted({p.run.task for p in planned.runs}):
        runs = [p for p in planned.runs if p.run.task == task]
        kinds = ", ".join(
            f"{sum(p.run.kind == kind for p in runs)} {kind}"
            for kind in ("single", "double", "pair")
        )
        languages = sorted({lang for p in runs for lang in p.run.languages})
        seeds = sorted({p.run.seed for p in runs})
        budgets = sorted({p.run.budget for p in runs})
        if len(budgets) > 1:
            kinds = f"single, N = {' '.join(map(str, budgets))}"
        lines.append(
            f"{task}: {len(runs)} runs ({kinds}), {len(languages)} languages "
            f"({' '.join(languages)}), {len(seeds)} seeds"
        )
        lines += _describe_pairs(task, runs, languages)
        train = sum(p.train_seconds for p in runs) / 3600
        test = sum(p.test_seconds for p in runs) / 3600
        lines.append(
            f"{task}: {train:.2f} hours of audio to train on in each epoch, "
            f"{test:.2f} hours to predict"
        )
    return "\n".join(lines)


def _describe_pairs(
    task: str, runs: Sequence[PlannedRun], languages: Sequence[str]
) -> list[str]:
    """Say how many of the pairs are measured, where not all are."""
    pairs = {p.run.languages for p in runs if p.run.kind == "pair"}
    total = len(languages) * (len(languages) - 1) // 2
    if not pairs or len(pairs) == total:
        return []
    counts = [sum(lang in pair for pair in pairs) for lang in languages]
    fewest, most = min(counts), max(counts)
    each = f"{fewest}" if fewest == most else f"{fewest} to {most}"
    return [
        f"{task}: {len(pairs)} of {total} pairs of languages, every language in {each}"
    ]


def workers_of(args: argparse.Namespace) -> Workers:
    """Say who will make the runs.

    Raises:
        UserError: The configuration of Slurm is wrong.
    """
    kept = (args.audio_cache, args.keep_models)
    if args.executor == "local":
        of_cpu = min(args.nj, len(os.sched_getaffinity(0)))
        together = -(-args.nj // args.ngpu) if args.ngpu else of_cpu
        return Workers(args.nj, together, min(args.ngpu, 1), *kept)
    slurm = read_slurm_settings(args.slurm_config)
    return Workers(slurm.jobs * slurm.workers, slurm.workers, slurm.gpus, *kept)


def run(args: argparse.Namespace) -> None:
    """Make the plan, and write it or print what it would cost."""
    settings = read_settings_from(args)
    directory = ExperimentDir(args.exp)
    check_unchanged(directory.settings, settings)
    languages = choose_languages(settings, args.langs)
    planned = make_plan(settings, languages, parse_seeds(args.seeds), directory)
    log_notes(planned)
    print(describe(planned))
    check_same_data(directory, planned)
    if args.dry_run:
        left = runs_left(directory, planned.runs)
        print(f"{len(planned.runs) - len(left)} of these runs are done already")
        print(estimate_cost(settings, planned, left, workers_of(args)))
        print("Nothing was written (--dry_run true).", file=sys.stderr)
        return
    write_experiment(directory, settings, planned)
    print(f"{directory.plan}: {len(planned.runs)} runs")


def main(cmd: Sequence[str] | None = None) -> None:
    """Plan an experiment."""
    args = get_parser().parse_args(cmd)
    configure_logging()
    run_command(lambda: run(args))


if __name__ == "__main__":
    main()
