#!/usr/bin/env python3
"""Runs per minute: one process a run through ESPnet's command line, and the runner.

Both make the same runs of a planned experiment, one at a time, on the same machine,
and must give the same predictions. The command line trains in one process a run and
predicts all of the run's test languages in another; the runner's time includes its
start. Prints runs per minute, their ratio and each side's peak memory.

    benchmarks/runs_per_minute.py --exp exp/demo_gender_n3_speaker_n32 --seed 42
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from espnet2_cltm.bin.command_line import run_command
from espnet2_cltm.corpus.utterance_list import read_utterance_list
from espnet2_cltm.errors import UserError
from espnet2_cltm.experiment.layout import ExperimentDir
from espnet2_cltm.experiment.plan import PlannedRun, read_plan, write_plan
from espnet2_cltm.progress import progress


def get_parser() -> argparse.ArgumentParser:
    """Give the options."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--exp", type=Path, required=True, help="finished exp/<tag>")
    parser.add_argument("--seed", type=int, default=42, help="the runs of this seed")
    parser.add_argument("--max_runs", type=int, default=10**6, help="only so many")
    parser.add_argument("--required", type=float, default=5.0, help="least ratio")
    return parser


def call(*command: str) -> float:
    """Run a Python module, keep its output away, and give its peak memory in MiB.

    Raises:
        UserError: It failed; the end of its output says why.
    """
    with tempfile.TemporaryFile("w+") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", *command], stdout=output, stderr=output
        )
        # Of the process and those it started and waited for, the largest.
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            output.seek(0)
            raise UserError(f"{' '.join(command)} failed: {output.read()[-2000:]}")
    return usage.ru_maxrss / 1024


def by_command_line(
    directory: ExperimentDir, plan: list[PlannedRun], output: Path
) -> float:
    """Train and predict every run with ESPnet's commands; give the peak memory."""
    peak = 0.0
    for planned in progress(plan, description="Command line", unit="run"):
        run, out = planned.run, output / planned.run.name
        trained = call(
            "espnet2_cltm.bin.gender_train",
            *("--config", str(directory.run(run.name) / "train.yaml")),
            *("--output_dir", str(out)),
        )
        scp = out / "test.scp"
        with scp.open("w", encoding="utf-8") as lines:
            for lang in planned.test_languages:
                for u in read_utterance_list(
                    directory.utterance_list(run.task, lang, "test")
                ):
                    lines.write(f"{u.utt} {u.audio}\n")
        predicted = call(
            "espnet2_cltm.bin.gender_inference",
            *("--train_config", str(out / "config.yaml")),
            *("--model_file", str(out / "latest.pth")),
            *("--data_path_and_name_and_type", f"{scp},speech,kaldi_ark"),
            *("--output_dir", str(out)),
        )
        peak = max(peak, trained, predicted)
    return peak


def by_runner(directory: ExperimentDir, plan: list[PlannedRun], root: Path) -> float:
    """Make every run with one worker of the runner; give the peak memory."""
    copy = ExperimentDir(root)
    for name in ("experiment.yaml", "data"):
        (root / name).symlink_to((directory.root / name).resolve())
    write_plan(copy.plan, plan)
    return call("espnet2_cltm.bin.run_plan", "--exp", str(root), "--nj", "1")


def labels(path: Path) -> dict[str, str]:
    """Read utterance and label of a table of predictions."""
    rows = [line.split("\t") for line in path.read_text().splitlines()[1:]]
    return {utt: label for utt, label, *_ in rows}


def compare(args: argparse.Namespace) -> None:
    """Make the runs both ways and print the table.

    Raises:
        UserError: Something fails, predictions differ, or the ratio is too small.
    """
    directory = ExperimentDir(args.exp)
    plan = [
        p
        for p in read_plan(directory.plan)
        if p.run.task == "gender" and p.run.seed == args.seed
    ]
    plan = plan[: args.max_runs]
    if not plan:
        raise UserError(f"{directory.plan} has no gender run of seed {args.seed}.")
    rates, memory = {}, {}
    with tempfile.TemporaryDirectory() as temporary:
        runner, commands = Path(temporary) / "runner", Path(temporary) / "commands"
        for path, name, make in (
            (runner, "runner", by_runner),
            (commands, "command line", by_command_line),
        ):
            path.mkdir()
            started = time.monotonic()
            memory[name] = make(directory, plan, path)
            rates[name] = 60 * len(plan) / (time.monotonic() - started)
        for planned in plan:
            name = planned.run.name
            expected: dict[str, str] = {}
            for lang in planned.test_languages:
                expected |= labels(
                    ExperimentDir(runner).predictions(name, lang, ".tsv")
                )
            if labels(commands / name / "predictions.tsv") != expected:
                raise UserError(f"The two ways give different labels for {name}.")
    print(f"{len(plan)} runs, one at a time, {os.cpu_count()} cores")
    for name, rate in rates.items():
        print(f"{name:14} {rate:6.1f} runs/minute  {memory[name]:5.0f} MiB")
    ratio = rates["runner"] / rates["command line"]
    print(f"ratio          {ratio:6.1f}")
    if ratio < args.required:
        raise UserError(
            f"The runner is {ratio:.1f} times as fast, not {args.required}."
        )


def main() -> None:
    """Run the comparison."""
    args = get_parser().parse_args()
    run_command(lambda: compare(args))


if __name__ == "__main__":
    main()
