"""Keeping a run's model, and testing a kept one again.

A run of one language may get tests later, when a language is added to its experiment;
its model, where it was kept, is tested on them without being trained again.
"""

import argparse
import logging
import tempfile
from collections.abc import Mapping
from typing import Any

from espnet2.train.abs_espnet_model import AbsESPnetModel

from espnet2_cltm.errors import UserError
from espnet2_cltm.experiment.layout import ExperimentDir
from espnet2_cltm.experiment.plan import PlannedRun
from espnet2_cltm.experiment.run import Run
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


def keep_model(
    directory: ExperimentDir,
    planned: PlannedRun,
    args: argparse.Namespace,
    trained: Trained,
    criteria: Mapping[str, Criterion],
    checkpoints: Mapping[str, Mapping[str, Any]],
) -> None:
    """Pack a tested model, each checkpoint that a test took once.

    Args:
        directory: The experiment.
        planned: The run.
        args: ESPnet's arguments of its training.
        trained: What was trained.
        criteria: What chose the checkpoint for each test.
        checkpoints: What :meth:`Trained.use` said of each test.
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
            weights[file] = trained.last.weights
    run = planned.run
    path = directory.model(run.name)
    # Half a base model that a killed process left is some 100 MB.
    remove_if_there(*path.parent.glob(f".{path.name}.*"))
    packed = PackedModel(path, run.task, run.name, run.languages, entries)
    pack_model(path, trained.model, args, weights, packed)


def load_kept_model(
    directory: ExperimentDir, run: Run
) -> tuple[AbsESPnetModel, dict[str, Any]] | None:
    """Build a run's kept model for tests that are added.

    A run of one language alone gets any. Whatever the test, it takes one checkpoint:
    the mean over the run's languages, which chooses it for other languages, is that
    of its own.

    Args:
        directory: The experiment.
        run: The run.

    Returns:
        The model, on the CPU, and the ``checkpoints`` entry of a further test. None
        where the model was not kept or can't be used, which is logged: then the run
        has to be made again.
    """
    path = directory.model(run.name)
    if len(run.languages) > 1 or not path.exists():
        return None
    try:
        packed = read_packed_model(path)
        if packed.run != run.name:
            raise UserError(f"{path} is the model of {packed.run}.")
        with tempfile.TemporaryDirectory() as extracted:
            files = packed.extract(extracted)
            model = load_model(find_task(run.task).code().ESPNET_TASK, **files)
    except UserError as error:
        logging.warning("%s The run is made again.", error)
        return None
    return model, _entry_of_another_test(packed)


def _entry_of_another_test(packed: PackedModel) -> dict[str, Any]:
    """Return the entry of a test on another language, else that of the own one."""
    name = min(packed.checkpoints, key=lambda name: (name in packed.languages, name))
    return {k: v for k, v in packed.checkpoints[name].items() if k != "file"}
