#!/usr/bin/env python3
"""Cost of an experiment of many runs besides its trainings.

Plans the published gender experiment at full size (54 languages), lets the runner and
its workers make every run with a stub in place of training and prediction, and collects
the results. Prints milliseconds per run of planning, making (claims, progress, writing
``metrics.json``), starting again when all is done, and collecting, and the peak memory
of the largest process.

    benchmarks/many_runs.py --seeds 11
"""

import argparse
import json
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from espnet2_cltm.bin.command_line import run_command
from espnet2_cltm.corpus.datadir import SPLITS, Utterance, write_data_dir
from espnet2_cltm.errors import UserError
from espnet2_cltm.experiment.executors import LocalExecutor
from espnet2_cltm.experiment.layout import ExperimentDir
from espnet2_cltm.experiment.plan import PlannedRun, read_plan
from espnet2_cltm.experiment.planning import make_plan, write_experiment
from espnet2_cltm.experiment.results import collect_results, write_results
from espnet2_cltm.experiment.runner import make_all_runs
from espnet2_cltm.experiment.settings import Settings
from espnet2_cltm.files import write_text
from espnet2_cltm.progress import progress

BUDGET = 60
PER_GENDER = {"train": 400, "dev": 50, "test": 100}
# Nothing is trained; each worker builds a small encoder once, as it always does.
TRAIN_CONFIG = {
    "frontend": "hubert",
    "frontend_conf": {
        "model": {
            "hidden_size": 16,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "intermediate_size": 32,
            "conv_dim": [8] * 7,
            "num_conv_pos_embeddings": 8,
            "num_conv_pos_embedding_groups": 2,
        }
    },
    "max_epoch": 1,
}


def get_parser() -> argparse.ArgumentParser:
    """Return the parser of the options."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--languages", type=int, default=54)
    parser.add_argument("--seeds", type=int, default=11)
    parser.add_argument("--nj", type=int, default=2)
    parser.add_argument(
        "--required_ms", type=float, default=5.0, help="most milliseconds per run"
    )
    parser.add_argument(
        "--required_mib",
        type=float,
        default=1024.0,
        help="most MiB of the largest process",
    )
    return parser


def write_store(root: Path, languages: list[str]) -> None:
    """Write what stage 2 leaves, except the audio, which is not read here."""
    for lang in progress(languages, description="Data", unit="lang"):
        for split in SPLITS:
            utterances = [
                Utterance(
                    utt := f"{lang}-{split}-{gender}{n:04d}",
                    utt,  # each its own speaker, as most of Common Voice
                    f"{root / lang / split}/wav.ark:{n}",
                    {"gender": gender},
                    lang,
                    5.0,
                )
                for gender in "fm"
                for n in range(PER_GENDER[split])
            ]
            write_data_dir(root / lang / split, utterances)
            write_text(
                root / lang / split / "utt2num_samples",
                "".join(f"{u.id} 80000\n" for u in utterances),
            )


def make_nothing(
    directory: ExperimentDir, settings: Settings, planned: PlannedRun, ngpu: int
) -> None:
    """Write the ``metrics.json`` of a run without training."""
    scores = {"accuracy": 0.5, "macro_f1": 0.5, "recall_f": 0.5, "recall_m": 0.5}
    test = {name: {**scores, "n_test": 200} for name in planned.test_languages}
    done = {"run": planned.run.name, "utterances": planned.utterances, "test": test}
    write_text(
        directory.metrics(planned.run.name), json.dumps({**done, "train_seconds": 1.0})
    )


def measure(args: argparse.Namespace) -> None:
    """Run the stages and print the table.

    Raises:
        UserError: A bar is missed.
    """
    seconds: dict[str, float] = {}

    def timed(name: str, stage: Callable[[], object]) -> None:
        started = time.monotonic()
        stage()
        seconds[name] = time.monotonic() - started

    with tempfile.TemporaryDirectory() as temporary:
        store = Path(temporary) / "dump"
        letters = "abcdefghijklmnopqrstuvwxyz"
        languages = [f"{x}{y}" for x in letters for y in letters][: args.languages]
        write_store(store / "demo", languages)
        directory = ExperimentDir(Path(temporary) / "exp")
        settings = Settings(
            "demo",
            str(store),
            {"gender": BUDGET},
            train_config={"gender": TRAIN_CONFIG},
        )
        executor = LocalExecutor(
            directory,
            args.nj,
            command=(sys.executable, str(Path(__file__).resolve()), "worker"),
        )
        timed(
            "planning",
            lambda: write_experiment(
                directory, make_plan(settings, languages, range(args.seeds))
            ),
        )
        before = resource.getrusage(resource.RUSAGE_SELF)
        timed("making", lambda: make_all_runs(directory, executor))
        after = resource.getrusage(resource.RUSAGE_SELF)
        timed("starting again", lambda: make_all_runs(directory, executor))
        plan = read_plan(directory.plan)
        timed(
            "collecting",
            lambda: write_results(directory.results, collect_results(directory, plan)),
        )
    n = len(plan)
    print(f"{n} runs of {args.languages} languages, {args.nj} workers")
    for name, value in seconds.items():
        print(f"{name:15} {value:7.1f} s  {1000 * value / n:6.2f} ms a run")
    total = 1000 * sum(seconds.values()) / n
    print(f"{'together':15} {sum(seconds.values()):7.1f} s  {total:6.2f} ms a run")
    own = (after.ru_utime + after.ru_stime) - (before.ru_utime + before.ru_stime)
    print(f"of making, the runner's own processor time: {own:.1f} s")
    memory = {
        "runner": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "worker": resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024,
    }
    for name, mib in memory.items():
        print(f"peak memory, {name}: {mib:.0f} MiB")
    if total > args.required_ms or max(memory.values()) > args.required_mib:
        raise UserError(
            f"A run costs {total:.2f} ms and the largest process has "
            f"{max(memory.values()):.0f} MiB; {args.required_ms} ms and "
            f"{args.required_mib:.0f} MiB are allowed."
        )


def work(cmd: list[str]) -> None:
    """Run the runner's own worker, with the stub."""
    from espnet2_cltm.bin import run_worker

    args = run_worker.get_parser().parse_args(cmd)
    run_worker.work(ExperimentDir(args.exp), parent=args.parent, make=make_nothing)


def main() -> None:
    """Run the measurement, or one of its workers."""
    if sys.argv[1:2] == ["worker"]:
        work(sys.argv[2:])
        return
    args = get_parser().parse_args()
    run_command(lambda: measure(args))


if __name__ == "__main__":
    main()
