"""Files are cut for real, at bytes that hypothesis or a seed chooses."""

import io
import random
import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from espnet2_cltm.corpus.mp3 import frame_at
from espnet2_cltm.corpus.truncation import (
    close_wav_header,
    declared_flac_samples,
    identify_format,
    is_truncated,
)

CV_MINI = Path(__file__).parents[2] / ".." / "shared" / "corpora" / "cv-mini"
MP3_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)


def encode(file_format, subtype, rate=16000, channels=1, seconds=0.7, **options):
    samples = np.random.default_rng(0).normal(0, 0.1, (int(rate * seconds), channels))
    content = io.BytesIO()
    soundfile.write(
        content, samples, rate, format=file_format, subtype=subtype, **options
    )
    return content.getvalue()


def mp3(rate=24000, channels=1, **options):
    return encode("MP3", "MPEG_LAYER_III", rate, channels, **options)


def frame_starts(content, start=0):
    starts = []
    while frame := frame_at(content, start):
        starts.append(start)
        start += frame.length
    return starts


def without_xing(content):
    return content[frame_starts(content)[1] :]


def xing_field(content):
    return content.find(b"Xing") + 8


WHOLE = {
    "wav": encode("WAV", "PCM_16"),
    "wav24": encode("WAV", "PCM_24", 44100, 2),
    "wavex": encode("WAVEX", "FLOAT"),
    "rifx": encode("WAV", "PCM_16", endian="BIG"),
    "rf64": encode("RF64", "PCM_16"),
    "vorbis": encode("OGG", "VORBIS"),
    "opus": encode("OGG", "OPUS"),
    "mp3": mp3(),
    "mp3 variable": mp3(44100, 2, bitrate_mode="VARIABLE"),
    "mp3 average": mp3(16000, 1, bitrate_mode="AVERAGE"),
}


@pytest.mark.parametrize("name", WHOLE)
def test_whole_files_are_whole(name):
    assert not is_truncated(WHOLE[name])


@pytest.mark.parametrize("name", WHOLE)
@settings(max_examples=60, deadline=None)
@given(share=st.floats(0, 1, exclude_max=True))
def test_a_cut_anywhere_after_the_first_headers_is_seen(name, share):
    whole = WHOLE[name]
    first = 120 if "mp3" not in name else frame_starts(whole)[1] + 1
    assert is_truncated(whole[: first + int(share * (len(whole) - first))])


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("rate", MP3_RATES)
def test_mp3_of_every_rate_is_judged_right(rate, channels):
    whole = mp3(rate, channels)
    starts = frame_starts(whole)
    generator = random.Random(rate + channels)
    cuts = [generator.randrange(starts[1] + 1, len(whole)) for _ in range(100)]
    cuts += range(len(whole) - 5, len(whole))
    assert not is_truncated(whole)
    assert all(is_truncated(whole[:cut]) for cut in cuts + starts[1:])


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("rate", MP3_RATES)
def test_mp3_without_a_frame_count_is_judged_by_its_last_frame(rate, channels):
    whole = without_xing(mp3(rate, channels))
    starts = frame_starts(whole)
    between = random.Random(rate).sample(
        sorted({*range(1, len(whole))} - {*starts}), 99
    )
    assert not is_truncated(whole)
    assert all(is_truncated(whole[:cut]) for cut in between if cut > starts[1])
    # What no header can tell: all frames there are are whole.
    assert not is_truncated(whole[: starts[-1]])


ID3V1 = b"TAG" + b"title".ljust(125, b"\0")
APE = (
    b"APETAGEX"
    + struct.pack("<4I8x", 2000, 60, 1, 1 << 31)
    + bytes(28)
    + (b"APETAGEX" + struct.pack("<4I8x", 2000, 60, 1, 1 << 31))
)
ID3V2 = b"ID3\x04\0\0" + bytes([0, 0, 1, 44]) + b"TIT2".ljust(172, b"\0")


@pytest.mark.parametrize(
    "after",
    [ID3V1, APE, APE + ID3V1, bytes(700)],
    ids=["ID3v1", "APE", "APE and ID3v1", "zeros"],
)
@pytest.mark.parametrize("audio", [mp3(), without_xing(mp3())], ids=["Xing", "no Xing"])
def test_tags_and_padding_after_mp3_do_not_count(audio, after):
    whole = ID3V2 + audio + after
    assert identify_format(whole) == "mp3"
    for cut in range(len(ID3V2 + audio), len(whole) + 1):
        assert not is_truncated(whole[:cut])
    for cut in range(1, 24):  # the last frame has 24 bytes
        assert is_truncated(whole[: len(ID3V2 + audio) - cut])


def test_a_file_that_ends_within_its_tag_is_truncated():
    assert is_truncated(ID3V2[:100])
    assert is_truncated(ID3V2)


def test_mp3_whose_encoder_counted_the_header_frame_is_whole():
    content = bytearray(mp3())
    field = xing_field(content)
    (n_frames,) = struct.unpack_from(">I", content, field)
    struct.pack_into(">I", content, field, n_frames + 1)
    assert not is_truncated(bytes(content))
    assert is_truncated(bytes(content[: frame_starts(content)[-1]]))


def test_mp3_with_a_vbri_header_is_judged_by_its_frame_count():
    content = bytearray(mp3())
    starts = frame_starts(content)
    content[4 : starts[1]] = bytes(starts[1] - 4)
    vbri = b"VBRI" + struct.pack(">3H2I", 1, 0, 0, len(content), len(starts) - 1)
    content[36 : 36 + len(vbri)] = vbri
    assert not is_truncated(bytes(content))
    assert is_truncated(bytes(content[: starts[-1]]))


def test_mp3_with_a_hole_in_the_middle_has_too_few_frames():
    content = bytearray(mp3())
    starts = frame_starts(content)
    content[starts[3] : starts[5]] = bytes(starts[5] - starts[3])
    assert is_truncated(bytes(content))


def with_sizes(riff, data):
    content = bytearray(WHOLE["wav"])
    struct.pack_into("<I", content, 4, riff)
    struct.pack_into("<I", content, 40, data)
    return bytes(content)


@pytest.mark.parametrize(
    ("riff", "data"),
    [
        (0, 0),
        (8, 0),
        (36, 0),
        (2**32 - 1, 0),
        (2**32 - 1, 2**32 - 1),
        (0x7FFFF024, 0x7FFFF000),
    ],
)
def test_wav_of_a_streaming_writer_is_whole_and_readable(riff, data):
    streamed = with_sizes(riff, data)
    assert not is_truncated(streamed)
    samples, _ = soundfile.read(io.BytesIO(close_wav_header(streamed)))
    expected, _ = soundfile.read(io.BytesIO(WHOLE["wav"]))
    assert np.array_equal(samples, expected)


def test_wav_without_samples_is_left_alone():
    empty = encode("WAV", "PCM_16", seconds=0)
    with_list = bytearray(empty + b"LIST" + struct.pack("<I4s", 4, b"INFO"))
    struct.pack_into("<I", with_list, 4, len(with_list) - 8)
    for content in (empty, bytes(with_list)):
        assert close_wav_header(content) == content
        assert not is_truncated(content)


def test_a_cut_within_what_follows_the_audio_of_a_wav_does_not_count():
    content = bytearray(WHOLE["wav"] + b"LIST" + struct.pack("<I", 100) + bytes(100))
    struct.pack_into("<I", content, 4, len(content) - 8)
    assert not is_truncated(bytes(content))
    assert not is_truncated(bytes(content[:-50]))
    assert is_truncated(bytes(content[:-110]))


def test_chained_ogg_needs_the_end_of_its_last_stream():
    chained = WHOLE["vorbis"] + WHOLE["opus"]
    assert not is_truncated(chained)
    assert is_truncated(chained[:-1])
    assert is_truncated(chained[: len(WHOLE["vorbis"]) + 60])


def test_flac_tells_its_number_of_samples():
    whole = encode("FLAC", "PCM_16", 44100, 2, seconds=0.5)
    assert declared_flac_samples(whole) == 22050
    assert declared_flac_samples(ID3V2 + whole) == 22050
    assert declared_flac_samples(whole[:20]) is None
    unknown = bytearray(whole)
    unknown[21] &= 0xF0
    unknown[22:26] = bytes(4)
    assert declared_flac_samples(bytes(unknown)) is None


@pytest.mark.parametrize(
    "content", [b"", b"no audio", b"RIFF....AVI LIST", b"\xff\xd8\xff\xe0 JFIF" * 9]
)
def test_other_files_have_no_format(content):
    assert identify_format(content) is None
    assert not is_truncated(content)


@settings(max_examples=200, deadline=None)
@given(
    name=st.sampled_from(sorted(WHOLE)),
    end=st.integers(0, 3000),
    damage=st.lists(st.tuples(st.integers(0, 2999), st.integers(0, 255)), max_size=8),
)
def test_damage_never_makes_the_check_fail(name, end, damage):
    content = bytearray(WHOLE[name][:end])
    for position, value in damage:
        if position < len(content):
            content[position] = value
    is_truncated(bytes(content))
    declared_flac_samples(bytes(content))
    if identify_format(bytes(content)) == "wav":
        close_wav_header(bytes(content))


@pytest.mark.skipif(not CV_MINI.is_dir(), reason=f"{CV_MINI} is not there")
def test_real_mp3_are_whole_and_every_cut_of_them_is_seen():
    generator = random.Random(0)
    paths = sorted(CV_MINI.glob("*/clips/*.mp3"))
    assert paths
    for path in paths:
        content = path.read_bytes()
        assert not is_truncated(content), path
        for _ in range(3):
            cut = generator.randrange(frame_starts(content)[1] + 1, len(content))
            assert is_truncated(content[:cut]), (path, cut)
