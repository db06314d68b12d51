import struct
import tempfile
import wave

import kaldiio
import numpy as np
import pytest
import scipy.signal
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from espnet2_cltm.corpus.audio import (
    RejectedAudio,
    check_content,
    decode,
    load_audio,
)
from espnet2_cltm.errors import UserError


def noise(n_samples, channels=1, scale=0.1):
    samples = np.random.default_rng(0).normal(0, scale, (n_samples, channels))
    return samples[:, 0] if channels == 1 else samples


def sine(hertz, rate, seconds=1.0, amplitude=0.5):
    return amplitude * np.sin(2 * np.pi * hertz * np.arange(int(rate * seconds)) / rate)


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
    assert reason_of(tmp_path) == "not audio"
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
        ark = tmp_path / f"{name}.ark"
        assert reason_of(f"{ark}:1") == "not audio"
        assert "range" in reason_of(f"{locations['a']}[0:400]")
        ark.write_bytes(ark.read_bytes()[:-100])
        assert reason_of(locations["b"]) == "truncated"
        ark.write_bytes(b"")
        assert reason_of(locations["a"]) == "truncated"
        ark.unlink()
        assert reason_of(locations["a"]) == "missing"


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
    assert reason_of("no-such-command-here |") == "command failed"
    assert reason_of("true |") == "empty"


def test_a_killed_pipe_says_nothing_about_the_recording():
    for command in ("kill -9 $$ |", "sh -c 'kill -2 $$'; exit $? |"):
        with pytest.raises(UserError, match=r"was killed by signal \d: run the same"):
            decode(command)
    assert reason_of("kill -11 $$ |") == "command failed"


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
