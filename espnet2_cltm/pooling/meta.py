"""First-order MAML: one update that makes a few steps on a new language go far.

With theta the weights, S and Q two halves of a batch of one language and alpha the
inner rate, theta' = theta - alpha * grad L_S(theta), some times over, and the update of
theta follows grad L_Q(theta'), as if theta' did not depend on theta's gradients (Finn
et al., 2017, arXiv:1703.03400, section 5.2).
"""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch.func import functional_call

from espnet2_cltm.errors import UserError
from espnet2_cltm.pooling.methods import Fomaml

Loss = Callable[[Mapping[str, torch.Tensor]], torch.Tensor]


def adapted(
    parameters: Mapping[str, torch.Tensor], support: Loss, method: Fomaml
) -> dict[str, torch.Tensor]:
    """Return parameters after the inner steps.

    The steps themselves are constants: the derivative of what is returned by the
    parameters is the identity.

    Args:
        parameters: Those that are trained, by name.
        support: Function from parameters to the loss of the support half.
        method: Options.
    """
    moved = dict(parameters)
    for _ in range(method.inner_steps):
        gradients = torch.autograd.grad(
            support(moved), list(moved.values()), allow_unused=True
        )
        moved = {
            name: value if g is None else value - method.inner_lr * g.detach()
            for (name, value), g in zip(moved.items(), gradients, strict=True)
        }
    return moved


class MetaLearner(torch.nn.Module):
    """An ESPnet model that is trained by FOMAML's gradients.

    Its loss is that of the second half of a batch after inner steps on the first half,
    and the gradient of it by the model's parameters is FOMAML's.

    Args:
        module: The model. It has this name so that ESPnet's trainer takes it for a
            wrapped one, as in distributed training.
        method: Options.

    Attributes:
        passes: Number of the model's forward passes in a batch.
    """

    def __init__(self, module: torch.nn.Module, method: Fomaml):
        super().__init__()
        self.module = module
        self.method = method
        self.passes = method.inner_steps + 1

    def forward(self, **batch: Any) -> tuple[torch.Tensor, dict, torch.Tensor]:
        """Return loss, statistics and weight of the second half.

        Args:
            **batch: ESPnet's batch; every entry has one item an utterance.

        Raises:
            UserError: There are fewer than two utterances.
        """
        n = len(batch["utt_id"])
        if n < 2:
            raise UserError(
                "--pool_method fomaml needs batches of two utterances or more: raise "
                "batch_size in the training configuration."
            )
        halves = [
            {name: value[part] for name, value in batch.items()}
            for part in (slice(0, n // 2), slice(n // 2, n))
        ]
        # Each place once: a module in two places must not be put back twice.
        places = {
            f"{at}.{name}".lstrip("."): parameter
            for at, part in self.module.named_modules()
            for name, parameter in part.named_parameters(
                recurse=False, remove_duplicate=False
            )
        }
        names = {p: name for name, p in places.items() if p.requires_grad}
        trained = {name: parameter for parameter, name in names.items()}

        def of(half: dict[str, Any], moved: Mapping[str, torch.Tensor]) -> Any:
            swapped = {x: moved[names[p]] for x, p in places.items() if p in names}
            return functional_call(self.module, swapped, (), half, tie_weights=False)

        moved = adapted(trained, lambda p: of(halves[0], p)[0], self.method)
        return of(halves[1], moved)
