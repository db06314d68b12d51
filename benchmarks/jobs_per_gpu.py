#!/usr/bin/env python3
"""Runs per hour with 1, 2, 4 … runs at once on one GPU, and time of an experiment.

Makes some runs of each kind of a planned experiment (stage 3) with every number of
jobs, and prints runs per hour, the GPU's memory and utilisation, and the time of an
experiment of 54 languages and 10 seeds at that rate. The published gender setting on
utterances of about 5 s:

    ./run.sh --stop_stage 3 --task gender --budget 60 --ngpu 1 \\
        --demo_config benchmarks/conf/demo_jobs_per_gpu.yaml --datadir exp/gpu/data \\
        --dumpdir exp/gpu/dump --model benchmarks/conf/hubert_base.yaml --tag gpu \\
        --gender_config egs2/cltm/gender1/conf/train_gender.yaml
    benchmarks/jobs_per_gpu.py --exp exp/gpu

With ``--ngpu 0`` the same is done on the CPU, with as many workers as jobs.
"""

import argparse
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

from espnet2_cltm.bin.command_line import command
from espnet2_cltm.errors import UserError
from espnet2_cltm.experiment.layout import ExperimentDir
from espnet2_cltm.experiment.plan import PlannedRun, read_plan, write_plan
from espnet2_cltm.results_format import KINDS

QUERY = (
    *("nvidia-smi", "--id=0", "--format=csv,noheader,nounits"),
    "--query-gpu=memory.used,utilization.gpu",
)
LANGUAGES, SEEDS = 54, 10


def get_parser() -> argparse.ArgumentParser:
    """Return the parser of the options."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--exp", type=Path, required=True, help="planned experiment, exp/<tag>"
    )
    parser.add_argument(
        "--ngpu", type=int, default=1, help="number of GPUs, 1, or 0 for the CPU"
    )
    parser.add_argument("--jobs", type=int, nargs="+", default=[1, 2, 4, 8, 16])
    parser.add_argument(
        "--runs_per_job",
        type=int,
        default=4,
        help="number of runs for each job, at least 2",
    )
    return parser


class GpuWatch:
    """Sampler of the first GPU's memory and utilisation, until it is stopped."""

    def __init__(self) -> None:
        self.memory: list[float] = []
        self.utilisation: list[float] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)
        self._thread.start()

    def _sample(self) -> None:
        while not self._stop.wait(0.5):
            output = subprocess.run(QUERY, capture_output=True, text=True, check=True)
            memory, utilisation = map(float, output.stdout.split(","))
            self.memory.append(memory)
            self.utilisation.append(utilisation)

    def stop(self) -> str:
        """Stop, and return the samples' summary."""
        self._stop.set()
        self._thread.join()
        if not self.memory:
            return "not seen"
        mean = sum(self.utilisation) / len(self.utilisation)
        return f"{max(self.memory) / 1024:.1f} GiB, {mean:.0f}%"


def choose(plan: list[PlannedRun], n_runs: int) -> list[PlannedRun]:
    """Return runs of every kind, in turn.

    Raises:
        UserError: The plan has too few runs.
    """
    of_kind = {kind: [p for p in plan if p.run.kind == kind] for kind in KINDS}
    n_kinds = sum(bool(runs) for runs in of_kind.values())
    turns = [p for turn in zip(*of_kind.values(), strict=False) for p in turn]
    if len(turns) < n_runs or n_kinds < len(KINDS):
        raise UserError(
            f"The plan has runs of all kinds for {len(turns)}, {n_runs} are needed: "
            "plan more --seeds, or lower --jobs or --runs_per_job."
        )
    return turns[:n_runs]


def finishing_times(
    directory: ExperimentDir, plan: list[PlannedRun], ngpu: int, jobs: int
) -> list[float]:
    """Make runs in their own directory and return the seconds when each was done.

    Returns:
        Seconds since the start, ascending.

    Raises:
        UserError: A run failed.
    """
    with tempfile.TemporaryDirectory() as temporary:
        copy = ExperimentDir(Path(temporary))
        for name in ("experiment.yaml", "data"):
            (copy.root / name).symlink_to((directory.root / name).resolve())
        write_plan(copy.plan, plan)
        command = [
            *(sys.executable, "-m", "espnet2_cltm.bin.run_plan"),
            *("--exp", str(copy.root), "--ngpu", str(ngpu)),
            *("--jobs_per_gpu" if ngpu else "--nj", str(jobs)),
        ]
        made = subprocess.run(command, capture_output=True, text=True, check=False)
        if made.returncode:
            raise UserError(f"With {jobs} jobs: {made.stderr[-2000:]}")
        return sorted(copy.metrics(p.run.name).stat().st_mtime for p in plan)


def measure(args: argparse.Namespace) -> None:
    """Print a line for every number of jobs."""
    directory = ExperimentDir(args.exp)
    plan = read_plan(directory.plan)
    n_pairs = LANGUAGES * (LANGUAGES - 1) // 2
    n_runs = SEEDS * (2 * LANGUAGES + n_pairs)
    print(f"| jobs | runs an hour | memory, utilisation | {n_runs} runs |")
    print("|---|---|---|---|")
    for jobs in args.jobs:
        chosen = choose(plan, jobs * args.runs_per_job)
        watch = GpuWatch() if args.ngpu else None
        times = finishing_times(directory, chosen, args.ngpu, jobs)
        seen = watch.stop() if watch else "-"
        # Without every job's first run, which begins with the start of the process.
        per_run = (times[-1] - times[jobs - 1]) / (len(times) - jobs)
        print(
            f"| {jobs} | {3600 / per_run:.0f} | {seen} | "
            f"{n_runs * per_run / 3600:.1f} h |",
            flush=True,
        )


main = command(get_parser, measure)

if __name__ == "__main__":
    main()
