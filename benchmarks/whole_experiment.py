#!/usr/bin/env python3
"""A whole experiment, against a plain script that starts a process per run.

Gender, 4 languages, 2 seeds, 64 utterances in single and 128 in double and pair runs,
40 test utterances, a HuBERT of 4 layers of 128 (random weights, read from one
directory by both), batch 1, 1 epoch, constant learning rate: from prepared data to
``results.tsv`` by ``./run.sh``, and by ``benchmarks/plain_trainer.py``, which trains
i+j and j+i separately as the published framework does. Prints a table of wall times,
runs per minute and mean scores; fails if ours is not ``--required`` times as fast, or
if scores differ. transformers' Trainer needs accelerate.

    python3 -m pip install --no-deps accelerate psutil
    benchmarks/whole_experiment.py

When interrupted and started again, it keeps complete measurements and, for the plain
script, complete processes.
"""

import argparse
import csv
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random

import numpy as np
import yaml

from espnet2_cltm.bin.command_line import command
from espnet2_cltm.corpus.utterance_list import ListedUtterance, read_utterance_list
from espnet2_cltm.errors import UserError
from espnet2_cltm.experiment.drawn import training_utterances
from espnet2_cltm.experiment.layout import ExperimentDir
from espnet2_cltm.experiment.plan import Run
from espnet2_cltm.experiment.settings import read_settings
from espnet2_cltm.files import write_text
from espnet2_cltm.progress import progress
from espnet2_cltm.results_format import KINDS

ROOT = Path(__file__).resolve().parents[1]
CONF = ROOT / "benchmarks" / "conf"
TRAIN_CONFIG = CONF / "train_gender_whole_experiment.yaml"
LANGUAGES = ("cmn", "es", "sw", "tr")
BUDGET = 32


def get_parser() -> argparse.ArgumentParser:
    """Return the parser of the options."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workdir", type=Path, default=Path("exp/whole_experiment"))
    parser.add_argument("--seeds", default="42 43")
    parser.add_argument("--nj", type=int, default=2, help="--nj of run.sh")
    parser.add_argument(
        "--plain_nj",
        type=int,
        default=2,
        help="number of the plain script's processes at a time, which share the cores",
    )
    parser.add_argument(
        "--kernel_cache",
        type=int,
        help="ONEDNN_PRIMITIVE_CACHE_CAPACITY of the plain script (default: oneDNN's)",
    )
    parser.add_argument(
        "--max_plain",
        type=int,
        help="number of plain runs made of each kind, whose time is scaled to all",
    )
    parser.add_argument("--required", type=float, default=4.0, help="least ratio")
    parser.add_argument(
        "--tolerance",
        type=float,
        default=0.15,
        help="largest difference of mean scores",
    )
    return parser


@dataclass(frozen=True)
class PlainRun:
    """A run of the plain script, tested on its target only.

    Attributes:
        kind: ``single``, ``double`` or ``pair``.
        target: Language it is tested on.
        donor: The other language of a pair, otherwise the target.
        seed: Seed of subset and head.
    """

    kind: str
    target: str
    donor: str
    seed: int

    @property
    def name(self) -> str:
        """Name of its directory."""
        return f"{self.kind}.{self.target}+{self.donor}.s{self.seed}"

    @property
    def ours(self) -> Run:
        """Run of the experiment that has the same utterances."""
        languages = tuple(sorted({self.target, self.donor}))
        return Run("gender", self.kind, languages, BUDGET, self.seed)


@dataclass(frozen=True)
class Measured:
    """One side of the comparison.

    Attributes:
        spent: Time that it took.
        trainings: Number of models trained.
        scores: Mean macro F1 by kind.
    """

    spent: "Spent"
    trainings: int
    scores: Mapping[str, float]


@dataclass(frozen=True)
class Spent:
    """Time, also as JSON in a file.

    Attributes:
        wall: Seconds of wall time.
        cpu: CPU seconds of all processes, less affected by other work on the machine.
    """

    wall: float
    cpu: float

    def __add__(self, other: "Spent") -> "Spent":
        return Spent(self.wall + other.wall, self.cpu + other.cpu)

    def times(self, factor: float) -> "Spent":
        """Return the time scaled by a factor."""
        return Spent(self.wall * factor, self.cpu * factor)

    @staticmethod
    def read(path: Path) -> "Spent":
        """Read what :meth:`write` wrote; return zeros where there is no file."""
        return Spent(**json.loads(path.read_text())) if path.exists() else Spent(0, 0)

    def write(self, path: Path) -> None:
        """Write the time as JSON."""
        write_text(path, json.dumps(asdict(self)) + "\n")


def call(command: Sequence[str], log: Path, environment: Mapping[str, str]) -> Spent:
    """Run a command with its output in a log, and return the time it took.

    Raises:
        UserError: It failed.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    with log.open("w", encoding="utf-8") as output:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env={**os.environ, **environment},
        )
        # Times of the process and of those that it started and waited for.
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise UserError(
            f"{command[0]} failed with status {process.returncode}: see {log}."
        )
    return Spent(time.monotonic() - started, usage.ru_utime + usage.ru_stime)


def recipe(workdir: Path, *options: str) -> list[str]:
    """Return the call of run.sh."""
    return [
        str(ROOT / "run.sh"),
        *("--task", "gender", "--langs", " ".join(LANGUAGES)),
        *("--demo_config", str(CONF / "demo_whole_experiment.yaml")),
        *("--corpus_dir", str(workdir / "corpus"), "--datadir", str(workdir / "data")),
        *("--dumpdir", str(workdir / "dump"), "--expdir", str(workdir)),
        *options,
    ]


def write_encoder(directory: Path) -> None:
    """Write the encoder's random weights as a checkpoint that both sides read."""
    from transformers import Wav2Vec2FeatureExtractor

    from espnet2_cltm.frontend.checkpoint import load_hubert

    temporary = directory.with_suffix(".tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    checkpoint = load_hubert(str(CONF / "hubert_4x128.yaml"))
    checkpoint.model.save_pretrained(temporary)
    Wav2Vec2FeatureExtractor(
        do_normalize=checkpoint.normalize_waveform, return_attention_mask=False
    ).save_pretrained(temporary)
    temporary.rename(directory)


def measure_ours(args: argparse.Namespace, encoder: Path) -> Measured:
    """Make the experiment with run.sh, stages 3 to 5."""
    workdir = args.workdir
    directory = ExperimentDir(workdir / "ours")
    record = directory.root / "spent.json"
    if not record.exists():
        shutil.rmtree(directory.root, ignore_errors=True)
        command = recipe(
            workdir,
            *("--stage", "3", "--stop_stage", "5", "--nj", str(args.nj)),
            *("--gender_config", str(TRAIN_CONFIG), "--model", str(encoder)),
            *("--budget", str(BUDGET), "--seeds", args.seeds, "--tag", "ours"),
            # The plain script tests a run on its target alone.
            *("--zero_shot", "false"),
        )
        call(command, workdir / "ours.log", {}).write(record)
    with directory.results.open(encoding="utf-8", newline="") as file:
        rows = [
            row
            for row in csv.DictReader(file, delimiter="\t")
            if row["metric"] == "macro_f1"
        ]
    return Measured(
        spent=Spent.read(record),
        trainings=len({row["run"] for row in rows}),
        scores=mean_by_kind((row["kind"], float(row["value"])) for row in rows),
    )


def plain_runs(seeds: str) -> list[PlainRun]:
    """Return singles, doubles and ordered pairs of every seed, kinds in turn."""
    runs = []
    for seed in map(int, seeds.split()):
        for target in LANGUAGES:
            runs += [PlainRun(kind, target, target, seed) for kind in KINDS[:2]]
            runs += [
                PlainRun("pair", target, donor, seed)
                for donor in LANGUAGES
                if donor != target
            ]
    return runs


def write_list(path: Path, utterances: Iterable[ListedUtterance]) -> None:
    """Write what plain_trainer.py reads."""
    write_text(path, "".join(f"{u.audio}\t{u.label}\n" for u in utterances))


def measure_plain(args: argparse.Namespace, encoder: Path) -> Measured:
    """Start plain_trainer.py for every run, ``--plain_nj`` at a time."""
    directory = ExperimentDir(args.workdir / "ours")
    settings = read_settings(directory.settings)
    root = args.workdir / "plain"
    planned = plain_runs(args.seeds)
    runs = planned
    if args.max_plain:
        groups = [[r for r in planned if r.kind == kind] for kind in KINDS]
        runs = [
            run
            for group in groups
            for run in group[:: max(len(group) // args.max_plain, 1)][: args.max_plain]
        ]
    for run in runs:
        train = training_utterances(directory, settings, run.ours)
        # Trainer shuffles equal numbers of utterances alike in all runs of a seed.
        Random(run.name).shuffle(train)
        write_list(root / run.name / "train.tsv", train)
        test = directory.utterance_list("gender", run.target, "test")
        write_list(root / run.name / "test.tsv", read_utterance_list(test))
    learning_rate = yaml.safe_load(TRAIN_CONFIG.read_text())["optim_conf"]["lr"]
    threads = max(len(os.sched_getaffinity(0)) // args.plain_nj, 1)
    environment = {
        "OMP_NUM_THREADS": str(threads),
        "MKL_NUM_THREADS": str(threads),
        # path.sh enlarges oneDNN's cache of kernels; a plain script would not.
        "ONEDNN_PRIMITIVE_CACHE_CAPACITY": str(args.kernel_cache or 1024),
    }

    def make(run: PlainRun) -> Spent:
        out = root / run.name
        command = [
            *(sys.executable, str(ROOT / "benchmarks" / "plain_trainer.py")),
            *("--model", str(encoder), "--output_dir", str(out)),
            *("--train", str(out / "train.tsv"), "--test", str(out / "test.tsv")),
            *("--seed", str(run.seed), "--learning_rate", str(learning_rate)),
        ]
        spent = call(command, out / "log.txt", environment)
        spent.write(out / "spent.json")
        return spent

    record = root / "spent.json"
    before = Spent.read(record)
    left = [run for run in runs if not (root / run.name / "spent.json").exists()]
    started = time.monotonic()
    cpu = 0.0
    with ThreadPoolExecutor(args.plain_nj) as pool:
        made = [pool.submit(make, run) for run in left]
        try:
            for future in progress(
                as_completed(made),
                description="Plain script",
                total=len(runs),
                initial=len(runs) - len(left),
                unit="run",
            ):
                cpu += future.result().cpu
                (before + Spent(time.monotonic() - started, cpu)).write(record)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    # Where only some were made, the others of their kind count as taking as long.
    of_run = {run: Spent.read(root / run.name / "spent.json").wall for run in runs}
    of_kind = {
        kind: np.mean([wall for run, wall in of_run.items() if run.kind == kind])
        for kind in KINDS
    }
    factor = sum(of_kind[run.kind] for run in planned) / sum(of_run.values())
    scores = {
        run: json.loads((root / run.name / "score.json").read_text())["macro_f1"]
        for run in runs
    }
    return Measured(
        spent=Spent.read(record).times(float(factor)),
        trainings=len(planned),
        scores=mean_by_kind((run.kind, score) for run, score in scores.items()),
    )


def mean_by_kind(scores: Iterable[tuple[str, float]]) -> dict[str, float]:
    """Return mean scores over the runs and test languages of each kind."""
    by_kind: dict[str, list[float]] = {kind: [] for kind in KINDS}
    for kind, score in scores:
        by_kind[kind].append(score)
    return {kind: float(np.mean(values)) for kind, values in by_kind.items()}


def compare(args: argparse.Namespace) -> None:
    """Prepare, make the experiment both ways, and print the table.

    Raises:
        UserError: Something fails, the ratio is too small, or the scores differ.
    """
    try:
        import accelerate  # noqa: F401 (transformers' Trainer asks for it late)
    except ImportError as error:
        raise UserError(
            "benchmarks/plain_trainer.py needs accelerate, which transformers' Trainer "
            "uses: python3 -m pip install --no-deps accelerate psutil."
        ) from error
    args.workdir = args.workdir.resolve()
    prepared = recipe(args.workdir, "--stage", "1", "--stop_stage", "2")
    call(prepared, args.workdir / "prepare.log", {})
    encoder = args.workdir / "encoder"
    if not encoder.exists():
        write_encoder(encoder)
    sides = {
        "run.sh, stages 3 to 5": measure_ours(args, encoder),
        "plain script": measure_plain(args, encoder),
    }
    print("| | seconds | of CPU | trainings | a minute | F1 single | double | pair |")
    print("|---|---|---|---|---|---|---|---|")
    for name, side in sides.items():
        times = f"{side.spent.wall:.0f} | {side.spent.cpu:.0f} | {side.trainings}"
        rate = 60 * side.trainings / side.spent.wall
        scores = " | ".join(f"{side.scores[kind]:.3f}" for kind in KINDS)
        print(f"| {name} | {times} | {rate:.1f} | {scores} |")
    ours, plain = sides.values()
    ratio = plain.spent.wall / ours.spent.wall
    print(f"ratio: {ratio:.2f}; of CPU time: {plain.spent.cpu / ours.spent.cpu:.2f}")
    if ratio < args.required:
        raise UserError(f"run.sh is {ratio:.2f} times as fast, not {args.required}.")
    mean_ours, mean_plain = (
        sum(side.scores.values()) / len(KINDS) for side in (ours, plain)
    )
    if abs(mean_ours - mean_plain) > args.tolerance:
        raise UserError(
            f"The mean scores, {mean_ours:.3f} and {mean_plain:.3f}, differ by more "
            f"than {args.tolerance}: the two sides do not do the same."
        )


main = command(get_parser, compare)

if __name__ == "__main__":
    main()
