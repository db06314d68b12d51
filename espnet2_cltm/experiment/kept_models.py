"""Models of runs that are kept, for tests on languages that are added and as a start.

A kept model is one archive in its run's directory, with the checkpoints that the run's
tests used. Another run may go on with its weights, and lays them beside its
configuration while it needs them.
"""

import argparse
import logging
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from espnet2.train.abs_espnet_model import AbsESPnetModel

from espnet2_cltm.errors import UserError
from espnet2_cltm.experiment.layout import ExperimentDir
from espnet2_cltm.experiment.plan import PlannedRun, Run
from espnet2_cltm.files import remove_if_there
from espnet2_cltm.registry import find_task
from espnet2_cltm.task import Criterion
from espnet2_cltm.tasks.model_files import (
    PackedModel,
    load_model,
    pack_model,
    read_packed_model,
)
from espnet2_cltm.tasks.training import Trained

START = "start.pth"
"""Weights that a training goes on with, in its run's directory while it needs them."""


def keep_model(
    directory: ExperimentDir,
    planned: PlannedRun,
    args: argparse.Namespace,
    trained: Trained,
    criteria: Mapping[str, Criterion],
    checkpoints: Mapping[str, Mapping[str, Any]],
) -> None:
    """Pack a tested model with the checkpoints that the tests used, each once.

    Args:
        directory: The experiment.
        planned: The run.
        args: ESPnet's arguments of its training.
        trained: The trained model and its checkpoints.
        criteria: Criterion that chose the checkpoint, by test.
        checkpoints: What :meth:`Trained.use` returned, by test.
    """
    weights = {}
    entries = {}
    for name in planned.test_languages:
        file = f"{checkpoints[name]['epoch']}epoch.pth"
        entries[name] = {"file": file, **checkpoints[name]}
        if not trained.best:
            weights[file] = trained.model.state_dict()
        elif name in criteria:
            weights[file] = trained.best[criteria[name]].weights
        else:
            assert trained.last is not None
            weights[file] = trained.last.weights
    run = planned.run
    path = directory.model(run.name)
    # What a killed process leaves of a base model is some 100 MB.
    remove_if_there(*path.parent.glob(f".{path.name}.*"))
    packed = PackedModel(path, run.task, run.name, run.trained_on, entries)
    pack_model(path, trained.model, args, weights, packed)


def load_kept_model(
    directory: ExperimentDir, run: Run, language: str | None = None
) -> tuple[AbsESPnetModel, dict[str, Any]] | None:
    """Build a run's kept model, as it was tested or for tests that are added later.

    Pairs get no such tests. Those of other runs all use one checkpoint: other languages
    take the one that is best in the mean over the run's languages, which is a single
    run's own.

    Args:
        directory: The experiment.
        run: The run.
        language: Language whose test's checkpoint is taken; None for a further test.

    Returns:
        The model, on the CPU, and the ``checkpoints`` entry of that test; None
        where the model was not kept or cannot be used, which is logged: the run has
        to be repeated.
    """
    path = directory.model(run.name)
    if (language is None and run.kind == "pair") or not path.exists():
        return None
    try:
        packed = read_packed_model(path)
        if packed.run != run.name:
            raise UserError(f"{path} is the model of {packed.run}.")
        with tempfile.TemporaryDirectory() as extracted:
            files = packed.extract(extracted, language)
            model = load_model(find_task(run.task).code().ESPNET_TASK, **files)
    except UserError as error:
        logging.warning("%s The run will be repeated.", error)
        return None
    entry = packed.checkpoints[language or _further_test(packed)]
    return model, {k: v for k, v in entry.items() if k != "file"}


def extract_start(directory: ExperimentDir, run: Run) -> tuple[Path, ...]:
    """Lay the weights that a run goes on with beside its configuration.

    Args:
        directory: The experiment.
        run: The run.

    Returns:
        Their file, which is needed until they are loaded; nothing for other runs.

    Raises:
        UserError: The model that has them is damaged or gone.
    """
    if run.start is None:
        return ()
    packed = read_packed_model(directory.model(run.start.name))
    place = directory.run(run.name) / START
    with tempfile.TemporaryDirectory(dir=place.parent) as extracted:
        files = packed.extract(extracted, _further_test(packed))
        Path(files["model_file"]).rename(place)
    return (place,)


def _further_test(packed: PackedModel) -> str:
    """Return a test whose checkpoint is that of tests on further languages."""
    return min(packed.checkpoints, key=lambda name: (name in packed.languages, name))
