"""Training configurations: each task's tried once, and each run's ``train.yaml``."""

import logging
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from espnet2_cltm.corpus.utterance_list import ListedUtterance
from espnet2_cltm.errors import UserError
from espnet2_cltm.experiment.drawn import read_test_set
from espnet2_cltm.experiment.kept_models import START
from espnet2_cltm.experiment.layout import ExperimentDir
from espnet2_cltm.experiment.plan import Run
from espnet2_cltm.experiment.settings import Settings
from espnet2_cltm.experiment.steps import steps_config
from espnet2_cltm.experiment.strategies import config_of, config_of_run
from espnet2_cltm.registry import find_task
from espnet2_cltm.results_format import FULL
from espnet2_cltm.tasks.adaptation import strategy_for_run
from espnet2_cltm.tasks.building import check_training
from espnet2_cltm.tasks.training import training_arguments, write_train_config

_ANY_LANGUAGES = ("a", "b")
"""Stand for a run's languages where no run is made."""


def build_once(
    settings: Settings,
    task: str,
    seed: int = 0,
    strategy: str = FULL,
    is_own: bool = True,
) -> None:
    """Build a task's training once, so that errors of all runs occur before the first.

    The encoder stays in memory for the runs. Options that the data will complete need
    not be there.

    Args:
        settings: The experiment's settings.
        task: Name of the task.
        seed: The highest seed.
        strategy: Strategy of the runs.
        is_own: Whether that is the training configuration's own.

    Raises:
        UserError: The training configuration or what it names cannot be used.
    """
    config = config_of(settings, task, strategy, is_own)
    logging.disable(logging.INFO)  # what each model tells of itself
    try:
        _build(settings, task, seed, config)
    except UserError as error:
        if is_own:
            raise
        raise UserError(f"--strategy {strategy}, {task}: {error}") from error
    finally:
        logging.disable(logging.NOTSET)


def _build(settings: Settings, task: str, seed: int, config: dict[str, Any]) -> None:
    spec = find_task(task)
    code = spec.code()
    options = {**spec.default_options(), **settings.options.get(task, {})}
    built = {
        "seed": seed,
        **code.build_options(options),
        **strategy_for_run(config, _ANY_LANGUAGES),
    }
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / f"train_{task}.yaml"
        write_train_config(code.ESPNET_TASK, {**config, **built}, path)
        args = training_arguments(
            code.ESPNET_TASK, path, source=f"The file of --{task}_config"
        )
    check_training(code.ESPNET_TASK, args)


def write_train_yaml(
    directory: ExperimentDir,
    settings: Settings,
    run: Run,
    utterances: Sequence[ListedUtterance],
) -> Path:
    """Write the run's training configuration, data and seed included."""
    run_dir = directory.run(run.name)
    code = find_task(run.task).code()
    dev = [read_test_set(directory, run.task, lang, "dev") for lang in run.trained_on]
    data = code.write_training_data(
        run_dir, utterances, dev, settings.test_batch_bins, settings.options[run.task]
    )
    adapted = config_of_run(settings, run)
    init_param = list(adapted.get("init_param") or ())
    if run.start:
        own = find_task(run.task).own_weights
        place = run_dir / START
        init_param.append(f"{place}:::{own}" if own else str(place))
    # What a strategy has on several languages alone, as an adversary, stays behind.
    start = {"init_param": init_param, "ignore_init_mismatch": True}
    config = {
        **adapted,
        **(start if run.start else {}),
        **strategy_for_run(adapted, run.trained_on),
        **steps_config(settings, run),
        "seed": run.seed,
        **data,
    }
    path = run_dir / "train.yaml"
    write_train_config(code.ESPNET_TASK, config, path)
    return path
