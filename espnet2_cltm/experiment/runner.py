"""Stage 4: has an executor make all runs, shows how far it is, names what failed.

This process stays light: only the workers import torch and ESPnet.
"""

import sys
import time

from espnet2_cltm.errors import UserError
from espnet2_cltm.experiment.claims import Claims
from espnet2_cltm.experiment.completion import RunCounts, RunStates
from espnet2_cltm.experiment.executors import Executor
from espnet2_cltm.experiment.failed_runs import forget_failures, print_failures
from espnet2_cltm.experiment.layout import ExperimentDir
from espnet2_cltm.experiment.plan import read_plan
from espnet2_cltm.experiment.progress_file import ProgressFile
from espnet2_cltm.progress import progress

POLL_SECONDS = 0.5


def make_all_runs(
    directory: ExperimentDir, executor: Executor, retry_failed: bool = True
) -> None:
    """Make every run of the plan that is not done.

    Args:
        directory: The experiment.
        executor: Starts the workers that make them.
        retry_failed: Make runs again that have failed before; otherwise they are named
            and left as they are.

    Raises:
        UserError: A run failed, or the workers ended before all runs were done.
    """
    plan = read_plan(directory.plan)
    if retry_failed:
        forget_failures(directory, plan)
    states = RunStates(directory, plan)
    claims = Claims(directory.claims)
    try:
        before = states.look(claims)
        failed_before = states.failed
        n_failed = f", {before.failed} failed before" if failed_before else ""
        print(
            f"{before.planned} runs planned, {before.done} done before{n_failed}.",
            file=sys.stderr,
        )
        report = ProgressFile(directory, executor.name)
        if before.left:
            counts = _have_made(executor, states, claims, report)
        else:
            counts = before
            report.close("failed" if counts.failed else "done", counts)
    finally:
        claims.close()
    if states.failed:
        print_failures(directory, states.failed)
    new = sorted(set(states.failed) - set(failed_before))
    if new:
        raise UserError(
            f"{len(states.failed)} of {len(plan)} runs failed, {states.failed[0]} "
            f"first: {directory.failure(states.failed[0])} tells why; put it right and "
            "run stage 4 again, which makes the failed runs only."
        )
    if counts.left:
        raise UserError(
            f"The workers ended before all runs were done ({counts.left} are left), "
            f"{executor.why_ended()} What is done is kept; the same command goes on "
            "from here."
        )


def _have_made(
    executor: Executor, states: RunStates, claims: Claims, report: ProgressFile
) -> RunCounts:
    """Have the runs made and show progress until no worker is at work."""
    counts = states.counts
    state = "interrupted"
    try:
        executor.start(counts.left)
        with progress(
            description="Making runs",
            total=counts.planned,
            initial=counts.done,
            unit="run",
        ) as bar:
            while True:
                workers = executor.look_after(counts)
                # After the workers: what the last of them made is seen.
                counts = states.look(claims)
                bar.set_postfix_str(_in_words(counts, workers.note), refresh=False)
                bar.update(counts.done - bar.n)
                if not workers.running and not workers.queued:
                    break
                report.update(counts, workers)
                time.sleep(POLL_SECONDS)
            counts = states.look_again_at_failed(claims)
            bar.update(counts.done - bar.n)
        state = "failed" if counts.done < counts.planned else "done"
    except UserError:
        state = "failed"
        raise
    finally:
        executor.stop(is_over=counts.left == 0)
        report.close(state, counts)
    return counts


def _in_words(counts: RunCounts, note: str) -> str:
    parts = [f"{counts.running} running", f"{counts.failed} failed"]
    return ", ".join([*parts, note] if note else parts)
