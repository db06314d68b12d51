"""Visual grounding: what is said and what is seen are to be found by each other.

Two encoders, of a caption and of its picture, end in vectors of one size, whose cosines
are compared within a batch (the coarse path of FaST-VGS, arXiv:2109.08186). The loss is
InfoNCE with a margin, from the caption to the picture and back::

    s_ij = cos(caption_i, picture_j) / temperature
    L = - mean_i log exp(s_ii - m) / (exp(s_ii - m) + sum_{j: not i's} exp(s_ij)) - ...

with the sum over the other pictures of the batch. Another caption's copy of picture i
is left out, as it is not a wrong answer. The second term has i and j exchanged.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn
from transformers import AutoModel, BaseImageProcessor

from espnet2_cltm.errors import UserError, foreign, require_known
from espnet2_cltm.pretraining.features import mean_over

POOLINGS = ("attention", "mean")
CNN = "cnn"


class SmallCnn(nn.Module):
    """Four convolutions and a mean over places: for small pictures, from scratch.

    Args:
        channels: Number of channels of the first convolution; each has twice as many
            as the one before, and half its width and height.
    """

    def __init__(self, channels: int = 32):
        super().__init__()
        layers: list[nn.Module] = []
        size = 3
        for number in range(4):
            wider = channels * 2**number
            layers += [
                nn.Conv2d(size, wider, kernel_size=3, stride=2, padding=1),
                nn.GroupNorm(min(8, wider), wider),
                nn.ReLU(),
            ]
            size = wider
        self.layers = nn.Sequential(*layers)

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        """Map (batch, size, size, 3) uint8 to (batch, 8 * channels)."""
        values = pictures.permute(0, 3, 1, 2).float() / 127.5 - 1
        return self.layers(values).mean(dim=(2, 3))


class VisionModel(nn.Module):
    """A vision model from transformers: what it pools, or else its first token.

    Args:
        name: Local directory or hub id, such as one of DINOv2 or CLIP.
        frozen: Whether it stays as it is; a projection alone is trained then.

    Raises:
        UserError: The model is not found, or transformers cannot load it.
    """

    mean: torch.Tensor
    deviation: torch.Tensor

    def __init__(self, name: str, frozen: bool = True):
        super().__init__()
        with foreign(
            f"image_encoder: {name} cannot be used",
            f"give {CNN}, or a directory or hub id of a vision model of transformers",
        ):
            model = AutoModel.from_pretrained(name)
            processor, _ = BaseImageProcessor.get_image_processor_dict(name)
            scale = [processor.get(key, 0.5) for key in ("image_mean", "image_std")]
            mean, deviation = (torch.tensor(value).expand(3) for value in scale)
        # Of two towers, such as CLIP's, the one that sees.
        self.model = getattr(model, "vision_model", model)
        self.frozen = frozen
        self.model.requires_grad_(not frozen)
        self.register_buffer("mean", mean.clone(), persistent=False)
        self.register_buffer("deviation", deviation.clone(), persistent=False)
        self.train()

    def train(self, mode: bool = True) -> "VisionModel":
        """Set the mode; what is frozen stays in evaluation mode."""
        super().train(mode)
        if self.frozen:
            self.model.eval()
        return self

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        """Map (batch, size, size, 3) uint8 to (batch, hidden size)."""
        values = (pictures.float() / 255 - self.mean) / self.deviation
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.frozen):
            output = self.model(pixel_values=values.permute(0, 3, 1, 2))
            pooled = getattr(output, "pooler_output", None)
            return (
                output.last_hidden_state[:, 0] if pooled is None else pooled.flatten(1)
            )


class AttentionPooling(nn.Module):
    """Mean over frames, each weighed by a learned function of it.

    Args:
        size: Size of a frame.
    """

    def __init__(self, size: int):
        super().__init__()
        self.score = nn.Sequential(nn.Linear(size, size), nn.Tanh(), nn.Linear(size, 1))

    def forward(self, states: torch.Tensor, frames: torch.Tensor) -> torch.Tensor:
        """Map (batch, frames, size) and (batch, frames) bool to (batch, size)."""
        scores = self.score(states).squeeze(2).masked_fill(~frames, -torch.inf)
        return torch.einsum("bt,btd->bd", scores.softmax(dim=1), states)


class Grounding(nn.Module):
    """Vectors of captions and pictures, and the loss of finding one by the other.

    Args:
        speech_size: Size of a frame of speech.
        num_layers: Number of the speech encoder's layers.
        picture_size: Width and height of the pictures.
        layer: Hidden state that captions are pooled from, from 0, which enters the
            first layer; None for the last.
        pooling: ``attention`` or ``mean`` over frames.
        size: Size of the vectors.
        temperature: Divisor of the cosines.
        margin: What is taken from the right pair's quotient in training.
        image_encoder: ``cnn``, or a vision model of transformers by directory or hub
            id.
        image_encoder_conf: Arguments of :class:`SmallCnn` or :class:`VisionModel`.

    Raises:
        UserError: An argument is not among its choices, or the image encoder is not
            found or does not take pictures of this size.
    """

    def __init__(
        self,
        speech_size: int,
        num_layers: int,
        picture_size: int,
        layer: int | None = None,
        pooling: str = "attention",
        size: int = 256,
        temperature: float = 0.07,
        margin: float = 1.0,
        image_encoder: str = CNN,
        image_encoder_conf: Mapping[str, Any] | None = None,
    ):
        super().__init__()
        self.layer = num_layers if layer is None else layer
        if not 0 <= self.layer <= num_layers:
            raise UserError(
                f"layer: {layer} in grounding_conf must lie between 0 and {num_layers} "
                "for this encoder."
            )
        require_known("pooling", pooling, POOLINGS, "in grounding_conf")
        if not temperature > 0:
            raise UserError(
                f"temperature: {temperature} in grounding_conf must be above 0."
            )
        self.temperature = temperature
        self.margin = margin
        self.attention = AttentionPooling(speech_size) if pooling != "mean" else None
        self.speech_projection = nn.Linear(speech_size, size)
        conf = dict(image_encoder_conf or {})
        with foreign(
            f"image_encoder: {image_encoder} cannot be used for pictures of "
            f"{picture_size} pixels with image_encoder_conf: {conf}",
            "correct it, or give another --image_size",
        ):
            self.image_encoder: nn.Module = (
                SmallCnn(**conf)
                if image_encoder == CNN
                else VisionModel(image_encoder, **conf)
            )
            with torch.no_grad():
                black = torch.zeros(1, picture_size, picture_size, 3, dtype=torch.uint8)
                seen = self.image_encoder(black).shape[1]
        self.picture_projection = nn.Linear(seen, size)

    def embed_speech(self, states: torch.Tensor, frames: torch.Tensor) -> torch.Tensor:
        """Map (batch, frames, speech_size) of :attr:`layer` to unit vectors.

        Args:
            states: Hidden states.
            frames: (batch, frames) bool, true where there is speech.
        """
        pooled = (
            mean_over(states, frames)
            if self.attention is None
            else self.attention(states, frames)
        )
        return nn.functional.normalize(self.speech_projection(pooled), dim=1)

    def embed_pictures(self, pictures: torch.Tensor) -> torch.Tensor:
        """Map (batch, picture_size, picture_size, 3) uint8 to unit vectors."""
        seen = self.image_encoder(pictures)
        return nn.functional.normalize(self.picture_projection(seen), dim=1)

    def forward(
        self, captions: torch.Tensor, pictures: torch.Tensor, picture_ids: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Compare captions with pictures.

        Args:
            captions: (batch, size) unit vectors.
            pictures: (batch, size) unit vectors, in the same order.
            picture_ids: (batch,) int64, equal where pictures are the same.

        Returns:
            The loss, and the share of captions whose picture is nearest.
        """
        logits = captions @ pictures.T / self.temperature
        return margin_info_nce(logits, picture_ids, self.margin)


def margin_info_nce(
    logits: torch.Tensor, picture_ids: torch.Tensor, margin: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Compute InfoNCE both ways, with a margin, and without wrong negatives.

    Args:
        logits: (batch, batch), of captions and pictures; right ones on the diagonal.
        picture_ids: (batch,) int64: pairs of equal numbers off the diagonal are not
            compared.
        margin: What is taken from the diagonal.

    Returns:
        The sum of both directions' mean losses, and the share of captions whose own
        logit is the highest of those that are compared.
    """
    own = torch.eye(len(logits), dtype=torch.bool, device=logits.device)
    same = picture_ids.unsqueeze(0) == picture_ids.unsqueeze(1)
    logits = logits.masked_fill(same & ~own, torch.finfo(logits.dtype).min)
    right = torch.arange(len(logits), device=logits.device)
    found = (logits.argmax(dim=1) == right).float().mean()
    harder = logits - margin * own
    loss = nn.functional.cross_entropy(harder, right)
    return loss + nn.functional.cross_entropy(harder.T, right), found
