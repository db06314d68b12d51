"""Arithmetic on models' weights: means, robust means, task arithmetic.

Weights are tensors by name, as in a ``state_dict``. What is not a floating-point number
(a counter of batches) is taken from the first model. Everything is computed in float64
and returned in the first model's type, on its device, so that the order of models
changes no more than the last bit of a float64.
"""

from collections.abc import Callable, Collection, Mapping, Sequence

import torch

from espnet2_cltm.errors import UserError

Weights = Mapping[str, torch.Tensor]


def trained_weights(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Return copies of what a training changes in a model.

    That is every parameter with gradient, and the buffers of the modules that are
    trained, such as running means.
    """
    state = model.state_dict(keep_vars=True)
    trained_in = {
        name.rpartition(".")[0]
        for name, value in state.items()
        if isinstance(value, torch.nn.Parameter) and value.requires_grad
    }
    return {
        name: value.detach().clone()
        for name, value in state.items()
        if (
            value.requires_grad
            if isinstance(value, torch.nn.Parameter)
            else name.rpartition(".")[0] in trained_in
        )
    }


def size_of(weights: Weights) -> int:
    """Return the bytes of weights, as they would travel uncompressed."""
    return sum(value.nbytes for value in weights.values())


def not_finite(weights: Weights) -> str | None:
    """Return the name of a weight that is not finite; None where all are."""
    return next((n for n, value in weights.items() if not value.isfinite().all()), None)


def require_alike(models: Mapping[str, Weights], but: Collection[str] = ()) -> None:
    """Refuse models whose weights differ in name or shape.

    Args:
        models: Weights by the name of the model.
        but: Beginnings of names that need not be alike.

    Raises:
        UserError: Two differ.
    """
    (first, weights), *others = models.items()
    shapes = _shapes(weights, but)
    for name, other in others:
        if odd := shapes.items() ^ _shapes(other, but).items():
            raise UserError(
                f"The models of {first} and {name} differ in {min(odd)[0]}, so that "
                "they cannot be averaged: train both with the same configuration and "
                "the same classes or tokens."
            )


def _shapes(weights: Weights, but: Collection[str]) -> dict[str, tuple[int, ...]]:
    return {
        name: tuple(value.shape)
        for name, value in weights.items()
        if not name.startswith(tuple(but))
    }


def mean(models: Sequence[Weights], shares: Sequence[float]) -> dict[str, torch.Tensor]:
    """Return the weighted mean of models: sum_k share_k w_k / sum_k share_k.

    Args:
        models: One or more, with weights of the same names and shapes.
        shares: A positive number of each, such as its utterances.
    """
    whole = sum(shares)

    def of(values: torch.Tensor) -> torch.Tensor:
        parts = torch.tensor(shares, dtype=values.dtype, device=values.device) / whole
        return torch.tensordot(parts, values, dims=1)

    return _by_coordinate(of, models)


def trimmed_mean(models: Sequence[Weights], n: int) -> dict[str, torch.Tensor]:
    """Return the mean of each weight without its n smallest and n largest values.

    Up to n models that are wrong in any way, not finite included, leave it between the
    values of the others (Yin et al., 2018, arXiv:1803.01498, definition 2).

    Args:
        models: More than 2n.
        n: Number of values cut at either end.
    """

    def of(values: torch.Tensor) -> torch.Tensor:
        ordered = values.nan_to_num(nan=torch.inf, posinf=torch.inf, neginf=-torch.inf)
        return ordered.sort(dim=0).values[n : len(models) - n].mean(dim=0)

    return _by_coordinate(of, models)


def median(models: Sequence[Weights]) -> dict[str, torch.Tensor]:
    """Return the median of each weight, the mean of the middle two of an even number.

    It withstands nearly half of the models (arXiv:1803.01498, definition 1).
    """
    return trimmed_mean(models, (len(models) - 1) // 2)


def moved(
    start: Weights, towards: Sequence[Weights], scale: float
) -> dict[str, torch.Tensor]:
    """Return start + scale * mean_k (w_k - start).

    With scale 1 it is the mean. Of models that were trained from the same start the
    differences are task vectors (Ilharco et al., 2023, arXiv:2212.04089); of models of
    a round it is Reptile's step (Nichol et al., 2018, arXiv:1803.02999).

    Args:
        start: Weights that all began with; it may hold more than the others. What it
            lacks, as nothing trained it before, is the mean.
        towards: One or more models, with weights of the same names and shapes.
        scale: Length of the step.
    """
    average = mean(towards, [1] * len(towards))
    if scale == 1:
        return average
    begun = {name: start.get(name, value) for name, value in average.items()}

    def of(values: torch.Tensor) -> torch.Tensor:
        return values[1] + scale * (values[0] - values[1])

    return _by_coordinate(of, [average, begun])


def _by_coordinate(
    function: Callable[[torch.Tensor], torch.Tensor], models: Sequence[Weights]
) -> dict[str, torch.Tensor]:
    """Apply a function to the stacked float64 values, (n_models, ...), of each name."""
    found = {}
    for name, first in models[0].items():
        if not first.is_floating_point():
            found[name] = first.clone()
            continue
        values = torch.stack([model[name].to(first.device) for model in models])
        found[name] = function(values.double()).to(first.dtype)
    return found
