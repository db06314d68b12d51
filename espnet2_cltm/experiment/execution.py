"""Making one run: train, predict, score, and only then mark it as done.

``metrics.json`` is written last, to a temporary name, and renamed: a run with this file
is complete, and a run that was killed has none. A run that lacks nothing but tests, on
languages that were added later, is tested with its model, if that was kept.
"""

import logging
import platform
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
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
from espnet2_cltm.experiment.results import read_metrics, recorded, write_metrics
from espnet2_cltm.experiment.run_config import write_train_yaml
from espnet2_cltm.experiment.settings import Settings
from espnet2_cltm.experiment.strategies import config_of_run
from espnet2_cltm.files import remove_if_there
from espnet2_cltm.registry import find_task
from espnet2_cltm.results_format import JOINT
from espnet2_cltm.task import Scores, TestSet
from espnet2_cltm.tasks.adaptation import is_out_of_memory
from espnet2_cltm.tasks.building import set_backends
from espnet2_cltm.tasks.training import train_in_memory, training_arguments


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
        directory: The experiment.
        settings: Its settings.
        planned: The run.
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
    mode = "w" if metrics is None else "a"
    with _logging_to(directory.log(name), mode), CostMeter(ngpu) as meter:
        making = _Making(directory, settings, planned, ngpu, meter)
        is_lost = planned.needed_by and not directory.model(name).exists()
        if metrics is None or is_lost or not making.add(metrics, layers):
            making.train_and_test(keep_models, layers)
    for needed in planned.needs:
        others = map(directory.metrics, needed.needed_by)
        if not needed.run.is_kept(keep_models) and all(p.exists() for p in others):
            remove_if_there(directory.model(needed.run.name))


@dataclass(frozen=True)
class _Making:
    """A run in the making."""

    directory: ExperimentDir
    settings: Settings
    planned: PlannedRun
    ngpu: int
    meter: CostMeter

    @property
    def run(self) -> Run:
        return self.planned.run

    @property
    def device(self) -> str:
        return "cuda" if self.ngpu > 0 else "cpu"

    def train_and_test(self, keep_models: str, layers: bool) -> None:
        """Train the run's model, test it, and write its ``metrics.json``.

        The run's directory also gets ``train.yaml``, with which the task's own command
        does the same training, ``train.log``, the predictions and, if asked for, the
        model and the views of its layers.
        """
        directory, settings = self.directory, self.settings
        planned, run = self.planned, self.run
        code = find_task(run.task).code()
        utterances = training_utterances(directory, settings, run)
        config = write_train_yaml(directory, settings, run, utterances)
        start = extract_start(directory, run)
        args = training_arguments(code.ESPNET_TASK, config, ["--ngpu", str(self.ngpu)])
        criteria = code.criteria(vars(args), run.trained_on, planned.test_languages)
        sent: dict[str, Any] = {}
        if run.method == JOINT or run.shots:
            trained = train_in_memory(code.ESPNET_TASK, args, criteria.values())
        else:
            trained, sent = train_pool(
                directory, settings, run, args, criteria.values()
            )
        remove_if_there(*start)
        train_seconds, train_cpu_seconds = self.meter.lap()
        tested = self._test(
            trained.model,
            planned.test_languages,
            lambda name: trained.use(criteria.get(name)),
        )
        logging.info("Tested on %s", ", ".join(planned.test_languages))
        if run.is_kept(keep_models) or planned.needed_by:
            keep_model(
                directory, planned, args, trained, criteria, tested["checkpoints"]
            )
        test_seconds, test_cpu_seconds = self.meter.lap()
        costs = {
            "train_cpu_seconds": round(train_cpu_seconds, 3),
            "test_cpu_seconds": round(test_cpu_seconds, 3),
            **self.meter.costs(),
            **inference_costs(
                run.task,
                trained.model,
                read_test_set(directory, run.task, planned.test_languages[0]),
                self.device,
            ),
            **model_costs(trained.model),
            **({"sent_bytes": sent["bytes_down"] + sent["bytes_up"]} if sent else {}),
        }
        done = {
            "run": run.name,
            "utterances": len(utterances),
            **tested,
            "validation": trained.validation,
            "train_seconds": round(train_seconds, 3),
            "test_seconds": round(test_seconds, 3),
            "costs": costs,
            **({"rounds": sent} if sent else {}),
            "versions": versions(self.ngpu),
        }
        if layers:

            def model_of(lang: str) -> tuple[int, AbsESPnetModel]:
                return trained.use(criteria.get(lang))["epoch"], trained.model

            done["layers"] = measure_layers(directory, settings, run, model_of)
        write_metrics(directory.metrics(run.name), done)

    def add(self, metrics: dict[str, Any], layers: bool) -> bool:
        """Add what a finished run lacks; return whether there is a model for it."""
        is_tested = set(self.planned.test_languages) <= metrics["test"].keys()
        lacks_layers = layers and is_tested and "layers" not in metrics
        added = (self._add_layers if lacks_layers else self._add_tests)(metrics)
        if added is not None:
            write_metrics(self.directory.metrics(self.run.name), {**metrics, **added})
        return added is not None

    def _add_tests(self, metrics: dict[str, Any]) -> dict[str, Any] | None:
        """Test the kept model where the run was not tested yet."""
        kept = load_kept_model(self.directory, self.run)
        if kept is None:
            return None
        model, checkpoint = kept
        languages = self.planned.test_languages
        added = [name for name in languages if name not in metrics["test"]]
        set_backends(config_of_run(self.settings, self.run))
        new = self._test(model.to(self.device), added, lambda name: checkpoint)
        logging.info("Tested the kept model on %s", ", ".join(added))
        seconds, cpu_seconds = self.meter.lap()
        costs = {"test_cpu_seconds": round(cpu_seconds, 3), **self.meter.costs()}
        # In the order of a run that makes all tests at once.
        order = dict.fromkeys([*languages, *metrics["test"]])
        tested = {}
        for part in ("test", "confusion", "calibration", "checkpoints"):
            found = {**metrics.get(part, {}), **new.get(part, {})}
            if found:
                tested[part] = {name: found[name] for name in order if name in found}
        if "costs" in metrics:
            tested["costs"] = add_costs(metrics["costs"], costs)
        return {
            **tested,
            "test_seconds": round(metrics["test_seconds"] + seconds, 3),
            "added_tests": [
                *metrics.get("added_tests", ()),
                {"languages": added, "versions": versions(self.ngpu)},
            ],
        }

    def _add_layers(self, metrics: dict[str, Any]) -> dict[str, Any] | None:
        """Measure the layers of the kept model."""
        run = self.run
        kept = {
            lang: found
            for lang in run.trained_on
            if (found := load_kept_model(self.directory, run, lang)) is not None
        }
        if len(kept) < len(run.trained_on):
            return None

        def model_of(lang: str) -> tuple[int, AbsESPnetModel]:
            model, checkpoint = kept[lang]
            return checkpoint["epoch"], model.to(self.device)

        set_backends(config_of_run(self.settings, run))
        measured = measure_layers(self.directory, self.settings, run, model_of)
        logging.info("Measured the layers of the kept model")
        return {"layers": measured}

    def _test(
        self,
        model: AbsESPnetModel,
        names: Sequence[str],
        use: Callable[[str], dict[str, Any]],
    ) -> dict[str, Any]:
        """Test a model, and return what ``metrics.json`` records of it.

        Args:
            names: What it is tested on.
            use: Function that puts the weights for a test into the model, and returns
                the test's entry of ``checkpoints``.
        """
        scores: dict[str, Scores] = {}
        checkpoints: dict[str, Any] = {}
        calibrations: dict[str, Calibrations] = {}
        with tempfile.TemporaryDirectory() as place:
            predict = partial(self._predict, model)
            dev = DevSets(self.directory, self.settings, self.run, predict, place)
            for name in names:
                checkpoints[name] = use(name)
                calibrations[name] = dev.calibrate(name, checkpoints[name]["epoch"])
                scores[name] = self._score(model, name, calibrations[name])
        return {
            **recorded(scores, self.run.trained_on),
            "calibration": calibrations,
            "checkpoints": checkpoints,
        }

    def _score(
        self, model: AbsESPnetModel, name: str, calibrations: Calibrations
    ) -> Scores:
        """Predict on a test language, write the predictions and score them."""
        run = self.run
        spec = find_task(run.task)
        test_set = read_test_set(self.directory, run.task, name)
        if name in run.trained_on:
            test_set = by_speakers(test_set)
        suffix = spec.code().PREDICTIONS_SUFFIX
        predictions = self.directory.predictions(run.name, name, suffix)
        self._predict(model, test_set, predictions)
        options = self.settings.options[run.task]
        return spec.score(options, test_set, predictions, calibrations)

    def _predict(
        self, model: AbsESPnetModel, test_set: TestSet, predictions: Path
    ) -> None:
        """Predict on a test or dev set and write the predictions."""
        try:
            find_task(self.run.task).code().predict(
                model,
                test_set,
                predictions,
                batch_bins=self.settings.test_batch_bins,
                device=self.device,
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
