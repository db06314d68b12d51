"""What tests share whose items are utterances: audio in memory, batches, checks."""

from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np

from espnet2_cltm.corpus.audio import load_audio
from espnet2_cltm.corpus.bounded_cache import WaveformCache
from espnet2_cltm.errors import UserError
from espnet2_cltm.frontend.frozen_states import keep_frozen_states
from espnet2_cltm.task import TestSet
from espnet2_cltm.tasks.inference import length_batches

_waveforms = WaveformCache(0)


def cache_audio(max_bytes: int) -> None:
    """Keep test waveforms, and the output of the encoder's frozen part, in memory.

    Args:
        max_bytes: Most bytes of waveforms, and as many of frozen states.
    """
    global _waveforms
    _waveforms = WaveformCache(max_bytes)
    keep_frozen_states(max_bytes)


def read_test(
    test: TestSet, batch_bins: int
) -> tuple[Callable[[str], np.ndarray], list[list[str]]]:
    """Return a function that reads an utterance's waveform, and batches of utterances.

    Args:
        test: The test set.
        batch_bins: Most samples in a batch.
    """
    audio = {u.utt: u.audio for u in test.utterances}

    def read_waveform(utt: str) -> np.ndarray:
        (waveform,) = _waveforms.get(audio[utt], lambda: [load_audio(audio[utt])])
        return waveform

    lengths = {u.utt: u.num_samples for u in test.utterances}
    return read_waveform, length_batches(lengths, batch_bins)


def require_same_utterances(
    predictions: Path, predicted: Iterable[str], test: TestSet
) -> None:
    """Refuse predictions of other utterances than those of a test set.

    Args:
        predictions: File of the predictions, for the message.
        predicted: Utterances predicted.
        test: The test set.

    Raises:
        UserError: They differ.
    """
    if odd := {*predicted} ^ {u.utt for u in test.utterances}:
        raise UserError(
            f"{predictions} and its test list differ, first in utterance {min(odd)}: "
            "delete the run's directory and run stage 4 again."
        )
