import os
import struct
import tempfile
import tracemalloc
import wave

import kaldiio
import numpy as np
import pytest
import scipy.signal
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from espnet2_cltm.corpus import pipes
from espnet2_cltm.corpus.audio import (
    TELEPHONE_BAND,
    RejectedAudio,
    check_content,
    decode_part,
    decode_recording,
    describe_content,
    load_audio,
    open_recording,
)
from espnet2_cltm.errors import UserError


def noise(n_samples, channels=1, scale=0.1):
    samples = np.random.default_rng(0).normal(0, scale, (n_samples, channels))
    return samples[:, 0] if channels == 1 else samples


def sine(hertz, rate, seconds=1.0, amplitude=0.5):
    return amplitude * np.sin(2 * np.pi * hertz * np.arange(int(rate * seconds)) / rate)


def decode(location):
    return decode_recording(location).samples


def reason_of(location):
    with pytest.raises(RejectedAudio) as caught:
        check_content(decode(str(location)))
    return caught.value.reason


@pytest.fixture
def write(tmp_path):
    def write_audio(name, samples, rate=16000, **options):
        path = tmp_path / name
        soundfile.write(path, samples, rate, **options)
        return path

    return write_audio


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(-32768, 32767), max_size=1000))
def test_16_khz_mono_16_bit_stays_as_it_is(values):
    samples = np.array(values, np.int16)
    with tempfile.NamedTemporaryFile(suffix=".wav") as file:
        soundfile.write(file.name, samples, 16000, subtype="PCM_16")
        assert np.array_equal(decode(file.name), samples)


@pytest.mark.parametrize(
    ("name", "rate", "options"),
    [
        ("a.wav", 8000, {"subtype": "PCM_16"}),
        ("a.wav", 11025, {"subtype": "PCM_U8"}),
        ("a.wav", 44100, {"subtype": "PCM_24"}),
        ("a.wav", 48000, {"subtype": "FLOAT"}),
        ("a.wav", 96000, {"subtype": "DOUBLE"}),
        ("a.wav", 16000, {"subtype": "ULAW"}),
        ("a.flac", 22050, {"subtype": "PCM_16"}),
        ("a.flac", 44100, {"subtype": "PCM_24"}),
        ("a.ogg", 44100, {"subtype": "VORBIS"}),
        ("a.ogg", 48000, {"subtype": "OPUS"}),
        ("a.mp3", 32000, {"subtype": "MPEG_LAYER_III"}),
        ("a.mp3", 48000, {"subtype": "MPEG_LAYER_III"}),
    ],
)
@pytest.mark.parametrize("channels", [1, 2])
def test_a_sine_in_any_format_is_the_same_sine_at_16_khz(
    write, name, rate, options, channels
):
    tone = sine(440, rate)
    if channels == 2:  # the mean of the channels is the tone
        tone = np.stack([tone * 1.5, tone * 0.5], axis=1)
    samples = decode(str(write(name, tone, rate, **options)))
    assert samples.dtype == np.int16
    # Encoders may add a few milliseconds; lossless formats may not.
    lossy = name.endswith(("mp3", "ogg")) or options["subtype"] in ("PCM_U8", "ULAW")
    assert abs(len(samples) - 16000) <= (1200 if name.endswith("mp3") else 1)
    middle = slice(2000, 14000)
    error = samples[middle] / 32768 - sine(440, 16000)[middle]
    assert np.abs(error).max() < (0.03 if lossy else 2e-4)


def test_resampling_agrees_with_scipy(write):
    rate = 48000
    low_pass = scipy.signal.firwin(801, 5000, fs=rate)
    speech_band = scipy.signal.lfilter(low_pass, 1, noise(2 * rate, scale=0.3))
    expected = scipy.signal.resample_poly(speech_band, 1, 3, window=("kaiser", 12.0))
    samples = decode(str(write("a.wav", speech_band, rate, subtype="FLOAT"))) / 32768
    assert len(samples) == len(expected)
    difference = (samples - expected)[500:-500]
    assert np.sqrt(np.mean(difference**2)) < 1e-3 * np.sqrt(np.mean(expected**2))


def test_what_16_khz_cannot_hold_is_removed(write):
    samples = decode(str(write("a.wav", sine(11000, 44100), 44100, subtype="FLOAT")))
    assert np.abs(samples[1000:-1000]).max() <= 1


def test_values_are_rounded_to_the_nearest_step_and_clipped(write):
    values = np.array([0.4, 0.6, -0.6, 1.5, 2.5, 40000, -40000]) / 32768
    path = write("a.wav", values.astype(np.float32), subtype="FLOAT")
    assert decode(str(path)).tolist() == [0, 1, -1, 2, 2, 32767, -32768]


@pytest.mark.parametrize(
    ("name", "subtype"),
    [
        ("a.wav", "PCM_16"),
        ("a.flac", "PCM_16"),
        ("a.ogg", "VORBIS"),
        ("a.ogg", "OPUS"),
        ("a.mp3", "MPEG_LAYER_III"),
    ],
)
@pytest.mark.parametrize("left", [0.35, 0.8, 0.999])
def test_truncated_files_are_rejected(write, name, subtype, left):
    path = write(name, noise(32000), subtype=subtype)
    check_content(decode(str(path)))
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * left)])
    assert reason_of(path) == "truncated"


def test_damaged_flac_is_rejected(write):
    path = write("a.flac", noise(64000))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)
    assert reason_of(path) == "truncated"


def test_what_is_no_audio_is_rejected(tmp_path):
    text = tmp_path / "text.mp3"
    text.write_text("client_id\tpath\n" * 100)
    empty = tmp_path / "empty.mp3"
    empty.touch()
    broken = tmp_path / "broken.ogg"
    page = struct.pack("<4s2BQ3I2B", b"OggS", 0, 6, 0, 1, 0, 0, 1, 4) + b"junk"
    broken.write_bytes(page)
    assert reason_of(text) == "not audio"
    assert reason_of(tmp_path) == "not a regular file"
    assert reason_of("/dev/zero") == "not a regular file"
    os.mkfifo(tmp_path / "fifo.wav")
    assert reason_of(tmp_path / "fifo.wav") == "not a regular file"
    assert reason_of(empty) == "empty"
    assert reason_of(broken) == "undecodable"
    assert reason_of(tmp_path / "nowhere.wav") == "missing"
    assert reason_of(text / "below_a_file.wav") == "missing"
    assert reason_of(tmp_path / ("long" * 100)) == "missing"


def test_an_impossible_rate_is_rejected(tmp_path):
    path = tmp_path / "a.wav"
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 3, 0, "NONE", ""))
        file.writeframes(bytes(2000))
    assert reason_of(path) == "undecodable"


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_non_finite_samples_are_rejected(write, value):
    samples = noise(16000)
    samples[700] = value
    assert reason_of(write("a.wav", samples, subtype="FLOAT")) == "non-finite samples"


def test_399_samples_are_too_short_and_400_are_enough(write):
    assert reason_of(write("a.wav", noise(399))) == "too short"
    assert reason_of(write("a.wav", noise(0))) == "too short"
    assert reason_of(write("a.wav", noise(1100), 44100)) == "too short"
    check_content(decode(str(write("a.wav", noise(400)))))


def test_silence_is_what_stays_below_minus_60_dbfs(write):
    assert reason_of(write("a.wav", np.zeros(16000))) == "silent"
    assert reason_of(write("a.flac", sine(100, 16000, amplitude=0.0009))) == "silent"
    check_content(decode(str(write("a.wav", sine(100, 16000, amplitude=0.0011)))))
    offset = np.full(16000, -1.0)
    check_content(decode(str(write("a.wav", offset))))


def test_a_wav_whose_writer_left_the_sizes_at_zero_is_read_whole(write):
    path = write("a.wav", noise(16000))
    expected = decode(str(path))
    content = bytearray(path.read_bytes())
    content[4:8] = content[40:44] = bytes(4)
    path.write_bytes(content)
    assert np.array_equal(decode(str(path)), expected)


def test_entries_of_kaldi_arks_are_read(tmp_path):
    first = (noise(8000) * 32768).astype(np.int16)
    second = (noise(4000) * 32768).astype(np.int16)
    for name, options in {
        "plain": {},
        "flac": {"write_function": "soundfile", "write_kwargs": {"format": "flac"}},
    }.items():
        scp = tmp_path / f"{name}.scp"
        kaldiio.save_ark(
            str(tmp_path / f"{name}.ark"),
            {"a": (16000, first), "b": (8000, second)},
            scp=str(scp),
            **options,
        )
        locations = dict(line.split() for line in scp.read_text().splitlines())
        assert np.array_equal(decode(locations["a"]), first)
        assert len(decode(locations["b"])) == 8000
        for text, part in (("[0:400]", slice(401)), ("[5]", slice(5, 6))):
            _, by_kaldiio = kaldiio.load_mat(locations["a"] + text)
            if name == "flac":
                by_kaldiio = np.rint(by_kaldiio * 32768)
            assert np.array_equal(decode(locations["a"] + text), by_kaldiio)
            assert np.array_equal(by_kaldiio, first[part])
        ark = tmp_path / f"{name}.ark"
        assert reason_of(f"{ark}:1") == "not audio"
        ark.write_bytes(ark.read_bytes()[:-100])
        assert reason_of(locations["b"]) == "truncated"
        ark.write_bytes(b"")
        assert reason_of(locations["a"]) == "truncated"
        ark.unlink()
        assert reason_of(locations["a"]) == "missing"


def test_ranges_take_channels_too(write):
    path = write("a.wav", noise(16000, channels=2))
    left, right = (decode(f"{path}[0:99,{channel}]") for channel in (0, 1))
    assert len(left) == 100 and not np.array_equal(left, right)
    assert np.abs(left / 2 + right / 2 - decode(f"{path}[0:99]")).max() <= 1
    assert reason_of(f"{path}[0:99,2]") == "no such channel"
    assert reason_of(f"{path}[20000:30000]") == "too short"


@pytest.mark.parametrize("location", ["a\0.wav", "cat a\0.wav |"])
def test_a_name_with_nul_is_missing(location):
    assert reason_of(location) == "missing"


def test_a_path_with_a_colon_is_a_path(write):
    path = write("take:12", noise(16000), format="WAV")
    assert len(decode(str(path))) == 16000


def test_a_path_is_read_however_it_is_spelled(write, monkeypatch):
    path = write("a.wav", noise(16000))
    monkeypatch.chdir(path.parent)
    for spelled in ("a.wav", "./a.wav", ".//a.wav", f"../{path.parent.name}/a.wav"):
        assert len(decode(spelled)) == 16000


def test_pipes_are_run(write, tmp_path):
    path = write("a.flac", noise(16000))
    assert np.array_equal(decode(f"cat {path} |"), decode(str(path)))
    assert reason_of(f"cat {path}; exit 3 |") == "command failed"
    assert reason_of("true |") == "command failed"
    with pytest.raises(RejectedAudio, match=r"exit status 1: cat: .*No such file"):
        decode("cat /nowhere |")


@pytest.mark.parametrize("command", ["mytool a.sph |", "mytool a.sph | cat |"])
def test_a_program_that_is_not_there_is_named(command):
    with pytest.raises(UserError, match=r"program mytool is not found.* install it"):
        decode(command)


def test_a_killed_pipe_says_nothing_about_the_recording():
    for command in ("kill -9 $$ |", "sh -c 'kill -2 $$'; exit $? |"):
        with pytest.raises(UserError, match=r"was killed by signal \d: run the same"):
            decode(command)
    assert reason_of("kill -11 $$ |") == "command failed"


@pytest.mark.parametrize("command", ["cat /dev/zero |", "yes |", "cat /dev/urandom |"])
def test_output_without_end_is_not_waited_for(command):
    assert reason_of(command) == "not audio"


def test_a_pipe_that_does_not_end_is_ended(monkeypatch, tmp_path):
    monkeypatch.setattr(pipes, "MAX_SECONDS", 0.3)
    with pytest.raises(UserError, match=r"not finished within 0.3 seconds"):
        decode(f"(sleep 60; touch {tmp_path}/late) | cat |")
    assert not pipes._running


def test_load_audio_runs_no_command(tmp_path):
    with pytest.raises(UserError, match="is a command"):
        load_audio(f"touch {tmp_path}/ran |")
    assert not (tmp_path / "ran").exists()


SCALES = {"16 bits": 2**15, "24 bits": 2**23, "32 bits": 2**31, "5 times": 5 / 0.3}


@pytest.mark.parametrize("scale", SCALES.values(), ids=SCALES)
@pytest.mark.parametrize("subtype", ["FLOAT", "DOUBLE"])
def test_float_audio_in_another_scale_is_rejected(write, scale, subtype):
    path = write("a.wav", sine(440, 16000, amplitude=0.3) * scale, subtype=subtype)
    assert reason_of(path) == "beyond full scale"


def test_what_was_clipped_is_remarked(write):
    loud = decode(
        str(write("a.wav", sine(3000, 16000, amplitude=1.5), subtype="FLOAT"))
    )
    quiet = decode(str(write("b.wav", noise(16000))))
    assert describe_content(loud)[0] == "clipped"
    assert describe_content(quiet) == ()


@pytest.mark.parametrize(("rate", "expected"), [(8000, True), (16000, False)])
def test_a_telephones_band_is_remarked_also_after_upsampling(write, rate, expected):
    recording = decode_recording(str(write("a.wav", noise(2 * rate), rate)))
    upsampled = decode(str(write("b.wav", recording.samples)))
    assert (TELEPHONE_BAND in describe_content(upsampled)) == expected
    assert recording.remarks == (("sampled at 8000 Hz",) if expected else ())


CONTAINERS = {
    "W64": "PCM_16",
    "CAF": "PCM_16",
    "CAF ALAC": "ALAC_16",
    "AIFF": "PCM_16",
    "AIFF ADPCM": "IMA_ADPCM",
    "AU": "PCM_16",
    "AU µ-law": "ULAW",
    "NIST": "PCM_16",
    "RF64": "PCM_16",
    "WAVEX": "PCM_24",
    "VOC": "PCM_16",
}


@pytest.mark.parametrize(("name", "subtype"), CONTAINERS.items(), ids=CONTAINERS)
def test_other_containers_are_read_whole_and_their_cuts_seen(write, name, subtype):
    path = write("a", sine(440, 16000), format=name.split()[0], subtype=subtype)
    samples = decode(str(path))
    assert abs(len(samples) - 16000) < 500
    assert np.abs(samples[2000:9000] / 32768 - sine(440, 16000)[2000:9000]).max() < 0.05
    if name == "VOC":  # its end is not looked for
        return
    content = path.read_bytes()
    for left in (0.4, 0.99):
        path.write_bytes(content[: int(left * len(content))])
        assert reason_of(path) == "truncated"


@pytest.mark.parametrize("excess", [1, 36, 44, 5000])
def test_a_header_that_announces_too_much_is_a_remark(write, excess):
    path = write("a.wav", noise(16000))
    expected = decode(str(path))
    content = bytearray(path.read_bytes())
    struct.pack_into("<I", content, 40, 32000 + excess)
    path.write_bytes(content)
    recording = decode_recording(str(path))
    assert np.array_equal(recording.samples, expected)
    assert recording.remarks == ("a header that announces too much",)


@pytest.mark.parametrize("mode", ["CONSTANT", "VARIABLE"])
@pytest.mark.parametrize("rate", [16000, 44100])
def test_an_mp3_that_begins_anywhere_is_read_to_its_end(write, rate, mode):
    loudness = np.repeat([0.001, 0.3, 0.01, 0.2], rate)
    path = write(
        "a.mp3",
        noise(4 * rate) * loudness * 10,
        rate,
        subtype="MPEG_LAYER_III",
        bitrate_mode=mode,
    )
    whole = decode(str(path))
    content = path.read_bytes()
    tag = b"ID3\4\0\0" + bytes([0, 0, 0, 20]) + b"TIT2".ljust(20, b"\0")
    for front in (bytes(417), tag, tag + bytes(3000)):
        path.write_bytes(front + content)
        assert np.array_equal(decode(str(path)), whole)
    for start in (200, 1001, len(content) // 2):
        path.write_bytes(content[start:])
        rest = decode(str(path))
        share = len(rest) / len(whole)
        assert share > 0.9 if start < 2000 else 0.2 < share < 0.8


FOREIGN = {
    "MP4": b"\0\0\0\x20ftypM4A ",
    "WebM or Matroska": b"\x1a\x45\xdf\xa3",
    "AMR": b"#!AMR\n",
    "a Git LFS pointer: run git lfs pull": b"version https://git-lfs.github.com/spec",
    "a web page": b"<!DOCTYPE html>",
}


@pytest.mark.parametrize(("name", "head"), FOREIGN.items(), ids=FOREIGN)
def test_what_is_not_decoded_is_named(tmp_path, name, head):
    (tmp_path / "a").write_bytes(head + bytes(1000))
    with pytest.raises(RejectedAudio) as caught:
        decode(str(tmp_path / "a"))
    assert (caught.value.reason, caught.value.detail) == ("format not supported", name)


def test_no_more_is_decoded_than_the_longest_utterance(write):
    path = write("a.flac", np.zeros(8000 * 3600), 8000)  # an hour in a small file
    tracemalloc.start()
    with pytest.raises(RejectedAudio, match="longer than 30 s"):
        decode_recording(str(path), max_seconds=30)
    assert tracemalloc.get_traced_memory()[1] < 20e6
    tracemalloc.stop()
    exact = write("b.wav", noise(16000))
    assert len(decode_recording(str(exact), max_seconds=1).samples) == 16000


@pytest.mark.parametrize(
    ("name", "subtype"), [("a.wav", "PCM_16"), ("a.flac", None), ("a.ogg", "OPUS")]
)
def test_segments_are_those_of_kaldi(write, name, subtype):
    path = write(name, noise(48000) + sine(200, 16000, 3), subtype=subtype)
    whole = decode(str(path)).astype(float)
    opened = open_recording(str(path))
    for start, end in ((0, 1), (0.7, 1.31), (2, -1), (2.5, 3.4)):
        part = decode_part(opened, (start, end)).samples
        last = len(whole) if end == -1 else int(end * 16000)
        expected = whole[int(start * 16000) : last]
        assert len(part) == len(expected)
        if name != "a.ogg":
            assert np.array_equal(part, expected)
    with pytest.raises(RejectedAudio, match="segment ends after its recording"):
        decode_part(opened, (2.5, 3.6))


def test_load_audio_gives_exact_fractions_of_one(write):
    samples = np.array([-32768, -1, 0, 1, 32767] * 100, np.int16)
    loaded = load_audio(str(write("a.wav", samples)))
    assert loaded.dtype == np.float32
    assert np.array_equal(loaded * 32768, samples)
    assert loaded.min() == -1 and loaded.max() < 1


def test_load_audio_names_what_is_wrong(tmp_path):
    with pytest.raises(UserError, match=r"nowhere\.wav cannot be used .*\(missing\)"):
        load_audio(str(tmp_path / "nowhere.wav"))


def test_a_file_system_that_refuses_is_the_users_to_put_right(tmp_path):
    loop = tmp_path / "loop.wav"
    loop.symlink_to(loop)
    with pytest.raises(UserError, match=r"loop\.wav cannot be read \(Too many levels"):
        decode(str(loop))
