#!/usr/bin/env python3
"""Stage 3: draw training subsets and write the plan of all runs.

With --regime_budgets the runs are those of learning curves: single runs at every N,
each tested on its own language.

With --dry_run true nothing is written: the runs, the hours of audio, and an estimate of
time and disk from a few small runs are printed.
"""

import argparse
import logging
import os
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import humanfriendly

from espnet2_cltm.bin.command_line import Parser, command
from espnet2_cltm.corpus.audio import SAMPLE_BYTES
from espnet2_cltm.corpus.datadir import SPLITS
from espnet2_cltm.corpus.language import languages_below
from espnet2_cltm.counting import counted
from espnet2_cltm.experiment.adaptive import ChooseRuns
from espnet2_cltm.experiment.drawn import Planned, check_same_data
from espnet2_cltm.experiment.encoder import check_layers
from espnet2_cltm.experiment.estimate import Workers, estimate_cost
from espnet2_cltm.experiment.layout import ExperimentDir
from espnet2_cltm.experiment.pair_selection import Pair
from espnet2_cltm.experiment.plan import PlannedRun
from espnet2_cltm.experiment.planning import make_plan
from espnet2_cltm.experiment.recipe import settings_from
from espnet2_cltm.experiment.recipe_options import recipe_options
from espnet2_cltm.experiment.run_options import number_of_workers
from espnet2_cltm.experiment.settings import Settings, check_unchanged, read_settings
from espnet2_cltm.experiment.slurm_settings import read_slurm_settings
from espnet2_cltm.experiment.states import runs_left
from espnet2_cltm.experiment.strategies import strategies_of
from espnet2_cltm.experiment.writing import is_begun, log_notes, write_experiment
from espnet2_cltm.files import write_text
from espnet2_cltm.matrix.pool_choice import choose_pools, rankings_for
from espnet2_cltm.matrix.results import Choice
from espnet2_cltm.matrix.rounds import next_round
from espnet2_cltm.options import add_options, quoted
from espnet2_cltm.pools import ChosenPool
from espnet2_cltm.results_format import RUN_KINDS


def get_parser() -> argparse.ArgumentParser:
    """Return the options: those of run.sh that stage 3 uses."""
    parser = Parser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_path("exp", "exp/<tag>")
    parser.add_argument(
        "--command",
        default="",
        help="command that makes the experiment, for its report",
    )
    add_options(parser, (o for o in recipe_options().values() if 3 in o.stages))
    return parser


def choose_languages(settings: Settings, langs: Sequence[str]) -> list[str]:
    """Return the languages asked for, or all those in the audio store.

    Raises:
        UserError: The store does not hold one of them.
    """
    store = Path(settings.dumpdir) / settings.corpus
    known = languages_below(
        *(store, langs, lambda p: all((p / s / "wav.scp").exists() for s in SPLITS)),
        *("decoded audio", "run stages 1 and 2 first"),
    )
    for path in () if langs else sorted(store.iterdir()):
        if path.is_dir() and path.name not in known:
            logging.warning("%s is left out: stage 2 has not finished it", path.name)
    return list(known)


def describe(planned: Planned) -> str:
    """Return the numbers of a plan's runs and its hours of audio, as text."""
    lines = []
    for task in sorted({p.run.task for p in planned.runs}):
        runs = [p for p in planned.runs if p.run.task == task]
        counts = Counter(p.run.kind for p in runs)
        kinds = ", ".join(f"{counts[k]} {k}" for k in RUN_KINDS if counts[k])
        languages = sorted({lang for p in runs for lang in p.run.languages})
        seeds = sorted({p.run.seed for p in runs})
        strategies = list(dict.fromkeys(s for p in runs for s in p.strategies))
        budgets = sorted({p.run.budget for p in runs})
        if len(budgets) > 1 and counts["single"] == len(runs):
            kinds = f"single, N = {' '.join(map(str, budgets))}"
        lines.append(
            f"{task}: {len(runs)} runs ({kinds}), {len(languages)} languages "
            f"({' '.join(languages)}), {counted(len(seeds), 'seed')}"
            + (
                f", {len(strategies)} strategies ({' '.join(strategies)})"
                if len(strategies) > 1
                else ""
            )
        )
        lines += _describe_pairs(task, runs, languages)
        train = sum(p.train_seconds for p in runs) / 3600
        test = sum(p.test_seconds for p in runs) / 3600
        lines.append(
            f"{task}: {train:.2f} hours of audio to train on in each epoch, "
            f"{test:.2f} hours to predict"
        )
    return "\n".join([*lines, _describe_audio(planned)])


def _describe_audio(planned: Planned) -> str:
    """Return how much of the audio store the runs use, as text."""
    lengths = {
        u.audio: u.num_samples
        for drawn in planned.drawn.values()
        for utterances in (
            *drawn.train.values(),
            *(drawn.dev.utterances, drawn.test.utterances),
        )
        for u in utterances
    }
    size = humanfriendly.format_size(SAMPLE_BYTES * sum(lengths.values()))
    return f"{len(lengths)} utterances are used, {size} of decoded audio"


def _describe_pairs(
    task: str, runs: Sequence[PlannedRun], languages: Sequence[str]
) -> list[str]:
    """Return how many pairs are measured, where some are not."""
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


def next_rounds(
    directory: ExperimentDir, settings: Settings, distances: str
) -> ChooseRuns:
    """Return the function that chooses the rounds of an adaptive design."""

    def choose(
        task: str, pairs: Sequence[Pair], made: Mapping[Pair, int], most_seeds: int
    ) -> dict[Pair, int]:
        return next_round(
            directory.results,
            Choice(task, budget=settings.budget[task]),
            pairs,
            made,
            most_seeds,
            settings.certainty,
            settings.pairs_fraction,
            distances or None,
        )

    return choose


def workers_of(args: argparse.Namespace) -> Workers:
    """Return how many workers the options ask for, and on which devices.

    Raises:
        UserError: The configuration of Slurm is wrong.
    """
    kept = (args.audio_cache, args.keep_models, args.layers)
    if args.executor == "local":
        nj = number_of_workers(args.nj, args.ngpu, args.jobs_per_gpu)
        of_cpu = min(nj, len(os.sched_getaffinity(0)))
        together = -(-nj // args.ngpu) if args.ngpu else of_cpu
        return Workers(nj, together, min(args.ngpu, 1), *kept)
    slurm = read_slurm_settings(args.slurm_config)
    return Workers(slurm.jobs * slurm.workers, slurm.workers, slurm.gpus, *kept)


def run(args: argparse.Namespace) -> None:
    """Make the plan, and write it or print what it would cost."""
    directory = ExperimentDir(args.exp)
    settings = settings_from(vars(args))
    if args.layers:
        check_layers(settings.train_config)
    begun, is_known = is_begun(directory), False
    if begun and directory.settings.exists():
        # But for the options, which the data complete: before anything is drawn.
        before = read_settings(directory.settings)
        asked = replace(settings, options=before.options)
        check_unchanged(directory.settings, asked)
        is_known = asked == before
    languages = choose_languages(settings, args.langs)
    if not is_known:
        # Here, for its imports take seconds, and options are refused before.
        from espnet2_cltm.experiment.run_config import build_once

        highest = max(args.seeds, default=0)
        for task in settings.tasks:
            for strategy in strategies_of(settings, task):
                build_once(settings, task, highest, strategy.name, strategy.is_own)

    def choose(task: str, fit: list[str]) -> list[ChosenPool]:
        assert settings.pools is not None
        choice = Choice(task, budget=settings.budget[task])
        rankings = rankings_for(directory.results, choice, fit, args.distances or None)
        return choose_pools(settings.pools, fit, args.seeds, rankings)

    planned = make_plan(
        *(settings, languages, args.seeds, directory, choose),
        next_rounds(directory, settings, args.distances),
    )
    if begun:
        check_unchanged(directory.settings, planned.settings)
    log_notes(planned)
    print(describe(planned))
    if begun:
        check_same_data(directory, planned)
    if args.dry_run:
        left = runs_left(directory, planned.runs)
        print(f"{len(planned.runs) - len(left)} of these runs are done already")
        print(estimate_cost(planned, left, workers_of(args)))
        print("Nothing was written (--dry_run true).", file=sys.stderr)
        return
    write_experiment(directory, planned)
    if args.command:
        # The languages are part of it, also where they are all that were there.
        langs = "" if args.langs else f" --langs {quoted(' '.join(languages))}"
        write_text(directory.command, f"{args.command}{langs}\n")
    print(f"{directory.plan}: {len(planned.runs)} runs")


main = command(get_parser, run, "INFO")

if __name__ == "__main__":
    main()
