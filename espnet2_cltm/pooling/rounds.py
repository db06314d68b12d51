"""Federated rounds: models are trained in silos and averaged, and only weights travel.

A silo takes weights and the number of a round, trains on its own data, and gives
weights back. It keeps nothing between rounds, so that it may be a function of this
process (a simulation) or a client on another machine
(:mod:`espnet2_cltm.tasks.flower`), and a client that was restarted goes on as if
nothing had happened.

FedAvg is McMahan et al., 2017, arXiv:1602.05629; FedProx, which pulls a silo's weights
towards those it was sent, Li et al., 2020, arXiv:1812.06127; Reptile, whose silos are
tasks, Nichol et al., 2018, arXiv:1803.02999.
"""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch

from espnet2_cltm.errors import UserError
from espnet2_cltm.pooling.methods import Rounds
from espnet2_cltm.pooling.weights import (
    Weights,
    mean,
    median,
    moved,
    not_finite,
    require_alike,
    size_of,
    trimmed_mean,
)
from espnet2_cltm.subsets import random_order

Silo = Callable[[Weights, int], Weights]
"""Function of (weights, number of the round, from 0) that returns trained weights."""

Silos = Callable[[Sequence[str], Weights, int], Mapping[str, Weights]]
"""Function of (names of silos, weights, number of the round) that has these silos train
and returns the weights of each."""


def one_after_another(silos: Mapping[str, Silo]) -> Silos:
    """Return silos of this process as a whole."""
    return lambda names, weights, number: {
        name: silos[name](weights, number) for name in names
    }


@dataclass(frozen=True)
class RoundRecord:
    """What a round moved.

    Attributes:
        clients: Silos that trained.
        bytes_down: Bytes of weights sent to them, together.
        bytes_up: Bytes of weights that they sent back, together.
    """

    clients: tuple[str, ...]
    bytes_down: int
    bytes_up: int


def choose_silos(
    names: Sequence[str], method: Rounds, seed: int, number: int
) -> list[str]:
    """Return the silos that train in a round, sorted.

    Args:
        names: Names of all silos.
        method: Options.
        seed: Seed of the draw.
        number: Number of the round, from 0.
    """
    n = method.for_silos(len(names))
    order = random_order(sorted(names), seed, f"round {number}")
    return sorted(order[:n])


def aggregate(
    start: Weights,
    models: Mapping[str, Weights],
    utterances: Mapping[str, int],
    method: Rounds,
    step: float = 1.0,
) -> dict[str, torch.Tensor]:
    """Make one model of those that silos have trained.

    Args:
        start: Weights that were sent to them; it may hold more than they sent back.
        models: Weights by silo.
        utterances: Number of training utterances by silo.
        method: Options.
        step: Share of the way from the start.

    Raises:
        UserError: The models differ in names or shapes, or a mean would not be finite.
    """
    require_alike(models)
    names = sorted(models)
    ordered = [models[name] for name in names]
    if method.aggregation == "trimmed_mean":
        found = trimmed_mean(ordered, method.trim)
    elif method.aggregation == "median":
        found = median(ordered)
    else:
        is_equal = method.weighting == "equal"
        found = mean(ordered, [1 if is_equal else utterances[name] for name in names])
    if (bad := not_finite(found)) is not None:
        spoilt = [name for name in names if not_finite(models[name]) is not None]
        raise UserError(
            f"The weights that {' and '.join(spoilt)} sent are not finite, {bad} "
            "first: look at that silo's data and log, or set aggregation to median, or "
            f"to trimmed_mean with trim: {len(spoilt)} or more."
        )
    return found if step == 1.0 else moved(start, [found], step)


def federate(
    start: Weights,
    silos: Silos,
    utterances: Mapping[str, int],
    method: Rounds,
    n_rounds: int,
    seed: int,
    after_round: Callable[[int, Weights], None] = lambda number, weights: None,
) -> tuple[dict[str, torch.Tensor], list[RoundRecord]]:
    """Train in rounds.

    Args:
        start: The weights that are trained.
        silos: Function that has silos train.
        utterances: Number of training utterances by silo.
        method: Options.
        n_rounds: Number of rounds.
        seed: Seed of the draws of silos.
        after_round: Function that is told the number of a round, from 0, and the
            weights after it.

    Returns:
        The weights at the end, and a record of each round.

    Raises:
        UserError: See :func:`aggregate` and :meth:`.Rounds.for_silos`.
    """
    weights = {name: value.clone() for name, value in start.items()}
    records = []
    for number in range(n_rounds):
        chosen = choose_silos(list(utterances), method, seed, number)
        models = silos(chosen, weights, number)
        step = method.step_of(number, n_rounds)
        made = aggregate(weights, models, utterances, method, step)
        records.append(
            RoundRecord(
                tuple(chosen),
                len(chosen) * size_of(weights),
                sum(size_of(model) for model in models.values()),
            )
        )
        weights.update(made)
        after_round(number, weights)
        logging.info(
            "Round %d of %d: %s, %d bytes down, %d up",
            number + 1,
            n_rounds,
            " ".join(chosen),
            records[-1].bytes_down,
            records[-1].bytes_up,
        )
    return weights, records


@contextmanager
def pulled(model: torch.nn.Module, mu: float) -> Iterator[None]:
    """Add FedProx's mu / 2 * ||w - w_start||^2 to a model's loss within the block.

    Args:
        model: ESPnet model, which returns loss, statistics and weight, with the weights
            it starts from.
        mu: Weight of the pull; 0 adds nothing.
    """
    if not mu:
        yield
        return
    trained = [p for p in model.parameters() if p.requires_grad]
    anchors = [p.detach().clone() for p in trained]

    def add(_: torch.nn.Module, __: tuple, output: tuple) -> tuple | None:
        if not model.training:
            return None
        loss, stats, weight = output
        pull = mu / 2 * distance(trained, anchors)
        return loss + pull, {**stats, "pull": pull.detach()}, weight

    handle = model.register_forward_hook(add)
    try:
        yield
    finally:
        handle.remove()


def distance(
    one: Sequence[torch.Tensor], other: Sequence[torch.Tensor]
) -> torch.Tensor:
    """Return the squared distance of weights, a scalar with gradient."""
    squares = [(a - b).square().sum() for a, b in zip(one, other, strict=True)]
    return torch.stack(squares).sum()
