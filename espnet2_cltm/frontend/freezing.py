"""Taking parts of a HuBERT out of training."""

import logging

from torch import nn
from transformers import HubertModel

from espnet2_cltm.errors import UserError

CONVOLUTIONS = -1
"""Stands for what the convolutions give, below hidden state 0."""


def freeze_parts(
    hubert: HubertModel, freeze: str, freeze_layers: int
) -> tuple[list[nn.Module], int | None]:
    """Take the gradient from parts of the encoder.

    Args:
        hubert: The encoder.
        freeze: ``none``, ``cnn`` (the convolutions), or ``all``.
        freeze_layers: Freeze the first k transformer layers and all before them.

    Returns:
        Those parts, and the highest hidden state that they give: its number,
        :data:`CONVOLUTIONS`, or None where nothing is frozen.

    Raises:
        UserError: An argument is not among its choices.
    """
    depth = hubert.config.num_hidden_layers
    if freeze not in ("none", "cnn", "all"):
        raise UserError(
            f"freeze: {freeze} in frontend_conf is unknown: give none, cnn or all."
        )
    if not 0 <= freeze_layers <= depth:
        raise UserError(
            f"freeze_layers: {freeze_layers} in frontend_conf must lie between 0 and "
            f"{depth} for this encoder."
        )
    highest: int | None
    if freeze == "all":
        frozen: list[nn.Module] = [hubert]
        highest = depth
    elif freeze_layers > 0:
        encoder = hubert.encoder
        frozen = [
            hubert.feature_extractor,
            hubert.feature_projection,
            encoder.pos_conv_embed,
            encoder.dropout,
            *encoder.layers[:freeze_layers],
        ]
        if not hubert.config.do_stable_layer_norm:
            frozen.append(encoder.layer_norm)  # stands before the first layer
        highest = freeze_layers
    elif freeze == "cnn":
        frozen = [hubert.feature_extractor]
        highest = CONVOLUTIONS
    else:
        return [], None
    hubert.feature_extractor._freeze_parameters()
    for module in frozen:
        module.requires_grad_(False)
    logging.info(
        "Frozen encoder parameters: %d of %d",
        sum(p.numel() for p in hubert.parameters() if not p.requires_grad),
        sum(p.numel() for p in hubert.parameters()),
    )
    return frozen, highest
