#!/usr/bin/env python3
"""A whole experiment, and the same by a plain script that starts a process a run.

Gender, 4 languages, 2 seeds, 64 utterances in single and 128 in double and pair runs,
40 test utterances, a HuBERT of 4 layers of 128 (random weights, read from one directory
by both), batch 1, 1 epoch, constant learning rate: from prepared data to ``results.tsv``
by ``./run.sh``, and by ``benchmarks/plain_trainer.py``, which trains i+j and j+i apart
as the published framework does. Prints a table of wall times, runs a minute and mean
scores; fails where ours is not ``--required`` times as fast, or scores differ.

    python3 -m pip install --no-deps accelerate psutil   # what transformers' Trainer wants
    benchmarks/whole_experiment.py

Interrupted and started again it keeps whole measurements and, of the plain script, whole
processes.
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
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml

from espnet2_cltm.bin.command_line import positive_number, run_command
from espnet2_cltm.errors import UserError
from espnet2_cltm.experiment.layout import ExperimentDir
from espnet2_cltm.experiment.planning import training_utterances
from espnet2_cltm.experiment.run import KINDS, Run
from espnet2_cltm.experiment.utterance_list import (
    ListedUtterance,
    read_utterance_list,
)
from espnet2_cltm.files import write_text
from espnet2_cltm.progress import progress

ROOT = Path(__file__).resolve().parents[1]
CONF = ROOT / "benchmarks" / "conf"
TRAIN_CONFIG = CONF / "train_gender_whole_experiment.yaml"
LANGUAGES = ("cmn", "es", "sw", "tr")
BUDGET = 32


def get_parser() -> argparse.ArgumentParser:
    """Give the options."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workdir", type=Path, default=Path("exp/whole_experiment"))
    parser.add_argument("--seeds", default="42 43")
    parser.add_argument("--nj", type=positive_number, default=2, help="run.sh's")
    parser.add_argument(
        "--plain_nj",
        type=positive_number,
        default=2,
        help="the plain script's processes at a time, which share the cores",
    )
    parser.add_argument(
        "--kernel_cache",
        type=positive_number,
        help="ONEDNN_PRIMITIVE_CACHE_CAPACITY of the plain script; default: oneDNN's",
    )
    parser.add_argument(
        "--max_plain",
        type=positive_number,
        help="make only so many of the plain runs of each kind, and scale their time",
    )
    parser.add_argument("--required", type=float, default=4.0, help="least ratio")
    parser.add_argument(
        "--tolerance", type=float, default=0.1, help="of the mean scores' difference"
    )
    return parser


@dataclass(frozen=True)
class PlainRun:
    """A run of the plain script: it is tested on its target only.

    Attributes:
        kind: ``single``, ``double`` or ``pair``.
        target: Language it is tested on.
        donor: The other language of a pair, else the target.
        seed: Of subset and head.
    """

    kind: str
    target: str
    donor: str
    seed: int

    @property
    def name(self) -> str:
        """Give the name of its directory."""
        return f"{self.kind}.{self.target}+{self.donor}.s{self.seed}"

    @property
    def ours(self) -> Run:
        """Give the run of the experiment that has the same utterances."""
        languages = tuple(sorted({self.target, self.donor}))
        return Run("gender", self.kind, languages, BUDGET, self.seed)


@dataclass(frozen=True)
class Measured:
    """One side of the comparison.

    Attributes:
        wall: Seconds.
        trainings: Number of models that were trained.
        scores: Mean macro F1 by kind.
    """

    wall: float
    trainings: int
    scores: Mapping[str, float]


def call(command: Sequence[str], log: Path, environment: Mapping[str, str]) -> float:
    """Run a command with its output in a log, and give its wall time.

    Raises:
        UserError: It failed.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    with log.open("w", encoding="utf-8") as output:
        code = subprocess.run(
            command,
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env={**os.environ, **environment},
            check=False,
        ).returncode
    if code:
        raise UserError(f"{command[0]} failed with status {code}: {log} tells why.")
    return time.monotonic() - started


def recipe(workdir: Path, *options: str) -> list[str]:
    """Give the call of run.sh."""
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
    record = directory.root / "wall.json"
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
        wall = call(command, workdir / "ours.log", {})
        write_text(record, json.dumps(wall))
    with directory.results.open(encoding="utf-8", newline="") as file:
        rows = [
            row
            for row in csv.DictReader(file, delimiter="\t")
            if row["metric"] == "macro_f1"
        ]
    return Measured(
        wall=json.loads(record.read_text()),
        trainings=len({row["run"] for row in rows}),
        scores=mean_by_kind((row["kind"], float(row["value"])) for row in rows),
    )


def plain_runs(seeds: str) -> list[PlainRun]:
    """List singles, doubles and ordered pairs of every seed, kinds in turn."""
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
    root = args.workdir / "plain"
    planned = plain_runs(args.seeds)
    runs = planned
    if args.max_plain:
        of_kind = {kind: [r for r in runs if r.kind == kind] for kind in KINDS}
        runs = [
            run
            for group in of_kind.values()
            for run in group[:: max(len(group) // args.max_plain, 1)][: args.max_plain]
        ]
    for run in runs:
        write_list(
            root / run.name / "train.tsv", training_utterances(directory, run.ours)
        )
        test = directory.utterance_list("gender", run.target, "test")
        write_list(root / run.name / "test.tsv", read_utterance_list(test))
    learning_rate = yaml.safe_load(TRAIN_CONFIG.read_text())["optim_conf"]["lr"]
    threads = max(len(os.sched_getaffinity(0)) // args.plain_nj, 1)
    environment = {
        "OMP_NUM_THREADS": str(threads),
        "MKL_NUM_THREADS": str(threads),
        # path.sh enlarges oneDNN's cache of kernels; a plain script would not know.
        "ONEDNN_PRIMITIVE_CACHE_CAPACITY": str(args.kernel_cache or 1024),
    }

    def make(run: PlainRun) -> None:
        out = root / run.name
        command = [
            *(sys.executable, str(ROOT / "benchmarks" / "plain_trainer.py")),
            *("--model", str(encoder), "--output_dir", str(out)),
            *("--train", str(out / "train.tsv"), "--test", str(out / "test.tsv")),
            *("--seed", str(run.seed), "--learning_rate", str(learning_rate)),
        ]
        seconds = call(command, out / "log.txt", environment)
        write_text(out / "seconds.json", json.dumps(seconds))

    record = root / "wall.json"
    wall = json.loads(record.read_text()) if record.exists() else 0.0
    left = [run for run in runs if not (root / run.name / "seconds.json").exists()]
    started = time.monotonic()
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
                future.result()
                write_text(record, json.dumps(wall + time.monotonic() - started))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    wall = json.loads(record.read_text())
    if len(runs) < len(planned):
        wall = scaled(wall, planned, runs, root)
    scores = {
        run: json.loads((root / run.name / "score.json").read_text())["macro_f1"]
        for run in runs
    }
    return Measured(
        wall=wall,
        trainings=len(planned),
        scores=mean_by_kind((run.kind, score) for run, score in scores.items()),
    )


def scaled(
    wall: float, planned: Sequence[PlainRun], runs: Sequence[PlainRun], root: Path
) -> float:
    """Scale the wall time of some runs to all of them, kind by kind."""
    seconds = {
        kind: np.mean(
            [
                json.loads((root / run.name / "seconds.json").read_text())
                for run in runs
                if run.kind == kind
            ]
        )
        for kind in KINDS
    }
    of_all, of_some = (
        sum(seconds[run.kind] for run in part) for part in (planned, runs)
    )
    return float(wall * of_all / of_some)


def mean_by_kind(scores: Iterable[tuple[str, float]]) -> dict[str, float]:
    """Average scores over the runs and test languages of each kind."""
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
    print("| | seconds | trainings | runs/minute | F1 single | double | pair |")
    print("|---|---|---|---|---|---|---|")
    for name, side in sides.items():
        scores = " | ".join(f"{side.scores[kind]:.3f}" for kind in KINDS)
        rate = 60 * side.trainings / side.wall
        print(
            f"| {name} | {side.wall:.0f} | {side.trainings} | {rate:.1f} | {scores} |"
        )
    ours, plain = sides.values()
    ratio = plain.wall / ours.wall
    print(f"ratio of wall times: {ratio:.2f}")
    if ratio < args.required:
        raise UserError(f"run.sh is {ratio:.2f} times as fast, not {args.required}.")
    for kind in KINDS:
        if abs(ours.scores[kind] - plain.scores[kind]) > args.tolerance:
            raise UserError(
                f"The mean scores of {kind} runs differ by more than {args.tolerance}: "
                "the two do not do the same."
            )


def main() -> None:
    """Run the comparison."""
    args = get_parser().parse_args()
    run_command(lambda: compare(args))


if __name__ == "__main__":
    main()
