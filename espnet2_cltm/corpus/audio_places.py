"""Where the audio of an utterance is: values of ``wav.scp`` and ``segments``."""

import math
import os
import re
from dataclasses import dataclass

from espnet2_cltm.corpus.pipes import is_pipe

# A file whose name ends so is a file. Behind a path: an offset, and a range of samples
# and one of channels, both inclusive.
_RANGE = r"(?:(\d+)(?::(\d+))?|:?)"
_ARK_ENTRY = re.compile(rf"(.+?)(?::(\d+))?(\[{_RANGE}(?:,{_RANGE})?\])?")


@dataclass(frozen=True, slots=True)
class Segment:
    """A line of ``segments``: what of a recording an utterance is.

    Attributes:
        recording: Recording's id in ``wav.scp``.
        start: First second.
        end: Second behind the last, or -1 for the recording's end.
    """

    recording: str
    start: float
    end: float


@dataclass(frozen=True, slots=True)
class AudioPlace:
    """What a value of ``wav.scp`` says.

    Attributes:
        path: File, or the whole value where it is a command.
        is_pipe: Whether it is a command.
        offset: Offset of an entry of an ark in bytes, None for a file of its own.
        first: First sample that is taken.
        last: Last sample that is taken, None for the recording's.
        first_channel: First channel that is taken.
        last_channel: Last channel that is taken, None for the recording's.
    """

    path: str
    is_pipe: bool = False
    offset: int | None = None
    first: int = 0
    last: int | None = None
    first_channel: int = 0
    last_channel: int | None = None

    @property
    def channels(self) -> slice:
        """Channels that are taken."""
        last = self.last_channel
        return slice(self.first_channel, None if last is None else last + 1)


def parse_segment(value: str) -> Segment | None:
    """Parse ``recording start end``; None for something else."""
    try:
        recording, start, end = value.split()
        segment = Segment(recording, float(start), float(end))
    except ValueError:
        return None
    in_order = 0 <= segment.start < segment.end < math.inf
    to_the_end = 0 <= segment.start < math.inf and segment.end == -1
    return segment if in_order or to_the_end else None


def parse_audio(location: str) -> AudioPlace:
    """Parse a value of ``wav.scp`` as kaldiio does.

    Args:
        location: ``path``, ``file.ark:offset``, either with a range
            ``[first:last]`` or ``[first:last,first:last]`` of samples and channels, or
            ``command |``.
    """
    if is_pipe(location):
        return AudioPlace(location, is_pipe=True)
    match = _ARK_ENTRY.fullmatch(location)
    if match is None or location.endswith("/") or os.path.exists(location):
        return AudioPlace(location)
    path, offset, _, *ends = match.groups()
    # A lone number is a range of one.
    first, last, first_channel, last_channel = ends
    return AudioPlace(
        path,
        offset=None if offset is None else int(offset),
        first=int(first or 0),
        last=_last(first, last),
        first_channel=int(first_channel or 0),
        last_channel=_last(first_channel, last_channel),
    )


def audio_file(location: str) -> str | None:
    """Return the file that a value of ``wav.scp`` names; None for a pipe."""
    place = parse_audio(location)
    return None if place.is_pipe else place.path


def _last(first: str | None, last: str | None) -> int | None:
    text = last or first
    return None if text is None else int(text)
