"""w2v-BERT's input: Kaldi's log-mel energies, two frames in one.

As transformers' ``SeamlessM4TFeatureExtractor`` computes them: 80 bands every 10 ms, in
the scale of 16-bit integers, each band of an utterance with zero mean and unit
variance. Here it is Kaldi's own algorithm in torchaudio, on the waveform's device.
"""

import torch
from torchaudio.compliance.kaldi import fbank

from espnet2_cltm.corpus.audio import SAMPLE_RATE
from espnet2_cltm.frontend.batches import FULL_SCALE_16_BIT
from espnet2_cltm.frontend.families import MEL_BANDS


def log_energies(waveform: torch.Tensor) -> torch.Tensor:
    """Compute an utterance's log-mel energies.

    Args:
        waveform: (samples,) float32 in [-1, 1] at 16 kHz, without padding.

    Returns:
        (frames, 80) float32, a frame every 10 ms.
    """
    with torch.no_grad(), torch.autocast(waveform.device.type, enabled=False):
        return fbank(
            waveform[None].float() * FULL_SCALE_16_BIT,
            num_mel_bins=MEL_BANDS,
            sample_frequency=SAMPLE_RATE,
        )


def log_mel(waveform: torch.Tensor, stacked: int) -> torch.Tensor:
    """Compute an utterance's features.

    Args:
        waveform: (samples,) float32 in [-1, 1] at 16 kHz, without padding.
        stacked: Number of frames of 10 ms that are put into one.

    Returns:
        (frames, 80 * stacked) float32.
    """
    with torch.no_grad(), torch.autocast(waveform.device.type, enabled=False):
        energies = log_energies(waveform)
        deviation = torch.sqrt(energies.var(dim=0) + 1e-7)
        energies = (energies - energies.mean(dim=0)) / deviation
        n_frames = len(energies) // stacked
        return energies[: n_frames * stacked].reshape(n_frames, -1)
