"""A worker: one process that makes one run after another.

It goes through the plan, claims a run that is neither done nor claimed, makes it, and
continues. When only claimed runs are left it waits for the other workers, and takes
over the run of one that dies.
"""

import logging
import os
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress

import torch

from espnet2_cltm.corpus.audio import load_audio
from espnet2_cltm.corpus.utterance_list import read_utterance_list
from espnet2_cltm.devices import check_gpus
from espnet2_cltm.errors import UserError
from espnet2_cltm.experiment.encoder import check_encoder
from espnet2_cltm.experiment.execution import make_run
from espnet2_cltm.experiment.layout import ExperimentDir
from espnet2_cltm.experiment.plan import PlannedRun, read_plan
from espnet2_cltm.experiment.run_config import build_once
from espnet2_cltm.experiment.settings import Settings, read_settings
from espnet2_cltm.experiment.states import Claims, is_done, runs_left
from espnet2_cltm.experiment.strategies import config_of
from espnet2_cltm.files import write_text
from espnet2_cltm.registry import find_task

WAIT_SECONDS, MOST_WAIT_SECONDS = 0.5, 60.0
TRIED_LISTS = 100  # of utterances, before all audio is taken to be elsewhere
# After such an error a process cannot use its GPU any more (PyTorch 2.8 and later).
_DEVICE_IS_LOST = (
    (torch.AcceleratorError,) if hasattr(torch, "AcceleratorError") else ()
)


def check_audio(directory: ExperimentDir) -> None:
    """Refuse to work where no audio can be read, as every run would fail at once.

    Raises:
        UserError: Of the lists that are tried, none begins with a recording that is
            here.
    """
    lists = sorted(directory.root.glob("data/*/*/train.*.tsv"))[:TRIED_LISTS]
    for path in lists:
        with suppress(UserError, IndexError):
            load_audio(read_utterance_list(path)[0].audio)
            return
    if lists:
        raise UserError(
            f"No audio of {directory.root} can be read here ({lists[0]} says where it "
            "lies): start workers in the directory that run.sh was started in, on a "
            "machine that sees the audio store."
        )


def work(
    directory: ExperimentDir,
    ngpu: int = 0,
    parent: int | None = None,
    audio_cache_bytes: int = 0,
    layers: bool = False,
    make: Callable[[ExperimentDir, Settings, PlannedRun, int], None] = make_run,
) -> list[str]:
    """Make runs until every run of the plan is done or has failed.

    Args:
        directory: The experiment.
        ngpu: 0 for the CPU, 1 for a GPU.
        parent: Process id of the runner; when it has ended, the worker stops.
        audio_cache_bytes: Most bytes of prepared test audio to keep in memory.
        layers: Whether layers are wanted of the runs, see :func:`.is_done`.
        make: Function that makes one run.

    Returns:
        Names of the runs that this worker made.

    Raises:
        UserError: The plan or the settings cannot be read, or the encoder has changed
            since the first run.
    """
    # With one thread sums do not depend on the number of cores and workers.
    torch.set_num_threads(1)
    settings = read_settings(directory.settings)
    check_gpus(ngpu)
    left = runs_left(directory, read_plan(directory.plan), layers)
    sorts = {(p.run.task, p.run.strategy, p.run.is_own) for p in left}
    for task, strategy, is_own in sorted(sorts):
        if task not in settings.tasks:
            raise UserError(
                f"{directory.settings} lacks the task {task}, which the plan has: run "
                "stage 3 again."
            )
        build_once(settings, task, strategy=strategy, is_own=is_own)
        config = config_of(settings, task, strategy, is_own)
        frontend_conf = config.get("frontend_conf") or {}
        check_encoder(directory, frontend_conf.get("model"))
        find_task(task).code().cache_audio(audio_cache_bytes)
    claims = Claims(directory.claims)
    made: list[str] = []
    waited = 0.0

    def make_one(planned: PlannedRun) -> None:
        make(directory, settings, planned, ngpu)

    try:
        while True:
            left = [
                planned
                for planned in runs_left(directory, left, layers)
                if not directory.failure(planned.run.name).exists()
            ]
            if not left:
                return made
            n_made_before = len(made)
            for planned in left:
                if parent is not None and os.getppid() != parent:
                    logging.warning("The runner has ended; this worker stops.")
                    return made
                if _make_if_free(directory, planned, claims, layers, make_one):
                    made.append(planned.run.name)
            if len(made) == n_made_before:
                # One that others need may have lost its model meanwhile.
                left += _needed(left)
                # Ever longer: a thousand that wait would keep a file server busy.
                pause = min(max(WAIT_SECONDS, waited / 10), MOST_WAIT_SECONDS)
                time.sleep(pause)
                waited += pause
            else:
                waited = 0.0
    finally:
        claims.close()


def _needed(left: Sequence[PlannedRun]) -> list[PlannedRun]:
    """Return the runs that others need and that are not among them."""
    names = {planned.run.name for planned in left}
    needed = {n.run.name: n for planned in left for n in planned.needs}
    return [planned for name, planned in needed.items() if name not in names]


def _make_if_free(
    directory: ExperimentDir,
    planned: PlannedRun,
    claims: Claims,
    layers: bool,
    make: Callable[[PlannedRun], None],
) -> bool:
    name = planned.run.name
    if directory.failure(name).exists():
        return False
    for needed in planned.needs:
        if directory.failure(needed.run.name).exists():
            why = f"The run {needed.run.name}, whose model this one needs, has failed."
            _report_failure(directory, name, why, why)
            return False
        if not is_done(directory, needed, layers):
            return False
    if not claims.take(name):
        return False
    try:
        if is_done(directory, planned, layers) or directory.failure(name).exists():
            return False
        logging.info("Making %s", name)
        make(planned)
        return True
    except UserError as error:
        _report_failure(directory, name, str(error), str(error))
    except _DEVICE_IS_LOST:
        raise  # this process can do no more; its claim on the run is released
    except Exception as error:
        # A defect in one run must not stop thousands of others; it is named at the end.
        summary = f"{type(error).__name__}: {error}".splitlines()[0]
        _report_failure(directory, name, summary, traceback.format_exc())
    finally:
        claims.give_back(name)
    return False


def _report_failure(
    directory: ExperimentDir, name: str, summary: str, details: str
) -> None:
    logging.error("%s failed: %s", name, details)
    write_text(directory.failure(name), f"{summary}\n\n{details}\n")
