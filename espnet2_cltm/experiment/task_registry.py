"""The tasks an experiment can measure, by name.

A task is two modules: ``<task>_drawing``, which stage 3 uses, free of torch, and
``<task>_testing``, which the runner uses.
"""

from importlib import import_module
from types import ModuleType

from espnet2_cltm.errors import UserError

TASKS = ("gender", "speaker")


def drawing(task: str) -> ModuleType:
    """Give the module that draws a task's utterances.

    Raises:
        UserError: There is no such task.
    """
    return _module(task, "drawing")


def testing(task: str) -> ModuleType:
    """Give the module that trains (its ``ESPNET_TASK``) and tests a task's models.

    Raises:
        UserError: There is no such task.
    """
    return _module(task, "testing")


def _module(task: str, part: str) -> ModuleType:
    if task not in TASKS:
        raise UserError(
            f"The task {task!r} is unknown: give --task one of {', '.join(TASKS)}."
        )
    return import_module(f"espnet2_cltm.experiment.{task}_{part}")
