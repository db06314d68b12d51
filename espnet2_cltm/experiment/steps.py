"""Optimiser steps: as many as the data make, or equally many in every run.

With ``data``, the published design, each run trains for the same number of epochs, so
that a double or pair run takes twice the steps of a single. With ``equal``, every run
of a task takes the steps of a double run, in batches of equal size, so that a matrix
measures data alone. With ``both``, single and double runs are made in both designs,
which tells how much of the self-gain is of steps.
"""

from collections.abc import Mapping
from typing import Any

from espnet2_cltm.errors import UserError
from espnet2_cltm.experiment.plan import Run
from espnet2_cltm.experiment.settings import Settings
from espnet2_cltm.experiment.strategies import config_of_run
from espnet2_cltm.registry import find_task
from espnet2_cltm.tasks.batch_options import ESPNET_BATCH_SIZE, WHOLE_BATCHES_NEED


def check_steps(task: str, steps: str, config: Mapping[str, Any]) -> None:
    """Refuse a training configuration that cannot have equal steps.

    Args:
        task: Name of the task.
        steps: Value of ``--steps``.
        config: ESPnet's options.

    Raises:
        UserError: An option makes batches of other sizes.
    """
    if steps == "data":
        return
    for option, (needed, default) in WHOLE_BATCHES_NEED.items():
        if config.get(option, default) != needed:
            raise UserError(
                f"--steps {steps} needs {option}: {str(needed).lower()} in the "
                f"training configuration of {task}, which has "
                f"{str(config.get(option, default)).lower()}: change it, or give "
                "--steps data."
            )


def steps_config(settings: Settings, run: Run) -> dict[str, Any]:
    """Return the ESPnet options by which a run takes the steps of its design.

    Args:
        settings: The experiment's settings.
        run: The run.
    """
    if run.steps == "data":
        return {}
    config = config_of_run(settings, run)
    rules = settings.rules(run.task)
    most = rules.budget if rules.grid else 2 * rules.budget
    n_most = find_task(run.task).n_drawn(most, rules.options)
    n_batches = config.get("num_iters_per_epoch") or max(
        n_most // config.get("batch_size", ESPNET_BATCH_SIZE), 1
    )
    return {"whole_batches": True, "num_iters_per_epoch": n_batches}


def epoch_of(
    settings: Settings, run: Run, n_utterances: int, seconds: float
) -> tuple[int, float]:
    """Return how much a run trains on in an epoch.

    Args:
        settings: The experiment's settings.
        run: The run.
        n_utterances: Number of its training utterances.
        seconds: Their total length.

    Returns:
        Number of utterances, each as often as it is used, and seconds of audio.
    """
    steps = steps_config(settings, run)
    if not steps:
        return n_utterances, seconds
    config = config_of_run(settings, run)
    used = steps["num_iters_per_epoch"] * config.get("batch_size", ESPNET_BATCH_SIZE)
    return used, seconds * used / n_utterances
