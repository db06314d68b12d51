"""A first convolution that begins as a filterbank.

A network that has to find out first that speech has a spectrum spends its first
thousands of steps on it. Where the first convolution begins as band-pass filters on
the mel scale, as in SincNet (arXiv:1808.00158) and LEAF (arXiv:2101.08596), they are
saved; its weights are trained as all others.
"""

import librosa
import numpy as np
import torch
from transformers import HubertModel

from espnet2_cltm.corpus.audio import SAMPLE_RATE
from espnet2_cltm.errors import UserError

LOWEST, HIGHEST = 60.0, 7400.0
"""Hz, middle of the first and the last band."""


def start_as_filterbank(hubert: HubertModel) -> None:
    """Set the first convolution's weights to band-pass filters, in place.

    Each band has a cosine and a sine. Bands lie evenly on the mel scale, their width
    is that of hearing (the equivalent rectangular bandwidth of Glasberg and Moore,
    1990) or what the kernel's length allows, and higher bands are amplified, since
    speech has less power there.

    Args:
        hubert: Its first convolution has an even number of channels.

    Raises:
        UserError: The number is odd.
    """
    conv = hubert.feature_extractor.conv_layers[0].conv
    channels, _, taps = conv.weight.shape
    if channels % 2:
        raise UserError(
            f"init_filterbank needs an even number in conv_dim, not {channels}: a "
            "band has a cosine and a sine."
        )
    hertz = librosa.mel_frequencies(channels // 2, fmin=LOWEST, fmax=HIGHEST, htk=True)
    bandwidth = 24.7 * (4.37 * hertz / 1000 + 1)
    seconds = (np.arange(taps) - (taps - 1) / 2) / SAMPLE_RATE
    # 0.6: a Gaussian of this deviation has about that equivalent bandwidth.
    envelope = np.exp(-0.5 * (1.2 * np.pi * np.outer(bandwidth, seconds)) ** 2)
    envelope *= np.hanning(taps + 2)[1:-1]
    phase = 2 * np.pi * np.outer(hertz, seconds)
    filters = np.concatenate([envelope * np.cos(phase), envelope * np.sin(phase)])
    filters /= np.linalg.norm(filters, axis=1, keepdims=True)
    filters *= np.tile(1 + hertz / 500, 2)[:, None]
    with torch.no_grad():
        conv.weight.copy_(torch.from_numpy(filters).unsqueeze(1))
