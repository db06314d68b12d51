"""Making one run: train, predict, score, and only then say that it is done.

``metrics.json`` is written last, to a temporary name, and renamed: a run whose file
exists is whole, and a run that was killed leaves none.
"""

import json
import logging
import platform
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import espnet
import torch
import transformers

import espnet2_cltm
from espnet2_cltm.experiment.layout import ExperimentDir
from espnet2_cltm.experiment.plan import PlannedRun
from espnet2_cltm.experiment.planning import training_utterances
from espnet2_cltm.experiment.run import Run
from espnet2_cltm.experiment.settings import Settings
from espnet2_cltm.experiment.task_registry import testing
from espnet2_cltm.experiment.test_set import read_test_set
from espnet2_cltm.experiment.train_config_file import write_train_config
from espnet2_cltm.experiment.training import train_in_memory, training_arguments
from espnet2_cltm.experiment.utterance_list import ListedUtterance
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
        config = write_train_yaml(directory, settings, run, utterances)
        args = training_arguments(task.ESPNET_TASK, config, ["--ngpu", str(ngpu)])
        criteria = task.criteria(vars(args), run.languages, planned.test_languages)
        trained = train_in_memory(task.ESPNET_TASK, args, criteria.values())
        trained_at = time.monotonic()
        test: dict[str, Any] = {}
        checkpoints: dict[str, Any] = {}
        for name in planned.test_languages:
            checkpoints[name] = trained.use(criteria.get(name))
            test_set = read_test_set(directory, run.task, name)
            predictions = directory.predictions(run.name, name, task.PREDICTIONS_SUFFIX)
            task.predict(
                trained.model,
                test_set,
                predictions,
                batch_bins=settings.test_batch_bins,
                device="cuda" if ngpu > 0 else "cpu",
            )
            test[name] = task.score(test_set, predictions)
        logging.info("Tested on %s", ", ".join(test))
    done = {
        "run": run.name,
        "utterances": len(utterances),
        "test": test,
        "checkpoints": checkpoints,
        "validation": trained.validation,
        "train_seconds": round(trained_at - started, 3),
        "test_seconds": round(time.monotonic() - trained_at, 3),
        "versions": versions(ngpu),
    }
    write_text(directory.metrics(run.name), json.dumps(done, indent=1) + "\n")


def write_train_yaml(
    directory: ExperimentDir,
    settings: Settings,
    run: Run,
    utterances: Sequence[ListedUtterance],
) -> Path:
    """Write the run's training configuration, data and seed included."""
    run_dir = directory.run(run.name)
    dev = [read_test_set(directory, run.task, lang, "dev") for lang in run.languages]
    data = testing(run.task).write_training_data(
        run_dir, utterances, dev, settings.test_batch_bins
    )
    config = {**settings.train_config[run.task], "seed": run.seed, **data}
    path = run_dir / "train.yaml"
    write_train_config(testing(run.task).ESPNET_TASK, config, path)
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
