"""Ways of making one model of several languages, and their options.

``--pool_method NAME`` chooses ``conf/pool_methods/<name>.yaml``, which holds the way's
options. The way itself is the name, or what stands before its first ``_``: a file
``fedavg_median.yaml`` of one's own is FedAvg with other options. Nothing here imports
torch, so that options are checked before anything else.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from espnet2_cltm.errors import UserError
from espnet2_cltm.files import read_mapping, shipped
from espnet2_cltm.results_format import JOINT

DIRECTORY = Path("conf/pool_methods")
MERGE = "merge"
WEIGHTINGS = ("utterances", "equal")
AGGREGATIONS = ("mean", "trimmed_mean", "median")


@dataclass(frozen=True)
class Joint:
    """One training on the data of all languages."""


@dataclass(frozen=True)
class Merge:
    """The mean of the languages' single runs; nothing is trained.

    Attributes:
        scale: Factor of the mean change from the weights that all started with: 1 is
            the mean of the models, 0 the untrained one.
    """

    scale: float = 1.0

    def __post_init__(self) -> None:
        _require(_is_number(self.scale, 0), "scale", self.scale, "a number from 0")


@dataclass(frozen=True)
class Rounds:
    """Rounds of training in silos, one for each language, that share weights alone.

    Attributes:
        rounds: Number of rounds; None: as many as make ``max_epoch`` epochs.
        clients: Number of silos that train in a round, drawn anew for each; None: all.
        local_epochs: Epochs that a silo trains for in a round.
        weighting: Share of a silo in the mean: its ``utterances``, or ``equal``.
        aggregation: ``mean``, ``trimmed_mean`` or ``median`` of the silos' models.
        trim: Silos that a trimmed mean may lose at either end of each weight.
        mu: Weight of FedProx's pull towards the round's start; 0 is FedAvg.
        step: Share of the way from a round's start to what the silos make of it: 1 is
            FedAvg, less is Reptile.
        step_falls: Whether the step falls to 0 over the rounds, in equal parts.
    """

    rounds: int | None = None
    clients: int | None = None
    local_epochs: int = 1
    weighting: str = "utterances"
    aggregation: str = "mean"
    trim: int = 1
    mu: float = 0.0
    step: float = 1.0
    step_falls: bool = False

    def __post_init__(self) -> None:
        for name in ("rounds", "clients"):
            value = getattr(self, name)
            is_known = value is None or _is_whole(value, 1)
            _require(is_known, name, value, "a whole number from 1, or null")
        for name in ("local_epochs", "trim"):
            value = getattr(self, name)
            _require(_is_whole(value, 1), name, value, "a whole number from 1")
        for name, known in (("weighting", WEIGHTINGS), ("aggregation", AGGREGATIONS)):
            value = getattr(self, name)
            _require(value in known, name, value, " or ".join(known))
        _require(_is_number(self.mu, 0), "mu", self.mu, "a number from 0")
        is_share = _is_number(self.step, 0) and 0 < self.step <= 1
        _require(is_share, "step", self.step, "above 0 and at most 1")
        is_truth = isinstance(self.step_falls, bool)
        _require(is_truth, "step_falls", self.step_falls, "true or false")

    def for_silos(self, n: int) -> int:
        """Return the number of silos that train in a round, of so many.

        Raises:
            UserError: There are fewer than the options ask for.
        """
        clients = self.clients or n
        if clients > n:
            raise UserError(
                f"clients: {clients} is more than the {n} "
                "languages of a pool: lower it, or set it to null for all."
            )
        if self.aggregation == "trimmed_mean" and clients <= 2 * self.trim:
            raise UserError(
                f"trim: {self.trim} leaves nothing of {clients} "
                f"silos: it needs {2 * self.trim + 1} or more in a round; lower it, or "
                "set aggregation to median or mean."
            )
        return clients

    def n_rounds(self, max_epoch: int) -> int:
        """Return the number of rounds, given the epochs of the configuration."""
        return self.rounds or max(max_epoch // self.local_epochs, 1)

    def step_of(self, number: int, n_rounds: int) -> float:
        """Return the step of a round, counted from 0."""
        return self.step * (1 - number / n_rounds if self.step_falls else 1.0)


@dataclass(frozen=True)
class Fomaml:
    """First-order MAML: weights from which a few steps on a language lead far.

    Each batch is of one language. Its first half moves the weights, its second half
    gives the gradient there, with which the weights of the start are updated.

    Attributes:
        inner_lr: Learning rate of the inner steps, plain gradient descent.
        inner_steps: Number of these.
    """

    inner_lr: float = 0.01
    inner_steps: int = 1

    def __post_init__(self) -> None:
        is_rate = _is_number(self.inner_lr, 0) and self.inner_lr > 0
        _require(is_rate, "inner_lr", self.inner_lr, "a number above 0")
        is_count = _is_whole(self.inner_steps, 1)
        _require(is_count, "inner_steps", self.inner_steps, "a whole number from 1")


Method = Joint | Merge | Rounds | Fomaml


def trainings(
    method: Method, n_donors: int, max_epoch: int, are_steps_equal: bool
) -> float:
    """Return how many trainings as long as the joint one a way takes.

    Args:
        method: The way.
        n_donors: Number of donors.
        max_epoch: Epochs of the joint training.
        are_steps_equal: Whether a silo takes as many steps an epoch as the joint
            training; else its epoch is a pass through its own data.
    """
    if isinstance(method, Merge):
        return 0.0
    if isinstance(method, Fomaml):
        return method.inner_steps + 1.0
    if isinstance(method, Joint):
        return 1.0
    epochs = method.n_rounds(max_epoch) * method.local_epochs
    of_each = 1.0 if are_steps_equal else 1 / n_donors
    return method.for_silos(n_donors) * of_each * epochs / max_epoch


METHODS: Mapping[str, type[Method]] = {
    JOINT: Joint,
    MERGE: Merge,
    "fedavg": Rounds,
    "fedprox": Rounds,
    "reptile": Rounds,
    "fomaml": Fomaml,
}
"""Ways by name."""


def read_pool_method(name: str) -> dict[str, Any]:
    """Return the options in a file of ``conf/pool_methods/``, all filled in.

    Raises:
        UserError: The file is missing, or cannot be used.
    """
    path = shipped(DIRECTORY / f"{name}.yaml")
    if not re.fullmatch(r"[\w-]+", name) or not path.exists():
        known = sorted({*METHODS, *(file.stem for file in DIRECTORY.glob("*.yaml"))})
        raise UserError(
            f"--pool_method {name} is not known: give some of {' '.join(known)}, or "
            f"write {DIRECTORY}/<name>.yaml."
        )
    content = read_mapping(path, "options of a way to pool languages")
    try:
        return asdict(method_of(name, content))
    except UserError as error:
        raise UserError(f"{path}: {error}") from error


def kind_of(name: str) -> str:
    """Return the way that a name stands for."""
    return name.partition("_")[0]


def method_of(name: str, options: Mapping[str, Any]) -> Method:
    """Return a way of pooling with its options.

    Raises:
        UserError: It is not known, or its options cannot be used.
    """
    kind = kind_of(name)
    if kind not in METHODS:
        raise UserError(
            f"{name} does not begin with a way of pooling languages: name it "
            f"{', '.join(METHODS)} or, with other options, such as fedavg_median."
        )
    known = [field.name for field in fields(METHODS[kind])]
    for option in options:
        if option not in known:
            raise UserError(
                f"{option} is not an option of {kind}: give "
                f"{', '.join(known) or 'none'}."
            )
    return METHODS[kind](**options)


def _require(is_valid: bool, option: str, value: object, wanted: str) -> None:
    if not is_valid:
        raise UserError(f"{option}: {value} must be {wanted}.")


def _is_number(value: object, lowest: float) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return math.isfinite(value) and value >= lowest


def _is_whole(value: object, lowest: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= lowest
