"""What was made of an utterance's audio, kept in memory while there is room.

Thousands of runs test on the same utterances; a process that remembers their
waveforms decodes, trims and stretches each of them once.
"""

from collections import OrderedDict
from collections.abc import Callable, Hashable

import numpy as np


class WaveformCache:
    """Arrays by key, the least recently used ones dropped when room runs out.

    Made for one thread.

    Args:
        max_bytes: Most bytes of samples that are kept; 0 keeps nothing.

    Example:
        >>> cache = WaveformCache(max_bytes=1 << 30)
        >>> (waveform,) = cache.get("utt1", lambda: [np.zeros(16000, np.float32)])
        >>> cache.n_bytes
        64000
    """

    def __init__(self, max_bytes: int):
        if max_bytes < 0:
            raise ValueError(f"max_bytes is {max_bytes}, less than 0")
        self.max_bytes = max_bytes
        self.n_bytes = 0
        self._entries: OrderedDict[Hashable, tuple[np.ndarray, ...]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, key: Hashable) -> bool:
        return key in self._entries

    def get(
        self, key: Hashable, make: Callable[[], list[np.ndarray]]
    ) -> list[np.ndarray]:
        """Give what ``make`` made for this key, now or the last time.

        Args:
            key: Tells what is made: the location and whatever else ``make`` depends on.
            make: Called where nothing is kept for the key; what it raises is passed
                on, and nothing is kept.

        Returns:
            Read-only arrays, in a list of the caller's own. An entry that is larger
            than all the room there is comes back without being kept.
        """
        if key in self._entries:
            self._entries.move_to_end(key)
            return list(self._entries[key])
        arrays = _read_only(make())
        size = _size(arrays)
        if size <= self.max_bytes and self.max_bytes > 0:
            while self.n_bytes + size > self.max_bytes:
                _, dropped = self._entries.popitem(last=False)
                self.n_bytes -= _size(dropped)
            self._entries[key] = arrays
            self.n_bytes += size
        return list(arrays)


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


def _size(arrays: tuple[np.ndarray, ...]) -> int:
    """Count bytes of samples; an array that stands twice counts once."""
    return sum({id(array): array.nbytes for array in arrays}.values())
