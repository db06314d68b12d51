"""Federated training of ESPnet's models: silos, in this process or one a machine.

A silo trains with ESPnet's trainer and options on data of its own, as :mod:`.training`
does. Its optimiser begins anew in each round, its schedule of learning rates goes on:
both follow from the round's number, so that a silo keeps nothing between rounds.
"""

import argparse
import logging
import warnings
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any

import torch
from espnet2.schedulers.abs_scheduler import (
    AbsBatchStepScheduler,
    AbsEpochStepScheduler,
)
from espnet2.train.abs_espnet_model import AbsESPnetModel

from espnet2_cltm.pooling.meta import MetaLearner
from espnet2_cltm.pooling.methods import Fomaml, Rounds
from espnet2_cltm.pooling.rounds import RoundRecord, federate, one_after_another, pulled
from espnet2_cltm.pooling.weights import Weights, trained_weights
from espnet2_cltm.task import Criterion
from espnet2_cltm.tasks.building import build_optimization, start_model
from espnet2_cltm.tasks.espnet import AbsTask
from espnet2_cltm.tasks.training import (
    Epochs,
    Trained,
    build_iterators,
    keep_best,
    train_in_memory,
)


class Silo:
    """A silo's data, and a model to train on them.

    Args:
        task: ESPnet task.
        args: ESPnet's arguments, with the silo's training data.
        model: Model as :func:`start_model` built it; silos of one process may share it.
        method: Options of the rounds.
    """

    def __init__(
        self,
        task: type[AbsTask],
        args: argparse.Namespace,
        model: AbsESPnetModel,
        method: Rounds,
    ):
        self._task, self._args, self._model, self._method = task, args, model, method
        self._begun_with = {n: v.clone() for n, v in model.state_dict().items()}
        self._iterators = build_iterators(task, args, "train")

    def __call__(self, weights: Weights, number: int) -> dict[str, torch.Tensor]:
        """Train for a round.

        Args:
            weights: The weights that were sent.
            number: Number of the round, from 0.

        Returns:
            What was trained, see :func:`.trained_weights`.

        Raises:
            UserError: No step of an epoch had a finite gradient.
        """
        task, args, model = self._task, self._args, self._model
        model.load_state_dict({**self._begun_with, **weights})
        before = number * self._method.local_epochs
        n_batches = len(self._iterators.build_iter(before + 1))
        optimizers, schedulers = build_optimization(task, args, model)
        _advance(schedulers, before, before * n_batches // args.accum_grad)
        training = Epochs(task, args, model, optimizers, schedulers)
        reporter = training.reporter
        with pulled(model, self._method.mu):
            for epoch in range(before + 1, before + self._method.local_epochs + 1):
                # ESPnet counts a training's batches from what it reported before.
                done = {"total_count": (epoch - 1) * n_batches}
                reporter.stats.setdefault(epoch - 1, {"train": done})
                training.train(epoch, self._iterators.build_iter(epoch))
                logging.info(reporter.log_message())
        return trained_weights(model)


def _advance(schedulers: Iterable[Any], epochs: int, steps: int) -> None:
    """Bring schedules to where so many epochs and steps lead."""
    with warnings.catch_warnings():
        # The optimiser has made none of these steps.
        warnings.filterwarnings("ignore", r"Detected call of `lr_scheduler\.step")
        for scheduler in schedulers:
            is_of_epochs = isinstance(scheduler, AbsEpochStepScheduler)
            is_of_steps = isinstance(scheduler, AbsBatchStepScheduler)
            for _ in range(epochs if is_of_epochs else steps if is_of_steps else 0):
                scheduler.step()


def train_in_rounds(
    task: type[AbsTask],
    args: argparse.Namespace,
    of_silos: Mapping[str, argparse.Namespace],
    utterances: Mapping[str, int],
    method: Rounds,
    criteria: Iterable[Criterion] = (),
) -> tuple[Trained, list[RoundRecord]]:
    """Train a model in silos that are simulated one after another.

    Args:
        task: ESPnet task.
        args: ESPnet's arguments, with the validation data of all silos, on which the
            weights are validated after every round.
        of_silos: The same with the training data of each silo.
        utterances: Number of training utterances of each silo.
        method: Options.
        criteria: Criteria that choose a round; without any, nothing is validated.

    Returns:
        The model, whose epochs are rounds, and a record of each round.

    Raises:
        UserError: The configuration does not build a model, or the weights of a silo
            cannot be used.
    """
    model = start_model(task, args)
    silos = {n: Silo(task, one, model, method) for n, one in of_silos.items()}
    n_rounds = method.n_rounds(args.max_epoch)
    trained = Trained(model, n_rounds)
    criteria = sorted(set(criteria))
    training = Epochs(task, args, model)
    iterators = build_iterators(task, args, "valid") if criteria else None
    begun_with = {name: value.clone() for name, value in model.state_dict().items()}

    def validate(number: int, weights: Weights) -> None:
        if iterators is None:
            return
        model.load_state_dict({**begun_with, **weights})
        training.reporter.set_epoch(number + 1)
        training.validate(iterators.build_iter(number + 1))
        keep_best(trained, training.reporter, criteria, number + 1)

    weights, records = federate(
        trained_weights(model),
        one_after_another(silos),
        utterances,
        method,
        n_rounds,
        args.seed,
        validate,
    )
    model.load_state_dict({**begun_with, **weights})
    return trained, records


def train_to_adapt(
    task: type[AbsTask],
    args: argparse.Namespace,
    of_silos: Mapping[str, argparse.Namespace],
    method: Fomaml,
    criteria: Iterable[Criterion] = (),
) -> Trained:
    """Train a model by FOMAML, on batches of one silo each, in turn.

    It takes as many batches as a training on all data together.

    Args:
        task: ESPnet task.
        args: ESPnet's arguments, with the data of all silos.
        of_silos: The same with the training data of each silo.
        method: Options.
        criteria: Criteria that choose checkpoints.

    Raises:
        UserError: The configuration does not build a model, or a batch is too small.
    """
    joint = build_iterators(task, args, "train")
    factories = [
        build_iterators(task, one, "train") for _, one in sorted(of_silos.items())
    ]

    def batches(epoch: int) -> Iterator[Any]:
        # The first of an epoch changes, or the last would often get one batch less.
        first = epoch % len(factories)
        turn = [*factories[first:], *factories[:first]]
        in_turn = _in_turn([one.build_iter(epoch) for one in turn])
        return islice(in_turn, len(joint.build_iter(epoch)))

    return train_in_memory(
        task, args, criteria, batches, lambda model: MetaLearner(model, method)
    )


def _in_turn(iterables: Iterable[Iterable[Any]]) -> Iterator[Any]:
    """Take one of each in turn, until all are empty."""
    iterators = [iter(one) for one in iterables]
    while iterators:
        for one in list(iterators):
            try:
                yield next(one)
            except StopIteration:
                iterators.remove(one)
