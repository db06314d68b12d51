"""Making a pool's model in other ways than by one training on all of its data.

``fedavg``, ``fedprox`` and ``reptile`` train in silos of one language each, which are
simulated one after another; every silo's configuration stands in
``runs/<run>/silos/<lang>/train.yaml``, with which it could train elsewhere. ``merge``
averages the donors' single runs, whose models are kept as long as a run needs them.
"""

import argparse
import logging
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import torch

from espnet2_cltm.corpus.utterance_list import ListedUtterance
from espnet2_cltm.experiment.drawn import read_test_set, utterances_by_language
from espnet2_cltm.experiment.layout import ExperimentDir
from espnet2_cltm.experiment.plan import Run
from espnet2_cltm.experiment.settings import Settings
from espnet2_cltm.experiment.strategies import config_of_run
from espnet2_cltm.files import read_mapping
from espnet2_cltm.pooling.methods import Fomaml, Merge, Rounds
from espnet2_cltm.pooling.rounds import RoundRecord
from espnet2_cltm.pooling.weights import moved, require_alike, trained_weights
from espnet2_cltm.registry import find_task
from espnet2_cltm.task import Criterion
from espnet2_cltm.tasks.building import start_model
from espnet2_cltm.tasks.model_files import load_model, read_packed_model
from espnet2_cltm.tasks.silos import train_in_rounds, train_to_adapt
from espnet2_cltm.tasks.training import Trained, training_arguments, write_train_config

_DATA = ("train_data_path_and_name_and_type", "train_shape_file")
"""Options of ESPnet in which silos differ."""


def train_pool(
    directory: ExperimentDir,
    settings: Settings,
    run: Run,
    args: argparse.Namespace,
    criteria: Iterable[Criterion],
) -> tuple[Trained, dict[str, Any]]:
    """Make a pool's model by its method.

    Args:
        directory: The experiment.
        settings: Its settings.
        run: The run, whose ``train.yaml`` is there.
        args: ESPnet's arguments of that file.
        criteria: Criteria that choose an epoch or a round.

    Returns:
        The model; and, where silos exchanged weights, ``bytes_down``, ``bytes_up`` and
        ``by_round``, else nothing.

    Raises:
        UserError: The configuration or the data do not allow it, or the model of a
            single run is damaged or does not fit the others'.
    """
    task = find_task(run.task).code().ESPNET_TASK
    method = settings.pool_method(run.method)
    if isinstance(method, Merge):
        return _merge(directory, run, args, method), {}
    parts = utterances_by_language(directory, settings, run)
    n_rounds = method.n_rounds(args.max_epoch) if isinstance(method, Rounds) else 0
    of_silos = {
        lang: _silo_arguments(
            directory,
            settings,
            run,
            lang,
            utterances,
            n_rounds * method.local_epochs if isinstance(method, Rounds) else None,
            args.ngpu,
        )
        for lang, utterances in parts.items()
    }
    if isinstance(method, Fomaml):
        return train_to_adapt(task, args, of_silos, method, criteria), {}
    assert isinstance(method, Rounds)
    sizes = {lang: len(utterances) for lang, utterances in parts.items()}
    trained, records = train_in_rounds(task, args, of_silos, sizes, method, criteria)
    return trained, _sent(records)


def _silo_arguments(
    directory: ExperimentDir,
    settings: Settings,
    run: Run,
    lang: str,
    utterances: Sequence[ListedUtterance],
    max_epoch: int | None,
    ngpu: int,
) -> argparse.Namespace:
    """Write the configuration of a silo, and return its arguments."""
    code = find_task(run.task).code()
    place = directory.run(run.name) / "silos" / lang
    options = settings.options[run.task]
    dev = [read_test_set(directory, run.task, lang, "dev")]
    data = code.write_training_data(
        place, utterances, dev, settings.test_batch_bins, options
    )
    config = read_mapping(directory.run(run.name) / "train.yaml", "a run's training")
    # The schedule as asked for: a silo has steps of its own.
    schedule = config_of_run(settings, run).get("scheduler_conf")
    config |= {"scheduler_conf": schedule} if schedule else {}
    config |= {"max_epoch": max_epoch} if max_epoch else {}
    config |= {name: data[name] for name in _DATA}
    write_train_config(code.ESPNET_TASK, config, place / "train.yaml")
    return training_arguments(
        code.ESPNET_TASK, place / "train.yaml", ["--ngpu", str(ngpu)]
    )


def _sent(records: Iterable[RoundRecord]) -> dict[str, Any]:
    by_round = [{**asdict(one), "clients": list(one.clients)} for one in records]
    return {
        "bytes_down": sum(one["bytes_down"] for one in by_round),
        "bytes_up": sum(one["bytes_up"] for one in by_round),
        "by_round": by_round,
    }


def _merge(
    directory: ExperimentDir, run: Run, args: argparse.Namespace, method: Merge
) -> Trained:
    """Average the single runs that a run needs, and train nothing."""
    spec = find_task(run.task)
    task = spec.code().ESPNET_TASK
    own = tuple(filter(None, spec.own_weights.split(",")))
    model = start_model(task, args)
    models = {"the pool": _without(trained_weights(model), own)}
    for needed in run.needs:
        packed = read_packed_model(directory.model(needed.name))
        with tempfile.TemporaryDirectory() as extracted:
            donor = load_model(task, **packed.extract(extracted)).to(
                next(model.parameters()).device
            )
        state = donor.state_dict()
        kept = state.keys() & models["the pool"].keys()
        models[needed.name] = {name: state[name] for name in sorted(kept)}
    require_alike(models)
    begun_with = models.pop("the pool")
    averaged = moved(begun_with, list(models.values()), method.scale)
    model.load_state_dict({**model.state_dict(), **averaged})
    logging.info("Averaged %s", ", ".join(models))
    return Trained(model, last_epoch=0)


def _without(
    weights: Mapping[str, torch.Tensor], beginnings: tuple[str, ...]
) -> dict[str, torch.Tensor]:
    return {n: w for n, w in weights.items() if not n.startswith(beginnings)}
