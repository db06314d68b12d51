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

from espnet2_cltm.corpus.mp3 import first_frame, frame_at, is_mp3_truncated, skip_id3

# Sizes that streaming WAV writers leave behind: 2**32 - 1, or close to 2**31 (sox).
_OPEN_ENDED = 0x7FFFF000

_OGG_FIRST_PAGE, _OGG_LAST_PAGE = 0x02, 0x04

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
_AIFF = _Container(12, ">4sI", b"SSND", total=(">I", 4, 8))
_W64 = _Container(
    40, "<4s12xQ", b"data", align=8, counts_header=True, total=("<Q", 16, 0)
)
_CAF = _Container(8, ">4sQ", b"data", align=1, total=None)
_CONTAINERS: Mapping[tuple[bytes, int, bytes], tuple[str, _Container | None]] = {
    (b"RIFF", 8, b"WAVE"): ("wav", _RIFF),
    (b"RIFX", 8, b"WAVE"): ("wav", _RIFX),
    (b"RF64", 8, b"WAVE"): ("wav", _RIFF),
    (b"FORM", 8, b"AIF"): ("aiff", _AIFF),
    (b"riff\x2e\x91\xcf\x11", 24, b"wave"): ("w64", _W64),
    (b"caff", 4, b"\0\x01"): ("caf", _CAF),
    (b".snd", 0, b""): ("au", None),
    (b"dns.", 0, b""): ("au", None),
    (b"NIST_1A\n", 0, b""): ("sphere", None),
    (b"OggS", 0, b""): ("ogg", None),
}
"""Format and chunks by the first bytes, and further ones at an offset."""


def identify_format(content: bytes) -> str | None:
    """Return an audio file's format, told from its first bytes.

    Args:
        content: Bytes of the whole file.

    Returns:
        ``wav``, ``flac``, ``ogg``, ``mp3``, ``aiff``, ``w64``, ``caf``, ``au``,
        ``sphere``, or None for anything else.
    """
    if known := _find_container(content):
        return known[0]
    start = skip_id3(content)
    if content[start : start + 4] == b"fLaC":
        return "flac"
    # A file that ends within its ID3 tag can only be guessed; most are MP3.
    is_mp3 = 0 < len(content) <= start or frame_at(content, start) is not None
    # In other formats there may be bytes like frames.
    is_mp3 = is_mp3 or (name_foreign(content) is None and bool(first_frame(content)))
    return "mp3" if is_mp3 else None


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
        return is_mp3_truncated(content)
    if file_format in (None, "flac"):
        return False
    data = _find_data(content)
    if data is None:
        return True
    return data.promises_more and not data.is_in_whole_container


def announces_too_much(content: bytes) -> bool:
    """Return whether a header promises more audio than its whole file can hold."""
    data = _find_data(content)
    return data is not None and data.promises_more and data.is_in_whole_container


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
    start = skip_id3(content)
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

    @property
    def promises_more(self) -> bool:
        return self.declared is not None and self.declared > self.available


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
