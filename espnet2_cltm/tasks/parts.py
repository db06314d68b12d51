"""What the tasks' models and data are made of, where several tasks share it."""

import argparse
from typing import Any

import numpy as np
import torch
from espnet2.asr.frontend.abs_frontend import AbsFrontend
from espnet2.spk.projector.abs_projector import AbsProjector

from espnet2_cltm.errors import foreign, require_known
from espnet2_cltm.frontend.audio_llm import AudioLlmFrontend
from espnet2_cltm.frontend.batches import FULL_SCALE_16_BIT
from espnet2_cltm.frontend.families import NAMES
from espnet2_cltm.frontend.hubert import HubertFrontend
from espnet2_cltm.tasks.espnet import ClassChoices

FRONTENDS: dict[str, type[AbsFrontend]] = {
    **dict.fromkeys(NAMES, HubertFrontend),
    "audio_llm": AudioLlmFrontend,
}
"""The package's own frontends, by their names in ESPnet's options"""


def build_part(choices: ClassChoices, args: argparse.Namespace, **inputs: Any) -> Any:
    """Build the part that the configuration names, with its ``_conf``.

    Args:
        choices: Classes to choose from, by name.
        args: The task's arguments.
        **inputs: Further arguments of the class, such as ``input_size``.

    Returns:
        The part; None where it is optional and not named.

    Raises:
        UserError: There is no such part, or it does not take one of the options.
    """
    name = getattr(args, choices.name)
    conf = getattr(args, f"{choices.name}_conf")
    if name is None and choices.optional:
        return None
    require_known(choices.name, name, choices.classes)
    with foreign(
        f"{choices.name}: {name} cannot be built with {choices.name}_conf", "correct it"
    ):
        return choices.classes[name](**inputs, **conf)


class LinearProjector(AbsProjector):
    """One linear layer: the first half of the published gender head.

    Args:
        input_size: Size of the pooled vector.
        output_size: Size of the projection; 256 in arXiv:2603.08231.
    """

    def __init__(self, input_size: int, output_size: int = 256):
        super().__init__()
        self.linear = torch.nn.Linear(input_size, output_size)

    def output_size(self) -> int:
        """Return the size of the projection."""
        return self.linear.out_features

    def forward(self, utt_embd: torch.Tensor) -> torch.Tensor:
        """Project (batch, input_size) to (batch, output_size)."""
        return self.linear(utt_embd)


def scale_waveform(speech: np.ndarray) -> np.ndarray:
    """Scale a waveform to [-1, 1).

    ESPnet's data type ``sound`` delivers floats in [-1, 1), ``kaldi_ark`` 16-bit
    integers. HuBERT's normalisation hides most of that difference; mel features and
    checkpoints without normalisation do not.

    Args:
        speech: (samples,) floats, taken as they are, or 16-bit integers.

    Returns:
        (samples,) float32.
    """
    if np.issubdtype(speech.dtype, np.integer):
        return speech.astype(np.float32) / np.float32(FULL_SCALE_16_BIT)
    return speech.astype(np.float32, copy=False)
