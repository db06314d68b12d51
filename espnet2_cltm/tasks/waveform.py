"""Bringing what ESPnet's data types deliver to one waveform scale.

ESPnet's ``sound`` gives floats in [-1, 1); its ``kaldi_ark`` gives the 16-bit
integers of an ark as they are. HuBERT's normalisation hides most of that difference,
a mel frontend or a checkpoint without normalisation does not.
"""

import numpy as np


def scale_waveform(speech: np.ndarray) -> np.ndarray:
    """Scale a waveform to [-1, 1).

    Args:
        speech: (samples,) floats, taken as they are, or 16-bit integers.

    Returns:
        (samples,) float32.
    """
    if np.issubdtype(speech.dtype, np.integer):
        return speech.astype(np.float32) / np.float32(32768)
    return speech.astype(np.float32, copy=False)
