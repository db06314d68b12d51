"""What runs inside one Slurm job: workers, in processes of their own.

submitit calls the job and handles Slurm's signals in its own process: before the time
is over, and on preemption, it has Slurm queue the job again. The workers are separate
processes, so that nothing of that can look like the failure of a run. A job that starts
again needs no state: the experiment's directory has it all.
"""

import os
import subprocess
import sys
from collections.abc import Sequence

from submitit.helpers import DelayedSubmission


class WorkerJob:
    """A job: some workers on one experiment.

    Args:
        options: Options of ``run_worker``.
        n_workers: Number of workers.
    """

    def __init__(self, options: Sequence[str], n_workers: int):
        self.options = tuple(options)
        self.n_workers = n_workers

    def __call__(self) -> None:
        """Have the workers make runs until none is left."""
        command = [
            *(sys.executable, "-m", "espnet2_cltm.bin.run_worker"),
            *self.options,
            *("--parent", str(os.getpid())),
        ]
        workers = [subprocess.Popen(command) for _ in range(self.n_workers)]
        try:
            codes = [worker.wait() for worker in workers]
        finally:
            for worker in workers:
                worker.kill()
                worker.wait()
        failed = next((code for code in codes if code), 0)
        if failed:
            # Not an exception, whose trace would bury the worker's last words.
            sys.exit(failed if failed > 0 else 128 - failed)

    def checkpoint(self) -> DelayedSubmission:
        """Say how to go on after a time-out or preemption: in the same way."""
        return DelayedSubmission(self)
