#!/usr/bin/env python3
"""Cost of an experiment of many runs besides its trainings.

Plans the published gender experiment at full size (54 languages), lets the runner and
its workers make every run with a stub in place of training and prediction, collects the
results and builds the matrix. Prints milliseconds per run of planning, making (claims,
progress, writing ``metrics.json``), starting again when all is done, and collecting,
and the peak memory of the largest process; then what stage 6 takes and leaves.

    benchmarks/many_runs.py --seeds 11
    benchmarks/many_runs.py --languages 200 --seeds 10 --skip_runs
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from espnet2_cltm.bin.command_line import run_command
from espnet2_cltm.corpus.datadir import SPLITS, Utterance, write_data_dir
from espnet2_cltm.errors import UserError
from espnet2_cltm.experiment.executors import LocalExecutor
from espnet2_cltm.experiment.layout import ExperimentDir
from espnet2_cltm.experiment.plan import PlannedRun, read_plan
from espnet2_cltm.experiment.planning import make_plan
from espnet2_cltm.experiment.results import Result, collect_results, write_results
from espnet2_cltm.experiment.runner import make_all_runs
from espnet2_cltm.experiment.settings import Settings
from espnet2_cltm.experiment.writing import write_experiment
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
        "--skip_runs",
        action="store_true",
        help="write the results without making the runs, to measure stages 3 and 6",
    )
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


def stub_scores(planned: PlannedRun, tested: str) -> dict[str, float]:
    """Return scores that differ by target, donor, pair and seed, as real ones do."""

    def chance(*of: str) -> float:
        return zlib.crc32(" ".join(of).encode()) / 2**32

    run = planned.run
    perf = 0.55 + 0.15 * chance(tested)
    if tested in run.languages:
        donor = "".join(lang for lang in run.languages if lang != tested)
        worth = 0.6 * chance(donor) + 0.6 * chance(tested, donor) - 0.1
        share = {"single": 0.0, "double": 1.0}.get(run.kind, worth)
        perf += 0.05 + 0.1 * chance(tested, "gain") * share
    perf += 0.05 * (chance(run.name, tested) - 0.5)
    found = {"accuracy": 0.01, "macro_f1": 0.0, "recall_f": 0.02, "recall_m": -0.02}
    return {name: round(perf + more, 6) for name, more in found.items()}


def stub_results(plan: Iterable[PlannedRun]) -> Iterator[Result]:
    """Yield the results that stage 5 would collect."""
    for planned in plan:
        for lang in planned.test_languages:
            for metric, value in stub_scores(planned, lang).items():
                yield Result(planned, lang, metric, value, 200)


def make_nothing(
    directory: ExperimentDir, settings: Settings, planned: PlannedRun, ngpu: int
) -> None:
    """Write the ``metrics.json`` of a run without training."""
    test = {
        name: {**stub_scores(planned, name), "n_test": 200}
        for name in planned.test_languages
    }
    done = {"run": planned.run.name, "utterances": planned.utterances, "test": test}
    write_text(
        directory.metrics(planned.run.name), json.dumps({**done, "train_seconds": 1.0})
    )


def build_matrix(results: Path, outdir: Path) -> list[str]:
    """Run stage 6, and say what it takes and leaves."""
    command = [sys.executable, "-m", "espnet2_cltm.bin.build_matrix"]
    command += ["--results", str(results), "--task", "gender", "--outdir", str(outdir)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    if status:
        raise UserError("stage 6 failed: see the messages above.")
    seconds, mib = used.ru_utime + used.ru_stime, used.ru_maxrss / 1024
    sizes = {x.name: x.stat().st_size for x in (results, *sorted(outdir.iterdir()))}
    return [
        f"stage 6: {seconds:.1f} s of processor time, peak memory {mib:.0f} MiB",
        *(f"{size / 1e6:9.1f} MB  {name}" for name, size in sizes.items()),
    ]


def measure(args: argparse.Namespace) -> None:
    """Run the stages and print the table.

    Raises:
        UserError: A bar is missed.
    """
    seconds: dict[str, tuple[float, float]] = {}

    def timed(name: str, stage: Callable[[], object]) -> None:
        """Take the time by the clock and of CPU, workers' included."""
        started, before = time.monotonic(), sum(os.times()[:4])
        stage()
        seconds[name] = time.monotonic() - started, sum(os.times()[:4]) - before

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
        before = after = resource.getrusage(resource.RUSAGE_SELF)
        plan = read_plan(directory.plan)
        if args.skip_runs:
            write_results(directory.results, stub_results(plan))
        else:
            timed("making", lambda: make_all_runs(directory, executor))
            after = resource.getrusage(resource.RUSAGE_SELF)
            timed("starting again", lambda: make_all_runs(directory, executor))
            timed(
                "collecting",
                lambda: write_results(
                    directory.results, collect_results(directory, plan)
                ),
            )
        memory = {
            "runner": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
            "worker": resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024,
        }
        stage_6 = build_matrix(directory.results, Path(temporary) / "cltm")
    n = len(plan)
    print(f"{n} runs of {args.languages} languages, {args.nj} workers")
    clock, cpu = map(sum, zip(*seconds.values(), strict=True))
    total = 1000 * clock / n
    for name, times in (*seconds.items(), ("together", (clock, cpu))):
        value, each, of_each = times[0], *(1000 * x / n for x in times)
        print(f"{name:15} {value:7.1f} s  {each:6.2f} ms a run, of CPU {of_each:6.2f}")
    own = (after.ru_utime + after.ru_stime) - (before.ru_utime + before.ru_stime)
    print(f"of making, the runner's own processor time: {own:.1f} s")
    for name, mib in memory.items():
        print(f"peak memory, {name}: {mib:.0f} MiB")
    print("\n".join(stage_6))
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
