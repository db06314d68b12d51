"""Arrays kept in memory up to a number of bytes, the least recently used dropped first.

What is kept is anything that knows its size as ``nbytes``: arrays of numpy, tensors of
torch. Thousands of runs test on the same utterances; a process that remembers what it
made of them decodes, trims and stretches each of them once. Made for one thread.
"""

from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from typing import Generic, Protocol, TypeVar

import numpy as np


class HasBytes(Protocol):
    """An array."""

    @property
    def nbytes(self) -> int:
        """Size of its elements in bytes."""


Value = TypeVar("Value", bound=HasBytes)


class BoundedCache(Generic[Value]):
    """Tuples of arrays by key.

    Args:
        max_bytes: Most bytes of elements that are kept; 0 keeps nothing.
    """

    def __init__(self, max_bytes: int):
        if max_bytes < 0:
            raise ValueError(f"max_bytes is {max_bytes}, less than 0")
        self.max_bytes = max_bytes
        self.n_bytes = 0
        self._entries: OrderedDict[Hashable, tuple[Value, ...]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, key: Hashable) -> bool:
        return key in self._entries

    def get(
        self, key: Hashable, make: Callable[[], Sequence[Value]]
    ) -> tuple[Value, ...]:
        """Return what ``make`` made for this key, now or the last time.

        Args:
            key: Whatever ``make`` depends on.
            make: Function that is called where nothing is kept for the key; what it
                raises is passed on, and nothing is kept.

        Returns:
            The arrays. An entry that is larger than all the room there is comes back
            without being kept.
        """
        if key in self._entries:
            self._entries.move_to_end(key)
            return self._entries[key]
        values = self._own(make())
        size = _size(values)
        if size <= self.max_bytes and self.max_bytes > 0:
            while self.n_bytes + size > self.max_bytes:
                _, dropped = self._entries.popitem(last=False)
                self.n_bytes -= _size(dropped)
            self._entries[key] = values
            self.n_bytes += size
        return values

    def _own(self, values: Sequence[Value]) -> tuple[Value, ...]:
        return tuple(values)


class WaveformCache(BoundedCache[np.ndarray]):
    """Arrays of numpy by key, which nobody can change.

    Example:
        >>> cache = WaveformCache(max_bytes=1 << 30)
        >>> (waveform,) = cache.get("utt1", lambda: [np.zeros(16000, np.float32)])
        >>> cache.n_bytes
        64000
    """

    def _own(self, values: Sequence[np.ndarray]) -> tuple[np.ndarray, ...]:
        # A view is copied: it would keep the whole array beneath it in memory,
        # uncounted, and whoever has that array could change it.
        owned = {id(v): v if v.base is None else v.copy() for v in values}
        for array in owned.values():
            array.setflags(write=False)
        return tuple(owned[id(value)] for value in values)


def _size(values: Sequence[HasBytes]) -> int:
    """Count bytes of elements; an array that appears twice counts once."""
    return sum({id(value): value.nbytes for value in values}.values())
