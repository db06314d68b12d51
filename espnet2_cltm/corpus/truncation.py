"""Whether an audio file is whole, judged from its own headers.

Takes the bytes of a WAV, FLAC, OGG or MP3 file and says whether it ends before
its headers say it does: an upload that broke off, a disk that was full. Decoders
accept most such files without a word and give shorter audio. Tags and padding
after the audio do not count, and neither does what no header tells: a WAV of a
streaming writer that left its sizes open, or an MP3 without a frame count that
was cut exactly between two frames. A FLAC file has no structure that is cheap to
follow; :func:`declared_flac_samples` gives the number to compare with what decodes.
"""

import struct
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


def identify_format(content: bytes) -> str | None:
    """Tell an audio file's format from its first bytes.

    Args:
        content: Bytes of the whole file.

    Returns:
        ``wav``, ``flac``, ``ogg``, ``mp3``, or None for anything else.
    """
    if content[:4] in (b"RIFF", b"RIFX", b"RF64") and content[8:12] == b"WAVE":
        return "wav"
    if content[:4] == b"OggS":
        return "ogg"
    start = _skip_id3(content)
    if content[start : start + 4] == b"fLaC":
        return "flac"
    # A file that ends within its ID3 tag can only be guessed; most are MP3.
    cut_in_tag = 0 < len(content) <= start
    return "mp3" if _mp3_frame(content, start) or cut_in_tag else None


def is_truncated(content: bytes) -> bool:
    """Return whether a WAV, OGG or MP3 file ends before its headers say it does.

    Args:
        content: Bytes of the whole file. For FLAC (see
            :func:`declared_flac_samples`) and for what is not audio the answer is
            False.
    """
    file_format = identify_format(content)
    if file_format == "wav":
        return _wav_is_truncated(content)
    if file_format == "ogg":
        return _ogg_is_truncated(content)
    return file_format == "mp3" and _mp3_is_truncated(content)


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
class _WavData:
    """Where a WAV's audio lies: offset and sizes in bytes; None: left open."""

    offset: int
    declared: int | None
    available: int


def close_wav_header(content: bytes) -> bytes:
    """Write the sizes into a WAV header whose writer left them at zero.

    libsndfile would find no audio in such a file.

    Args:
        content: Bytes of a whole WAV file.

    Returns:
        The same bytes, or a copy with the sizes filled in.
    """
    data = _find_wav_data(content)
    if data is None or data.declared is not None or content[:4] != b"RIFF":
        return content
    closed = bytearray(content)
    struct.pack_into("<I", closed, 4, min(len(content) - 8, 2**32 - 1))
    struct.pack_into("<I", closed, data.offset - 4, min(data.available, 2**32 - 1))
    return bytes(closed)


def _wav_is_truncated(content: bytes) -> bool:
    data = _find_wav_data(content)
    if data is None:
        return True
    return data.declared is not None and data.declared > data.available


def _find_wav_data(content: bytes) -> _WavData | None:
    order = ">" if content[:4] == b"RIFX" else "<"
    long_size = None
    position = 12
    while position + 8 <= len(content):
        name, size = struct.unpack_from(f"{order}4sI", content, position)
        position += 8
        if name == b"data":
            available = len(content) - position
            (riff,) = struct.unpack_from(f"{order}I", content, 4)
            # Nothing in the RIFF chunk beyond this header: it was never filled in.
            unwritten = size == 0 and (riff + 8 <= position or riff >= _OPEN_ENDED)
            declared = long_size if size == 2**32 - 1 and long_size else size
            if unwritten or (declared == size >= _OPEN_ENDED and size > available):
                declared = None
            return _WavData(position, declared, available)
        if name == b"ds64" and position + 16 <= len(content):
            (long_size,) = struct.unpack_from(f"{order}Q", content, position + 8)
        position += size + size % 2
    return None


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


def _mp3_is_truncated(content: bytes) -> bool:
    found = _next_mp3_frame(content, _skip_id3(content))
    if found is None:
        return True
    start, first = found
    declared_frames, declared_bytes = _declared_by_mp3(content, start, first)
    # A frame that holds the count holds no audio and does not count itself.
    n_frames = 0 if declared_frames is None else -1
    while found is not None:
        end, _ = found
        while frame := _mp3_frame(content, end):
            if end + frame.length > len(content) and _alike(frame, first):
                return True
            n_frames += 1
            end += frame.length
        if _is_cut_header(content, start, end):
            return True
        found = _next_mp3_frame(content, end, like=first)
    if declared_frames is None or n_frames >= declared_frames:
        return False
    counted_itself = (
        n_frames == declared_frames - 1
        and declared_bytes is not None
        and end - start >= declared_bytes
    )
    return not counted_itself


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


def _next_mp3_frame(
    content: bytes, position: int, like: _Mp3Frame | None = None
) -> tuple[int, _Mp3Frame] | None:
    """Find the next frame at or after ``position`` that another one follows.

    Two in a row, because tags and damage contain bytes that look like a header. Only
    the file's first frame, right at ``position``, is believed without a second.
    """
    if like is None and (frame := _mp3_frame(content, position)):
        return position, frame
    while (position := content.find(0xFF, position)) >= 0:
        frame = _mp3_frame(content, position)
        if frame and (like is None or _alike(frame, like)):
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
    if first.version == _MPEG1:
        side_information = 17 if first.mono else 32
    else:
        side_information = 9 if first.mono else 17
    for checksum in (0, 2):
        xing = start + 4 + checksum + side_information
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
