"""What was made of an utterance's audio, kept in memory while there is room.

Thousands of runs test on the same utterances; a process that remembers their
waveforms decodes, trims and stretches each of them once.
"""

from collections.abc import Callable, Hashable

import numpy as np

from espnet2_cltm.corpus.bounded_cache import BoundedCache


class WaveformCache(BoundedCache[np.ndarray]):
    """Arrays by key, which nobody can change.

    Example:
        >>> cache = WaveformCache(max_bytes=1 << 30)
        >>> (waveform,) = cache.get("utt1", lambda: [np.zeros(16000, np.float32)])
        >>> cache.n_bytes
        64000
    """

    def get(
        self, key: Hashable, make: Callable[[], list[np.ndarray]]
    ) -> list[np.ndarray]:
        """Give what ``make`` made for this key, as :class:`BoundedCache` does.

        Returns:
            Read-only arrays, in a list of the caller's own.
        """
        return list(super().get(key, lambda: _read_only(make())))


def _read_only(arrays: list[np.ndarray]) -> tuple[np.ndarray, ...]:
    """Give arrays that nobody can change and that hold no more than they show.

    A view is copied: it would keep the whole array beneath it in memory, uncounted,
    and whoever has that array could change it.
    """
    owned: dict[int, np.ndarray] = {}
    for array in arrays:
        if id(array) in owned:
            continue
        owned[id(array)] = array if array.base is None else array.copy()
        owned[id(array)].setflags(write=False)
    return tuple(owned[id(array)] for array in arrays)
