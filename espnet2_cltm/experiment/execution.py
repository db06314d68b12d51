"""Making one run: train, predict, score, and only then mark it as done.

``metrics.json`` is written last, to a temporary name, and renamed: a run with this file
is complete, and a run that was killed has none. A run that lacks nothing but tests, on
languages that were added later, is tested with its model, if that was kept.
"""

import logging
import platform
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import espnet
import torch
import transformers
from espnet2.train.abs_espnet_model import AbsESPnetModel

import espnet2_cltm
from espnet2_cltm.corpus.audio import SAMPLE_RATE
from espnet2_cltm.errors import UserError
from espnet2_cltm.experiment.calibration import Calibrations, DevSets
from espnet2_cltm.experiment.costs import (
    CostMeter,
    add_costs,
    inference_costs,
    model_costs,
)
from espnet2_cltm.experiment.drawn import (
    by_speakers,
    read_test_set,
    training_utterances,
)
from espnet2_cltm.experiment.kept_models import (
    extract_start,
    keep_model,
    load_kept_model,
)
from espnet2_cltm.experiment.layers import measure_layers
from espnet2_cltm.experiment.layout import ExperimentDir
from espnet2_cltm.experiment.plan import PlannedRun, Run
from espnet2_cltm.experiment.pool_methods import train_pool
from espnet2_cltm.experiment.results import DIGITS, read_metrics, write_metrics
from espnet2_cltm.experiment.run_config import write_train_yaml
from espnet2_cltm.experiment.settings import Settings
from espnet2_cltm.experiment.strategies import config_of_run
from espnet2_cltm.files import remove_if_there
from espnet2_cltm.registry import find_task
from espnet2_cltm.results_format import JOINT
from espnet2_cltm.task import Scores, TestSet
from espnet2_cltm.tasks.adaptation import is_out_of_memory
from espnet2_cltm.tasks.training import (
    set_backends,
    train_in_memory,
    training_arguments,
)


def make_run(
    directory: ExperimentDir,
    settings: Settings,
    planned: PlannedRun,
    ngpu: int = 0,
    keep_models: str = "none",
    layers: bool = False,
) -> None:
    """Make what a run lacks: train and test it, or add to it with its kept model.

    Args:
        ngpu: 0 for the CPU, 1 for a GPU.
        keep_models: Runs whose model is kept, one of ``KEEP_CHOICES``.
        layers: Whether its layers are measured, see :mod:`.layers`.

    Raises:
        UserError: The configuration or the data do not allow the training.
    """
    name = planned.run.name
    directory.failure(name).unlink(missing_ok=True)
    directory.run(name).mkdir(parents=True, exist_ok=True)
    metrics = read_metrics(directory.metrics(name))
    log = directory.run(name) / "train.log"
    with (
        _logging_to(log, mode="w" if metrics is None else "a"),
        CostMeter(ngpu) as meter,
    ):
        if metrics is not None:
            is_tested = set(planned.test_languages) <= metrics["test"].keys()
            lacks_layers = layers and is_tested and "layers" not in metrics
            add = _add_layers if lacks_layers else _add_tests
            is_lost = planned.needed_by and not directory.model(name).exists()
            if not is_lost and add(directory, settings, planned, ngpu, metrics, meter):
                return
        _train_and_test(directory, settings, planned, ngpu, keep_models, layers, meter)
    for needed in planned.needs:
        others = map(directory.metrics, needed.needed_by)
        if not needed.run.is_kept(keep_models) and all(p.exists() for p in others):
            remove_if_there(directory.model(needed.run.name))


def _train_and_test(
    directory: ExperimentDir,
    settings: Settings,
    planned: PlannedRun,
    ngpu: int,
    keep_models: str,
    layers: bool,
    meter: CostMeter,
) -> None:
    """Train a run's model, test it, and write its ``metrics.json``.

    The run's directory also gets ``train.yaml``, with which the task's own command does
    the same training, ``train.log``, the predictions and, if asked for, the model and
    the views of its layers.
    """
    run = planned.run
    code = find_task(run.task).code()
    utterances = training_utterances(directory, settings, run)
    config = write_train_yaml(directory, settings, run, utterances)
    start = extract_start(directory, run)
    args = training_arguments(code.ESPNET_TASK, config, ["--ngpu", str(ngpu)])
    criteria = code.criteria(vars(args), run.trained_on, planned.test_languages)
    sent: dict[str, Any] = {}
    if run.method == JOINT or run.shots:
        trained = train_in_memory(code.ESPNET_TASK, args, criteria.values())
    else:
        trained, sent = train_pool(directory, settings, run, args, criteria.values())
    remove_if_there(*start)
    train_seconds, train_cpu_seconds = meter.lap()
    scores: dict[str, Scores] = {}
    checkpoints: dict[str, Any] = {}
    calibrations: dict[str, Calibrations] = {}
    test = _Test(directory, settings, run, trained.model, ngpu)
    with tempfile.TemporaryDirectory() as place:
        dev = DevSets(directory, settings, run, test.predict, place)
        for name in planned.test_languages:
            checkpoints[name] = trained.use(criteria.get(name))
            calibrations[name] = dev.calibrate(name, checkpoints[name]["epoch"])
            scores[name] = test.score(name, calibrations[name])
    logging.info("Tested on %s", ", ".join(scores))
    if run.is_kept(keep_models) or planned.needed_by:
        keep_model(directory, planned, args, trained, criteria, checkpoints)
    test_seconds, test_cpu_seconds = meter.lap()
    costs = {
        "train_cpu_seconds": round(train_cpu_seconds, 3),
        "test_cpu_seconds": round(test_cpu_seconds, 3),
        **meter.costs(),
        **inference_costs(
            run.task,
            trained.model,
            read_test_set(directory, run.task, planned.test_languages[0]),
            _device(ngpu),
        ),
        **model_costs(trained.model),
        **({"sent_bytes": sent["bytes_down"] + sent["bytes_up"]} if sent else {}),
    }
    done = {
        "run": run.name,
        "utterances": len(utterances),
        **_recorded(scores, run.trained_on),
        "calibration": calibrations,
        "checkpoints": checkpoints,
        "validation": trained.validation,
        "train_seconds": round(train_seconds, 3),
        "test_seconds": round(test_seconds, 3),
        "costs": costs,
        **({"rounds": sent} if sent else {}),
        "versions": versions(ngpu),
    }
    if layers:

        def model_of(lang: str) -> tuple[int, AbsESPnetModel]:
            return trained.use(criteria.get(lang))["epoch"], trained.model

        done["layers"] = measure_layers(directory, settings, run, model_of)
    write_metrics(directory.metrics(run.name), done)


def _add_tests(
    directory: ExperimentDir,
    settings: Settings,
    planned: PlannedRun,
    ngpu: int,
    metrics: dict[str, Any],
    meter: CostMeter,
) -> bool:
    """Test a finished run's kept model where the run was not tested yet.

    Returns:
        Whether there was a model to test.
    """
    run = planned.run
    kept = load_kept_model(directory, run)
    if kept is None:
        return False
    model, checkpoint = kept
    added = [name for name in planned.test_languages if name not in metrics["test"]]
    scores: dict[str, Scores] = {}
    checkpoints = dict(metrics["checkpoints"])
    set_backends(config_of_run(settings, run))
    model.to(_device(ngpu))
    calibrations = dict(metrics.get("calibration", {}))
    one = _Test(directory, settings, run, model, ngpu)
    with tempfile.TemporaryDirectory() as place:
        dev = DevSets(directory, settings, run, one.predict, place)
        for name in added:
            calibrations[name] = dev.calibrate(name, checkpoint["epoch"])
            scores[name] = one.score(name, calibrations[name])
            checkpoints[name] = checkpoint
    new = _recorded(scores, run.trained_on)
    test = {**metrics["test"], **new["test"]}
    logging.info("Tested the kept model on %s", ", ".join(added))
    seconds, cpu_seconds = meter.lap()
    costs = {"test_cpu_seconds": round(cpu_seconds, 3), **meter.costs()}
    # In the order of a run that makes all tests at once.
    gone = [name for name in test if name not in planned.test_languages]
    order = [*planned.test_languages, *gone]
    confusion = {**metrics.get("confusion", {}), **new.get("confusion", {})}
    confusion = {name: confusion[name] for name in order if name in confusion}
    done = {
        **metrics,
        "test": {name: test[name] for name in order},
        **({"confusion": confusion} if confusion else {}),
        "calibration": {n: calibrations[n] for n in order if n in calibrations},
        "checkpoints": {name: checkpoints[name] for name in order},
        "test_seconds": round(metrics["test_seconds"] + seconds, 3),
        **({"costs": add_costs(metrics["costs"], costs)} if "costs" in metrics else {}),
        "added_tests": [
            *metrics.get("added_tests", ()),
            {"languages": added, "versions": versions(ngpu)},
        ],
    }
    write_metrics(directory.metrics(run.name), done)
    return True


def _add_layers(
    directory: ExperimentDir,
    settings: Settings,
    planned: PlannedRun,
    ngpu: int,
    metrics: dict[str, Any],
    meter: CostMeter,
) -> bool:
    """Measure the layers of a finished run's kept model.

    Returns:
        Whether there was a model to measure.
    """
    run = planned.run
    kept = {lang: load_kept_model(directory, run, lang) for lang in run.trained_on}

    def model_of(lang: str) -> tuple[int, AbsESPnetModel]:
        model, checkpoint = kept[lang]  # type: ignore[misc]
        return checkpoint["epoch"], model.to(_device(ngpu))

    if None in kept.values():
        return False
    set_backends(config_of_run(settings, run))
    measured = measure_layers(directory, settings, run, model_of)
    logging.info("Measured the layers of the kept model")
    write_metrics(directory.metrics(run.name), {**metrics, "layers": measured})
    return True


@dataclass(frozen=True)
class _Test:
    """Tests of a run's model, with the weights that are in it."""

    directory: ExperimentDir
    settings: Settings
    run: Run
    model: AbsESPnetModel
    ngpu: int

    def score(self, name: str, calibrations: Calibrations) -> Scores:
        """Predict on a test language, write the predictions and score them."""
        run = self.run
        spec = find_task(run.task)
        test_set = read_test_set(self.directory, run.task, name)
        if name in run.trained_on:
            test_set = by_speakers(test_set)
        suffix = spec.code().PREDICTIONS_SUFFIX
        predictions = self.directory.predictions(run.name, name, suffix)
        self.predict(test_set, predictions)
        options = self.settings.options[run.task]
        return spec.score(options, test_set, predictions, calibrations)

    def predict(self, test_set: TestSet, predictions: Path) -> None:
        """Predict on a test or dev set and write the predictions."""
        try:
            find_task(self.run.task).code().predict(
                self.model,
                test_set,
                predictions,
                batch_bins=self.settings.test_batch_bins,
                device=_device(self.ngpu),
            )
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            longest = max(test_set.utterances, key=lambda u: u.num_samples)
            raise UserError(
                f"There is not enough memory to test on {test_set.name}, whose longest "
                f"utterance {longest.utt} has {longest.num_samples / SAMPLE_RATE:.1f} "
                "s: lower --test_batch_bins, or leave longer utterances out."
            ) from error


def _device(ngpu: int) -> str:
    return "cuda" if ngpu > 0 else "cpu"


def _recorded(scores: Mapping[str, Scores], languages: Sequence[str]) -> dict[str, Any]:
    """Return what ``metrics.json`` records of tests of a run on some languages."""
    confusion = {name: s.confusion for name, s in scores.items() if s.confusion}
    test = {name: {**s.metrics, "n_test": s.n_test} for name, s in scores.items()}
    held_out = {
        name: {metric: [round(x, DIGITS) for x in values] for metric, values in found}
        for name, s in scores.items()
        if (found := s.held_out.items())
    }
    measures = {
        name: list(scores[name].measures) for name in languages if name in scores
    }
    return {
        "test": test,
        **({"confusion": confusion} if confusion else {}),
        **({"measures": measures} if any(measures.values()) else {}),
        **({"held_out": held_out} if held_out else {}),
    }


def versions(ngpu: int) -> dict[str, str]:
    """Return the versions that a run's numbers depend on."""
    return {
        "espnet2_cltm": espnet2_cltm.__version__,
        "espnet": espnet.__version__,
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "python": platform.python_version(),
        "device": torch.cuda.get_device_name() if ngpu > 0 else platform.machine(),
    }


@contextmanager
def _logging_to(path: Path, mode: str) -> Iterator[None]:
    """Send the process's log to ``path`` while a run is made."""
    handler = logging.FileHandler(path, mode=mode, encoding="utf-8")
    handler.setFormatter(
        logging.Formatter(
            "%(asctime)s (%(module)s:%(lineno)d) %(levelname)s: %(message)s"
        )
    )
    root = logging.getLogger()
    others, level = root.handlers[:], root.level
    root.handlers = [handler]
    root.setLevel(logging.INFO)  # not by assignment: loggers cache their level
    try:
        yield
    finally:
        root.handlers = others
        root.setLevel(level)
        handler.close()
