"""Waveforms and frames of utterances of several lengths, in one tensor."""

from collections.abc import Iterable, Sequence

import numpy as np
import torch
from torch import nn

FULL_SCALE_16_BIT = 32768
_LOUDEST = 8.0  # of waveforms in [-1, 1], with much room for what processing adds


def in_full_scale(waveforms: torch.Tensor) -> torch.Tensor:
    """Bring waveforms that are in the scale of 16-bit integers to [-1, 1).

    Whole numbers are, of which floats in [-1, 1] have none but silence, and so are, of
    others (such as speech with noise added), those that are far beyond full scale.
    """
    are_whole = (waveforms == waveforms.round()).all(dim=1, keepdim=True)
    are_loud = waveforms.abs().amax(dim=1, keepdim=True) > _LOUDEST
    scaled = waveforms / FULL_SCALE_16_BIT
    return torch.where(are_whole | are_loud, scaled, waveforms)


def batch_of(
    waveforms: Iterable[np.ndarray], device: str | torch.device = "cpu"
) -> tuple[torch.Tensor, torch.Tensor]:
    """Put copies of waveforms into one tensor.

    Args:
        waveforms: (samples,) float32 each.
        device: Device of the result.

    Returns:
        (batch, samples), zero-padded at the end, and (batch,) numbers of samples.
    """
    rows = [torch.tensor(waveform) for waveform in waveforms]
    speech = nn.utils.rnn.pad_sequence(rows, batch_first=True)
    return speech.to(device), torch.tensor([len(row) for row in rows], device=device)


def padded(utterances: Sequence[torch.Tensor], n_frames: int) -> torch.Tensor:
    """Put (frames, size) of several utterances into one (batch, n_frames, size)."""
    rows = [nn.functional.pad(u, (0, 0, 0, n_frames - len(u))) for u in utterances]
    return torch.stack(rows)


def valid_mask(lengths: Sequence[int], size: int, device: torch.device) -> torch.Tensor:
    """Return a (batch, size) bool mask, true within each utterance's length."""
    positions = torch.arange(size, device=device)
    return positions.unsqueeze(0) < torch.tensor(lengths, device=device).unsqueeze(1)


def zero_mean_unit_variance(
    waveforms: torch.Tensor, mask: torch.Tensor | None
) -> torch.Tensor:
    """Normalise each waveform as transformers' feature extractor does.

    The constant 1e-7 is ``Wav2Vec2FeatureExtractor.zero_mean_unit_var_norm``'s.
    """
    if mask is None:
        mean = waveforms.mean(dim=1, keepdim=True)
        variance = waveforms.var(dim=1, correction=0, keepdim=True)
        return (waveforms - mean) / torch.sqrt(variance + 1e-7)
    count = mask.sum(dim=1, keepdim=True)
    mean = (waveforms * mask).sum(dim=1, keepdim=True) / count
    centred = (waveforms - mean) * mask
    variance = centred.square().sum(dim=1, keepdim=True) / count
    return centred / torch.sqrt(variance + 1e-7)
