"""Which format an audio file has and whether it is whole, judged from its headers.

Takes the bytes of a file and says what it is, where it begins, and whether it ends
before its headers say it does: an upload that broke off, a disk that was full. Decoders
accept most such files without a word and give shorter audio. Tags and padding around
the audio do not count, and neither does what no header tells: sizes that a streaming
writer left open, or an MP3 without a frame count that was cut exactly between two
frames. Where a header promises more audio than a container of the right size can hold,
the header is wrong and the audio is whole. A FLAC file has no structure that is cheap
to follow; :func:`declared_flac_samples` gives the number to compare with what decodes.
"""

import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass

# Sizes that streaming WAV writers leave behind: 2**32 - 1, or close to 2**31 (sox).
_OPEN_ENDED = 0x7FFFF000

_OGG_FIRST_PAGE, _OGG_LAST_PAGE = 0x02, 0x04

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
_MP3_SEARCHED = 1 << 16
_MP3_IN_A_ROW = 3

_FOREIGN = {
    rb"....ftyp": "MP4",
    rb"\x1a\x45\xdf\xa3": "WebM or Matroska",
    rb"#!AMR": "AMR",
    rb"\x30\x26\xb2\x75": "WMA",
    rb"ajkg": "Shorten",
    rb"#!SILK|\x02#!SILK": "SILK",
    rb"MAC ": "Monkey's Audio",
    rb"wvpk": "WavPack",
    rb"\xff[\xf0\xf1\xf8\xf9]": "AAC",
    rb"RIFF....AVI ": "AVI",
    rb"PK\x03\x04": "a zip archive",
    rb"\x1f\x8b": "gzip",
    rb"version https://git-lfs": "a Git LFS pointer: run git lfs pull",
    rb"\s*<(!DOCTYPE|html|\?xml)": "a web page",
}
"""Names of what is not decoded, by a pattern of the first bytes."""


@dataclass(frozen=True)
class _Container:
    """How chunks stand in a container.

    Attributes:
        first: Offset of the first chunk.
        header: Format of a chunk's name and size.
        data: Name of the chunk of audio.
        align: What chunks' lengths are rounded up to.
        counts_header: Whether a size includes the chunk's header.
        total: Format and offset of the container's size, and what to add to it.
    """

    first: int
    header: str
    data: bytes
    align: int = 2
    counts_header: bool = False
    total: tuple[str, int, int] | None = ("<I", 4, 8)


_RIFF = _Container(12, "<4sI", b"data")
_RIFX = _Container(12, ">4sI", b"data", total=(">I", 4, 8))
_CONTAINERS: Mapping[tuple[bytes, int, bytes], tuple[str, _Container | None]] = {
    (b"RIFF", 8, b"WAVE"): ("wav", _RIFF),
    (b"RIFX", 8, b"WAVE"): ("wav", _RIFX),
    (b"RF64", 8, b"WAVE"): ("wav", _RIFF),
    (b"FORM", 8, b"AIF"): (
        "aiff",
        _Container(12, ">4sI", b"SSND", total=(">I", 4, 8)),
    ),
    (b"riff\x2e\x91\xcf\x11", 24, b"wave"): (
        "w64",
        _Container(
            40,
            "<4s12xQ",
            b"data",
            align=8,
            counts_header=True,
            total=("<Q", 16, 0),
        ),
    ),
    (b"caff", 4, b"\0\x01"): (
        "caf",
        _Container(8, ">4sQ", b"data", align=1, total=None),
    ),
    (b".snd", 0, b""): ("au", None),
    (b"dns.", 0, b""): ("au", None),
    (b"NIST_1A\n", 0, b""): ("sphere", None),
    (b"OggS", 0, b""): ("ogg", None),
}
"""Format and chunks by the first bytes, and further ones at an offset."""


def identify_format(content: bytes) -> str | None:
    """Tell an audio file's format from its first bytes.

    Args:
        content: Bytes of the whole file.

    Returns:
        ``wav``, ``flac``, ``ogg``, ``mp3``, ``aiff``, ``w64``, ``caf``, ``au``,
        ``sphere``, or None for anything else.
    """
    if known := _find_container(content):
        return known[0]
    start = _skip_id3(content)
    if content[start : start + 4] == b"fLaC":
        return "flac"
    # A file that ends within its ID3 tag can only be guessed; most are MP3.
    cut_in_tag = 0 < len(content) <= start
    return "mp3" if cut_in_tag or _first_mp3_frame(content) else None


def name_foreign(content: bytes) -> str | None:
    """Return the name of something that is not decoded, None where it is unknown."""
    for pattern, name in _FOREIGN.items():
        if re.match(pattern, content, re.DOTALL):
            return name
    return None


def is_truncated(content: bytes) -> bool:
    """Return whether a file ends before its headers say it does.

    Args:
        content: Bytes of the whole file. For FLAC (see
            :func:`declared_flac_samples`) and for what is not audio the answer is
            False.
    """
    file_format = identify_format(content)
    if file_format == "ogg":
        return _ogg_is_truncated(content)
    if file_format == "mp3":
        return _mp3_is_truncated(content)
    if file_format in (None, "flac"):
        return False
    data = _find_data(content)
    if data is None:
        return True
    return _promises_more(data) and not data.is_in_whole_container


def announces_too_much(content: bytes) -> bool:
    """Return whether a header promises more audio than its whole file can hold."""
    data = _find_data(content)
    return data is not None and _promises_more(data) and data.is_in_whole_container


def _promises_more(data: "_Data") -> bool:
    return data.declared is not None and data.declared > data.available


def declared_flac_samples(content: bytes) -> int | None:
    """Read how many samples a FLAC file says it holds (per channel).

    Args:
        content: Bytes of the whole file.

    Returns:
        The number, or None where the encoder did not know it or the file ends
        within its header.
    """
    # "fLaC", a block header of 4 bytes, then STREAMINFO: 10 bytes of block and frame
    # sizes, 28 bits of rate, channels and depth, 36 bits of total samples.
    start = _skip_id3(content)
    field = content[start + 18 : start + 26]
    if len(field) < 8:
        return None
    return int.from_bytes(field, "big") & (2**36 - 1) or None


@dataclass(frozen=True)
class _Data:
    """Where a file's audio lies: offset and sizes in bytes; None: left open.

    Attributes:
        is_in_whole_container: Whether all of the container, by its own size, is there.
    """

    offset: int
    declared: int | None
    available: int
    is_in_whole_container: bool = False


def close_wav_header(content: bytes) -> bytes:
    """Write the sizes into a WAV header whose writer left them at zero.

    libsndfile would find no audio in such a file.

    Args:
        content: Bytes of a whole WAV file.

    Returns:
        The same bytes, or a copy with the sizes filled in.
    """
    data = _find_data(content)
    if data is None or data.declared is not None or content[:4] != b"RIFF":
        return content
    closed = bytearray(content)
    struct.pack_into("<I", closed, 4, min(len(content) - 8, 2**32 - 1))
    struct.pack_into("<I", closed, data.offset - 4, min(data.available, 2**32 - 1))
    return bytes(closed)


def _find_container(content: bytes) -> tuple[str, _Container | None] | None:
    for (magic, offset, more), known in _CONTAINERS.items():
        if content.startswith(magic) and content.startswith(more, offset):
            return known
    return None


def _find_data(content: bytes) -> _Data | None:
    file_format, container = _find_container(content) or (None, None)
    if file_format == "au":
        return _find_au_data(content)
    if file_format == "sphere":
        return _find_sphere_data(content)
    return _find_chunk(content, container) if container else None


def _find_chunk(content: bytes, container: _Container) -> _Data | None:
    """Walk through the chunks of a container to that of its audio."""
    long_size = None
    position = container.first
    header = struct.calcsize(container.header)
    total = None
    if container.total is not None:
        layout, at, more = container.total
        if at + struct.calcsize(layout) > len(content):
            return None
        total = struct.unpack_from(layout, content, at)[0] + more
    while position + header <= len(content):
        name, size = struct.unpack_from(container.header, content, position)
        if container.counts_header:
            size = max(0, size - header)
        position += header
        if name == container.data:
            available = len(content) - position
            whole = total is not None and position < total <= len(content)
            if container is _RIFF or container is _RIFX:
                # Nothing in the RIFF chunk beyond this header: never filled in.
                assert total is not None
                unfilled = total <= position or total - 8 >= _OPEN_ENDED
                declared = long_size if size == 2**32 - 1 and long_size else size
                if (size == 0 and unfilled) or (
                    declared == size >= _OPEN_ENDED and size > available
                ):
                    declared = None
            else:
                declared = None if size >= 2**63 else size
            return _Data(position, declared, available, whole)
        if name == b"ds64" and position + 16 <= len(content):
            (long_size,) = struct.unpack_from("<Q", content, position + 8)
        position += size + -size % container.align
    return None


def _find_au_data(content: bytes) -> _Data | None:
    if len(content) < 12:
        return None
    order = ">" if content[:1] == b"." else "<"
    offset, size = struct.unpack_from(f"{order}2I", content, 4)
    if offset > len(content):
        return None
    return _Data(offset, None if size >= _OPEN_ENDED else size, len(content) - offset)


def _find_sphere_data(content: bytes) -> _Data | None:
    """Find the audio behind the fields of text of a NIST SPHERE header."""
    header = content[:16].split()
    if len(header) < 2 or not header[1].isdigit() or int(header[1]) > len(content):
        return None
    offset = int(header[1])
    fields = {
        name: int(value)
        for name, value in re.findall(rb"(\w+) -i (\d+)", content[:offset])
    }
    count, size = fields.get(b"sample_count"), fields.get(b"sample_n_bytes", 2)
    # Shortened audio is smaller than what it becomes.
    if count is None or re.search(
        rb"sample_coding -s\d+ \S*embedded", content[:offset]
    ):
        return _Data(offset, None, len(content) - offset)
    declared = count * size * fields.get(b"channel_count", 1)
    return _Data(offset, declared, len(content) - offset)


def _ogg_is_truncated(content: bytes) -> bool:
    # Page: "OggS", version, flags, 8 bytes granule position, 4 serial number, 4
    # sequence number, 4 checksum, number of segments, their sizes, their bytes.
    running: set[bytes] = set()
    position = 0
    while content.startswith(b"OggS", position):
        table = position + 27
        if table > len(content) or table + content[table - 1] > len(content):
            return True
        flags, serial = content[position + 5], content[position + 14 : position + 18]
        if flags & _OGG_FIRST_PAGE:
            running.add(serial)
        if flags & _OGG_LAST_PAGE:
            running.discard(serial)
        body = table + content[table - 1]
        position = body + sum(content[table:body])
        if position > len(content):
            return True
    return bool(running)


@dataclass(frozen=True)
class _Mp3Frame:
    """A layer III frame: its length in bytes and what all frames share."""

    length: int
    version: int
    sample_rate: int
    mono: bool


@dataclass(frozen=True)
class _Mp3Frames:
    """All frames of an MP3.

    Attributes:
        start: Offset of the first.
        first: The first.
        number: How many there are.
        end: Offset behind the last.
        is_cut: Whether the file ends within one.
    """

    start: int
    first: _Mp3Frame
    number: int
    end: int
    is_cut: bool


def _mp3_frames(content: bytes) -> _Mp3Frames | None:
    """Follow the frames of an MP3, over what lies between them."""
    found = _first_mp3_frame(content)
    if found is None:
        return None
    start, first = found
    number = 0
    while found is not None:
        end, _ = found
        while frame := _mp3_frame(content, end):
            if end + frame.length > len(content) and _alike(frame, first):
                return _Mp3Frames(start, first, number, end, True)
            number += 1
            end += frame.length
        if _is_cut_header(content, start, end):
            return _Mp3Frames(start, first, number, end, True)
        found = _next_mp3_frame(content, end, like=first)
    return _Mp3Frames(start, first, number, end, False)


def _mp3_is_truncated(content: bytes) -> bool:
    frames = _mp3_frames(content)
    if frames is None or frames.is_cut:
        return True
    declared_frames, declared_bytes = _declared_by_mp3(
        content, frames.start, frames.first
    )
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
    frames = _mp3_frames(content)
    if frames is None:
        return content
    if _declared_by_mp3(content, frames.start, frames.first)[0] is not None:
        behind_tag = content.startswith(b"ID3") and frames.start == _skip_id3(content)
        return content if behind_tag else content[frames.start :]
    header = bytearray(content[frames.start : frames.start + 4])
    header[1] |= 1  # without a checksum
    header[2] = header[2] & 0x0F | 0x90  # room enough, at any rate
    counting = _mp3_frame(bytes(header), 0)
    assert counting is not None
    side_information = bytes(_side_information(frames.first))
    count = struct.pack(">4s2I", b"Xing", 1, frames.number)
    frame = bytes(header) + side_information + count
    return frame.ljust(counting.length, b"\0") + content[frames.start :]


def _side_information(frame: _Mp3Frame) -> int:
    """Return the bytes between a frame's header and where a Xing header stands."""
    if frame.version == _MPEG1:
        return 17 if frame.mono else 32
    return 9 if frame.mono else 17


def _mp3_frame(content: bytes, position: int) -> _Mp3Frame | None:
    """Parse the 4-byte header at ``position``; None if there is none.

    Frames in free format, whose length no header tells, are not recognised.
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
    return _Mp3Frame(length + (third >> 1 & 1), version, sample_rate, mono)


def _alike(frame: _Mp3Frame, other: _Mp3Frame) -> bool:
    return (frame.version, frame.sample_rate) == (other.version, other.sample_rate)


def _first_mp3_frame(content: bytes) -> tuple[int, _Mp3Frame] | None:
    """Find an MP3's first frame: right behind its tags, or a little later.

    There it is believed by itself; behind padding, or the rest of a frame whose
    beginning is lost, only as the first of several in a row.
    """
    start = position = _skip_id3(content)
    if frame := _mp3_frame(content, start):
        return start, frame
    if name_foreign(content):
        return None
    while content[position : position + 1] == b"\0":
        padding = re.compile(rb"\0+").match(content, position)
        assert padding is not None
        position = padding.end()
    end = position + _MP3_SEARCHED
    while (position := content.find(0xFF, position, end)) >= 0:
        frame = _mp3_frame(content, position)
        if frame and _is_followed(content, position, frame):
            return position, frame
        position += 1
    return None


def _is_followed(content: bytes, position: int, frame: _Mp3Frame) -> bool:
    """Return whether frames like this one follow it, or the file ends before."""
    for number in range(_MP3_IN_A_ROW - 1):
        position += frame.length
        if position >= len(content) and number > 0:
            return True
        following = _mp3_frame(content, position)
        if following is None or not _alike(following, frame):
            return False
        frame = following
    return True


def _next_mp3_frame(
    content: bytes, position: int, like: _Mp3Frame
) -> tuple[int, _Mp3Frame] | None:
    """Find the next frame at or after ``position`` that another one follows.

    Two in a row, because tags and damage contain bytes that look like a header.
    """
    while (position := content.find(0xFF, position)) >= 0:
        frame = _mp3_frame(content, position)
        if frame and _alike(frame, like):
            following = _mp3_frame(content, position + frame.length)
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


def _declared_by_mp3(
    content: bytes, start: int, first: _Mp3Frame
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


def _skip_id3(content: bytes) -> int:
    """Return the offset after the ID3v2 tags at the start of a file."""
    position = 0
    while content.startswith(b"ID3", position) and position + 10 <= len(content):
        size = 0
        for byte in content[position + 6 : position + 10]:
            size = size << 7 | byte & 0x7F
        footer = 10 if content[position + 5] & 0x10 else 0
        position += 10 + size + footer
    return position
