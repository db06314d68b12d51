"""Bringing what ESPnet's data types deliver to one waveform scale.

ESPnet's ``sound`` gives floats in [-1, 1); its ``kaldi_ark`` gives the ark's 16-bit
integers as floats, 32768 times larger. HuBERT's normalisation hides most of that
difference, a mel frontend or a checkpoint without normalisation does not.
"""

from collections.abc import Sequence

import numpy as np


class WaveformScale:
    """Scales ``speech`` to [-1, 1) according to its data type.

    Args:
        data_path_and_name_and_type: The triples given to
            ``--train_data_path_and_name_and_type`` or its like.
    """

    def __init__(self, data_path_and_name_and_type: Sequence[Sequence[str]]):
        types = {name: kind for _, name, kind in data_path_and_name_and_type}
        self.factor = 1.0 / 32768.0 if types.get("speech") == "kaldi_ark" else 1.0

    def __call__(self, speech: np.ndarray) -> np.ndarray:
        """Give (samples,) float32 in [-1, 1)."""
        return speech.astype(np.float32, copy=False) * np.float32(self.factor)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(factor={self.factor})"
