"""Making one run: train, predict, score, and only then say that it is done.

``metrics.json`` is written last, to a temporary name, and renamed: a run whose file
exists is whole, and a run that was killed leaves none.
"""

import json
import logging
import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import espnet
import torch
import transformers
import yaml

import espnet2_cltm
from espnet2_cltm.experiment.layout import ExperimentDir
from espnet2_cltm.experiment.plan import PlannedRun
from espnet2_cltm.experiment.planning import training_utterances
from espnet2_cltm.experiment.settings import Settings
from espnet2_cltm.experiment.task_registry import testing
from espnet2_cltm.experiment.training import train_in_memory, training_arguments
from espnet2_cltm.experiment.utterance_list import (
    espnet_data_options,
    read_utterance_list,
    write_espnet_data,
)
from espnet2_cltm.files import write_text


def make_run(
    directory: ExperimentDir, settings: Settings, planned: PlannedRun, ngpu: int = 0
) -> None:
    """Train a run's model, test it, and write its ``metrics.json``.

    Besides, the run's directory gets ``train.yaml``, with which the task's own
    command makes the same training, ``train.log`` and the predictions.

    Args:
        directory: The experiment.
        settings: Its settings.
        planned: The run.
        ngpu: 0 for the CPU, 1 for a GPU.

    Raises:
        UserError: The configuration or the data does not allow the training.
    """
    run = planned.run
    run_dir = directory.run(run.name)
    task = testing(run.task)
    directory.failure(run.name).unlink(missing_ok=True)
    run_dir.mkdir(parents=True, exist_ok=True)
    with _logging_to(run_dir / "train.log"):
        started = time.monotonic()
        utterances = training_utterances(directory, run)
        write_espnet_data(run_dir / "train", utterances)
        config = write_train_yaml(directory, settings, planned)
        args = training_arguments(task.ESPNET_TASK, config, ["--ngpu", str(ngpu)])
        model = train_in_memory(task.ESPNET_TASK, args)
        trained = time.monotonic()
        test: dict[str, Any] = {}
        for lang in planned.test_languages:
            listed = read_utterance_list(directory.test_list(run.task, lang))
            predictions = directory.predictions(run.name, lang)
            task.predict(
                model,
                listed,
                predictions,
                batch_bins=settings.test_batch_bins,
                device="cuda" if ngpu > 0 else "cpu",
            )
            test[lang] = task.score(listed, predictions)
        logging.info("Tested on %s", ", ".join(test))
    done = {
        "run": run.name,
        "utterances": len(utterances),
        "test": test,
        "train_seconds": round(trained - started, 3),
        "test_seconds": round(time.monotonic() - trained, 3),
        "versions": versions(ngpu),
    }
    write_text(directory.metrics(run.name), json.dumps(done, indent=1) + "\n")


def write_train_yaml(
    directory: ExperimentDir, settings: Settings, planned: PlannedRun
) -> Path:
    """Write the run's training configuration, data and seed included."""
    run = planned.run
    run_dir = directory.run(run.name)
    config = {
        **settings.train_config[run.task],
        "seed": run.seed,
        **espnet_data_options(run_dir / "train", "train"),
        **espnet_data_options(directory.dev_data(run.task, run.languages[0]), "valid"),
    }
    path = run_dir / "train.yaml"
    write_text(path, yaml.safe_dump(config, sort_keys=False))
    return path


def versions(ngpu: int) -> dict[str, str]:
    """Give the versions that a run's numbers depend on."""
    return {
        "espnet2_cltm": espnet2_cltm.__version__,
        "espnet": espnet.__version__,
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "python": platform.python_version(),
        "device": torch.cuda.get_device_name() if ngpu > 0 else platform.machine(),
    }


@contextmanager
def _logging_to(path: Path) -> Iterator[None]:
    """Send the process's log to ``path`` while a run is made."""
    handler = logging.FileHandler(path, mode="w", encoding="utf-8")
    handler.setFormatter(
        logging.Formatter(
            "%(asctime)s (%(module)s:%(lineno)d) %(levelname)s: %(message)s"
        )
    )
    root = logging.getLogger()
    others, level = root.handlers[:], root.level
    root.handlers, root.level = [handler], logging.INFO
    try:
        yield
    finally:
        root.handlers, root.level = others, level
        handler.close()
