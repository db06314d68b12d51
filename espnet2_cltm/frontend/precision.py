"""The precision that an encoder computes in: 32 bits, or bfloat16 where it is enough.

With ``model_conf: {autocast: bfloat16}`` a model's encoder runs under PyTorch's
autocast, in training and in prediction: weights, their gradients and what follows the
encoder stay float32, and no loss is scaled, for bfloat16 has the range of float32.
ESPnet's own ``use_amp`` covers training alone, scales the loss, and does nothing on a
CPU.
"""

from contextlib import AbstractContextManager, nullcontext

import torch

from espnet2_cltm.errors import UserError

AUTOCAST_CHOICES = ("none", "bfloat16")


def check_autocast(autocast: str) -> None:
    """Refuse a precision that there is not.

    Raises:
        UserError: ``autocast`` is not among the choices.
    """
    if autocast not in AUTOCAST_CHOICES:
        raise UserError(
            f"autocast: {autocast} in model_conf is unknown: give one of "
            f"{', '.join(AUTOCAST_CHOICES)}."
        )


def encoder_precision(
    autocast: str, device: torch.device
) -> AbstractContextManager[None]:
    """Give the context in which an encoder is called.

    Args:
        autocast: One of :data:`AUTOCAST_CHOICES`; ``none`` leaves the precision to
            whoever calls the model.
        device: Where the encoder is.
    """
    if autocast == "none":
        return nullcontext()
    return torch.autocast(device.type, dtype=torch.bfloat16)
