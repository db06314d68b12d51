"""MP3: where its frames are, whether they are all there, and how libsndfile reads it.

The bytes are searched for frames of layer III, from behind the tags on, over padding
and what is left of a frame whose beginning is lost.
"""

import re
import struct
from dataclasses import dataclass

# Layer III, by the two version bits of the frame header (ISO 11172-3, 13818-3; 2.5
# is a later extension). Version 1 is reserved.
_MPEG25, _MPEG2, _MPEG1 = 0, 2, 3
_SAMPLE_RATES = {
    _MPEG1: (44100, 48000, 32000),
    _MPEG2: (22050, 24000, 16000),
    _MPEG25: (11025, 12000, 8000),
}
_KBITS_MPEG1 = (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
_KBITS_MPEG2 = (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
# How far from its tags an MP3 may begin, behind padding or part of a lost frame, and
# how many frames in a row tell it from other bytes there.
_SEARCHED = 1 << 16
_IN_A_ROW = 3


@dataclass(frozen=True)
class Mp3Frame:
    """A layer III frame.

    Attributes:
        length: Bytes, header included.
        version: The version bits of its header, as all frames of a file have them.
        sample_rate: Samples per second, as in all frames.
        mono: Whether there is one channel.
    """

    length: int
    version: int
    sample_rate: int
    mono: bool


@dataclass(frozen=True)
class _Frames:
    """All frames of an MP3."""

    start: int
    first: Mp3Frame
    number: int
    end: int
    is_cut: bool  # the file ends within one


def _all_frames(content: bytes) -> _Frames | None:
    """Follow the frames of an MP3, over what lies between them."""
    found = first_frame(content)
    if found is None:
        return None
    start, first = found
    number = 0
    while found is not None:
        end, _ = found
        while frame := frame_at(content, end):
            if end + frame.length > len(content) and _alike(frame, first):
                return _Frames(start, first, number, end, True)
            number += 1
            end += frame.length
        if _is_cut_header(content, start, end):
            return _Frames(start, first, number, end, True)
        found = _next_frame(content, end, like=first)
    return _Frames(start, first, number, end, False)


def is_mp3_truncated(content: bytes) -> bool:
    """Return whether an MP3 ends within a frame, or before the frames it announces.

    Args:
        content: Bytes of the whole file.
    """
    frames = _all_frames(content)
    if frames is None or frames.is_cut:
        return True
    declared_frames, declared_bytes = _declared(content, frames.start, frames.first)
    # A frame that holds the count holds no audio and does not count itself.
    if declared_frames is None or frames.number - 1 >= declared_frames:
        return False
    counted_itself = (
        frames.number == declared_frames
        and declared_bytes is not None
        and frames.end - frames.start >= declared_bytes
    )
    return not counted_itself


def complete_mp3(content: bytes) -> bytes:
    """Return an MP3 as libsndfile reads it whole.

    It wants a frame or a tag at the first byte; and where no header counts the frames,
    it takes all for as long as the first, and ends too early.

    Args:
        content: Bytes of a whole MP3 file.

    Returns:
        The same bytes; or a copy that begins with its first frame, or with one that
        counts them.
    """
    frames = _all_frames(content)
    if frames is None:
        return content
    if _declared(content, frames.start, frames.first)[0] is not None:
        behind_tag = content.startswith(b"ID3") and frames.start == skip_id3(content)
        return content if behind_tag else content[frames.start :]
    header = bytearray(content[frames.start : frames.start + 4])
    header[1] |= 1  # without a checksum
    header[2] = header[2] & 0x0F | 0x90  # room enough, at any rate
    counting = frame_at(bytes(header), 0)
    assert counting is not None
    side_information = bytes(_side_information(frames.first))
    count = struct.pack(">4s2I", b"Xing", 1, frames.number)
    frame = bytes(header) + side_information + count
    return frame.ljust(counting.length, b"\0") + content[frames.start :]


def _side_information(frame: Mp3Frame) -> int:
    """Return the bytes between a frame's header and where a Xing header stands."""
    if frame.version == _MPEG1:
        return 17 if frame.mono else 32
    return 9 if frame.mono else 17


def frame_at(content: bytes, position: int) -> Mp3Frame | None:
    """Parse the 4-byte header at ``position``; None if there is none.

    Frames in free format, whose length no header tells, are not recognised.

    Args:
        content: Bytes of a file.
        position: Offset of the header.
    """
    if position + 4 > len(content) or content[position] != 0xFF:
        return None
    second, third = content[position + 1], content[position + 2]
    version, layer = second >> 3 & 3, second >> 1 & 3
    bitrate, rate = third >> 4, third >> 2 & 3
    if second < 0xE0 or version == 1 or layer != 1:
        return None
    if bitrate in (0, 15) or rate == 3:
        return None
    sample_rate = _SAMPLE_RATES[version][rate]
    if version == _MPEG1:
        length = 144_000 * _KBITS_MPEG1[bitrate - 1] // sample_rate
    else:
        length = 72_000 * _KBITS_MPEG2[bitrate - 1] // sample_rate
    mono = content[position + 3] >> 6 == 3
    return Mp3Frame(length + (third >> 1 & 1), version, sample_rate, mono)


def _alike(frame: Mp3Frame, other: Mp3Frame) -> bool:
    return (frame.version, frame.sample_rate) == (other.version, other.sample_rate)


def first_frame(content: bytes) -> tuple[int, Mp3Frame] | None:
    """Find an MP3's first frame: right behind its tags, or a little later.

    There it is believed by itself; behind padding, or the rest of a frame whose
    beginning is lost, only as the first of several in a row.

    Args:
        content: Bytes of the whole file.

    Returns:
        Its offset, and the frame; None where there is none.
    """
    start = position = skip_id3(content)
    if frame := frame_at(content, start):
        return start, frame
    while content[position : position + 1] == b"\0":
        padding = re.compile(rb"\0+").match(content, position)
        assert padding is not None
        position = padding.end()
    end = position + _SEARCHED
    while (position := content.find(0xFF, position, end)) >= 0:
        frame = frame_at(content, position)
        if frame and _is_followed(content, position, frame):
            return position, frame
        position += 1
    return None


def _is_followed(content: bytes, position: int, frame: Mp3Frame) -> bool:
    """Return whether frames like this one follow it, or the file ends before."""
    for number in range(_IN_A_ROW - 1):
        position += frame.length
        if position >= len(content) and number > 0:
            return True
        following = frame_at(content, position)
        if following is None or not _alike(following, frame):
            return False
        frame = following
    return True


def _next_frame(
    content: bytes, position: int, like: Mp3Frame
) -> tuple[int, Mp3Frame] | None:
    """Find the next frame at or after ``position`` that another one follows.

    Two in a row, because tags and damage contain bytes that look like a header.
    """
    while (position := content.find(0xFF, position)) >= 0:
        frame = frame_at(content, position)
        if frame and _alike(frame, like):
            following = frame_at(content, position + frame.length)
            if following and _alike(frame, following):
                return position, frame
        position += 1
    return None


def _is_cut_header(content: bytes, first: int, end: int) -> bool:
    """Return whether the file ends within the header of one more frame."""
    rest = content[end : end + 4]
    if not 0 < len(rest) < 4:
        return False
    # Byte 2 holds the bit rate, which changes from frame to frame, and the rate.
    same = rest[:2] == content[first : first + len(rest[:2])]
    return same and (len(rest) < 3 or (rest[2] ^ content[first + 2]) & 0x0C == 0)


def _declared(
    content: bytes, start: int, first: Mp3Frame
) -> tuple[int | None, int | None]:
    """Read the frame and byte counts of a Xing, Info or VBRI header.

    Xing (by LAME also called Info) stands after the side information of the first
    frame, VBRI 32 bytes after the frame header.
    """
    for checksum in (0, 2):
        xing = start + 4 + checksum + _side_information(first)
        if content[xing : xing + 4] in (b"Xing", b"Info") and xing + 16 <= len(content):
            flags, first_field, second_field = struct.unpack_from(
                ">3I", content, xing + 4
            )
            n_frames = first_field if flags & 1 else None
            n_bytes = second_field if flags & 3 == 3 else None
            return n_frames, n_bytes
    vbri = start + 36
    if content[vbri : vbri + 4] == b"VBRI" and vbri + 18 <= len(content):
        n_bytes, n_frames = struct.unpack_from(">2I", content, vbri + 10)
        return n_frames, n_bytes
    return None, None


def skip_id3(content: bytes) -> int:
    """Return the offset after the ID3v2 tags at the start of a file."""
    position = 0
    while content.startswith(b"ID3", position) and position + 10 <= len(content):
        size = 0
        for byte in content[position + 6 : position + 10]:
            size = size << 7 | byte & 0x7F
        footer = 10 if content[position + 5] & 0x10 else 0
        position += 10 + size + footer
    return position
