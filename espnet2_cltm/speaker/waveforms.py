"""Trimming and change of tempo: the waveforms that an embedding is averaged over.

Waveforms are float32 at 16 kHz, before and after. Silence at both ends is cut once;
then there is one waveform per speed. A speed below 1 plays slower, so the waveform
becomes longer; the pitch, which characterises the speaker, stays.

Nothing here depends on chance, time or the number of threads: the same samples always
give the same bits.
"""

from collections.abc import Sequence

import librosa  # loads its parts, which takes seconds, only when they are used
import numpy as np

from espnet2_cltm.corpus.audio import MIN_SAMPLES
from espnet2_cltm.corpus.tempo import change_tempo

TRIM_FRAME, TRIM_HOP = 2048, 512
"""Length and shift, in samples, of the frames whose loudness is measured."""


def trim_silence(waveform: np.ndarray, top_db: float | None) -> np.ndarray:
    """Cut silence at both ends.

    Frames of TRIM_FRAME samples every TRIM_HOP samples are silent where their root
    mean square is ``top_db`` or more below that of the loudest one. Where fewer than
    MIN_SAMPLES would remain, a window of MIN_SAMPLES around them is kept, shifted
    inwards at the ends; a shorter waveform stays whole.

    Args:
        waveform: (samples,) float32 at 16 kHz.
        top_db: Positive level in dB; None cuts nothing.

    Returns:
        A view of the waveform, at least MIN_SAMPLES long if the waveform is.
    """
    if top_db is None or len(waveform) <= MIN_SAMPLES:
        return waveform
    _, limits = librosa.effects.trim(
        waveform, top_db=top_db, frame_length=TRIM_FRAME, hop_length=TRIM_HOP
    )
    start, end = map(int, limits)
    lacking = MIN_SAMPLES - (end - start)
    if lacking > 0:
        start = min(max(start - lacking // 2, 0), len(waveform) - MIN_SAMPLES)
        end = start + MIN_SAMPLES
    return waveform[start:end]


def variants(
    waveform: np.ndarray, speeds: Sequence[float], trim_db: float | None
) -> list[np.ndarray]:
    """Trim once, and return one waveform for each speed, in their order.

    Args:
        waveform: (samples,) float32 at 16 kHz.
        speeds: Tempo factors, see :func:`change_tempo`.
        trim_db: Level of silence, see :func:`trim_silence`.
    """
    trimmed = trim_silence(waveform, trim_db)
    return [change_tempo(trimmed, speed) for speed in speeds]
