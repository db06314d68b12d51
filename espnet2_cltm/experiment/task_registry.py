"""The tasks an experiment can measure, by name.

A task is two modules: ``<task>_drawing``, which stage 3 uses, free of torch (see
:mod:`.drawing`), and ``<task>_testing``, which the runner uses, with

* ``ESPNET_TASK``, and ``OPTIONS_WITHOUT_DATA`` to build its model before there is data;
* ``write_training_data(run_dir, train, dev, batch_bins)``, giving ESPnet's options;
* ``criteria(config, languages, tests)``, what chooses the epoch for each test;
* ``predict(model, test, predictions, batch_bins, device)`` and ``score(test,
  predictions)``, with ``PREDICTIONS_SUFFIX``;
* ``cache_audio(max_bytes)``.
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
