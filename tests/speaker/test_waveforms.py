import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import scipy.signal
from hypothesis import given, settings
from hypothesis import strategies as st

from espnet2_cltm.corpus.audio import MIN_SAMPLES, load_audio
from espnet2_cltm.errors import UserError
from espnet2_cltm.speaker.waveforms import change_tempo, trim_silence, variants
from tests.speech import voice

ROOT = Path(__file__).parents[2]
CV_MINI = ROOT / ".." / "shared" / "corpora" / "cv-mini"
RATE = 16000


def sine(hertz, n_samples, amplitude=0.5):
    samples = amplitude * np.sin(2 * np.pi * hertz * np.arange(n_samples) / RATE)
    return samples.astype(np.float32)


def speech(seed=0, n_samples=3 * RATE):
    return (voice("mf"[seed % 2], seed, n_samples) / 32768).astype(np.float32)


def loudest_hertz(waveform):
    hertz, power = scipy.signal.periodogram(waveform, RATE)
    return hertz[power.argmax()]


def energy(waveform):
    return float(np.mean(waveform.astype(np.float64) ** 2))


# Silence


def test_silence_is_cut_at_both_ends_and_stays_inside():
    tone = sine(300, 16000)
    pause = np.zeros(16000, np.float32)
    trimmed = trim_silence(np.concatenate([pause, tone, pause, tone, pause]), 20)
    # To the hop, and half a frame on either side that the tone reaches into.
    assert 48000 <= len(trimmed) <= 48000 + 2 * (1024 + 512)
    assert np.count_nonzero(trimmed) == np.count_nonzero([*tone, *tone])


@pytest.mark.parametrize(("level_db", "stays"), [(-19, True), (-21, False)])
def test_limit_is_counted_from_the_loudest_frame(level_db, stays):
    quiet = sine(300, 32000, 0.5 * 10 ** (level_db / 20))
    loud = sine(300, 32000)
    trimmed = trim_silence(np.concatenate([quiet, loud, quiet]), 20)
    assert (len(trimmed) > 90000) == stays


def test_none_trims_nothing():
    waveform = np.concatenate([np.zeros(9000, np.float32), sine(300, 9000)])
    assert trim_silence(waveform, None) is waveform


@pytest.mark.parametrize("n_samples", [0, 1, 100, MIN_SAMPLES])
def test_short_waveform_stays_whole(n_samples):
    waveform = np.zeros(n_samples, np.float32)
    waveform[-1:] = 0.5
    assert len(trim_silence(waveform, 20)) == n_samples


def test_digital_silence_stays_whole():
    waveform = np.zeros(16000, np.float32)
    assert len(trim_silence(waveform, 20)) == 16000


@pytest.mark.parametrize("n_samples", [20 * 512 + 1, 20 * 512 + 399, 20 * 512 + 511])
def test_loud_last_moment_is_kept_with_enough_before_it(n_samples):
    waveform = np.full(n_samples, 1e-5, np.float32)
    waveform[-1] = 1.0
    trimmed = trim_silence(waveform, 1)
    assert len(trimmed) >= MIN_SAMPLES
    assert trimmed[-1] == 1.0


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.integers(0, 6000),
    st.floats(0.01, 80, exclude_min=True),
)
def test_what_is_left_is_a_piece_of_the_waveform_and_long_enough(seed, n_samples, db):
    rng = np.random.default_rng(seed)
    waveform = rng.normal(0, 0.1, n_samples).astype(np.float32)
    waveform *= rng.choice([1e-4, 1.0], n_samples // 300 + 1).repeat(300)[:n_samples]
    trimmed = trim_silence(waveform, db)
    assert trimmed.dtype == np.float32 and trimmed.flags.c_contiguous
    assert len(trimmed) >= min(n_samples, MIN_SAMPLES)
    assert trimmed.tobytes() in waveform.tobytes()


# Tempo


@pytest.mark.parametrize("speed", [0.9, 0.98, 1.02, 1.1])
@pytest.mark.parametrize("hertz", [110, 440, 3000])
def test_length_changes_and_the_frequency_stays(hertz, speed):
    waveform = sine(hertz, 48000)
    played = change_tempo(waveform, speed)
    assert len(played) == round(48000 / speed)
    assert loudest_hertz(played) == pytest.approx(hertz, abs=0.5)
    assert energy(played) == pytest.approx(energy(waveform), rel=0.02)


@pytest.mark.parametrize("speed", [0.98, 1.02])
def test_what_is_said_last_comes_later_when_played_slower(speed):
    waveform = np.zeros(48000, np.float32)
    for at in (8000, 24000, 40000):
        waveform[at - 800 : at + 800] = sine(500, 1600) * scipy.signal.windows.hann(
            1600
        )
    loudness = np.convolve(change_tempo(waveform, speed) ** 2, np.ones(1600), "same")
    for at in (8000, 24000, 40000):
        expected = at / speed
        near = slice(round(expected) - 2000, round(expected) + 2000)
        found = near.start + loudness[near].argmax()
        assert found == pytest.approx(expected, abs=200)


@pytest.mark.parametrize("speed", [0.98, 1.02])
def test_speech_keeps_its_energy_and_its_long_term_spectrum(speed):
    for seed in range(4):
        waveform = speech(seed)
        played = change_tempo(waveform, speed)
        assert energy(played) == pytest.approx(energy(waveform), rel=0.05)
        before, after = (
            10 * np.log10(scipy.signal.welch(w, RATE, nperseg=512)[1][1:-1])
            for w in (waveform, played)
        )
        assert np.sqrt(np.mean((before - after) ** 2)) < 1.0  # dB


def test_speed_1_gives_the_waveform_itself():
    waveform = speech()
    assert change_tempo(waveform, 1.0) is waveform


@settings(max_examples=80, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.integers(1, 6000),
    st.one_of(st.sampled_from([0.98, 1.02]), st.floats(0.5, 2)),
)
def test_length_follows_its_rule_and_no_sample_grows(seed, n_samples, speed):
    waveform = np.random.default_rng(seed).uniform(-1, 1, n_samples).astype(np.float32)
    played = change_tempo(waveform, speed)
    assert played.dtype == np.float32 and played.flags.c_contiguous
    expected = round(n_samples / speed)
    assert len(played) == max(expected, min(n_samples, MIN_SAMPLES))
    assert np.abs(played).max(initial=0) <= np.abs(waveform).max() + 1e-7


def test_shortest_audio_of_the_store_stays_long_enough_for_a_frame():
    assert len(change_tempo(sine(300, MIN_SAMPLES), 1.02)) == MIN_SAMPLES
    assert len(change_tempo(sine(300, MIN_SAMPLES), 0.98)) == 408


def test_digital_silence_stays_silent():
    assert not change_tempo(np.zeros(9000, np.float32), 0.98).any()


def test_waveform_given_is_not_changed():
    waveform = speech()
    waveform.setflags(write=False)
    variants(waveform, (0.98, 1.0, 1.02), 20)


@pytest.mark.parametrize("speed", [0.0, -1.0, 98, float("nan")])
def test_speed_far_from_1_is_refused(speed):
    with pytest.raises(UserError, match=r"not between 0\.5 and 2: give speeds such as"):
        change_tempo(speech(), speed)


def test_voices_of_the_real_corpus_keep_their_energy():
    clips = sorted(CV_MINI.glob("*/clips/*"))[::100]
    if not clips:
        pytest.skip(f"{CV_MINI} is not there")
    for clip in clips:
        trimmed, slow, fast = variants(load_audio(str(clip)), (1.0, 0.98, 1.02), 20)
        for played in (slow, fast):
            assert energy(played) == pytest.approx(energy(trimmed), rel=0.05)


# Both


def test_variants_are_trimmed_once_and_come_in_the_order_of_the_speeds():
    waveform = np.concatenate([np.zeros(16000, np.float32), speech()])
    trimmed = trim_silence(waveform, 20)
    slow, same, fast = variants(waveform, (0.98, 1.0, 1.02), 20)
    assert np.array_equal(same, trimmed)
    assert [len(slow), len(fast)] == [
        round(len(trimmed) / 0.98),
        round(len(trimmed) / 1.02),
    ]
    assert np.array_equal(slow, change_tempo(trimmed, 0.98))


FINGERPRINT = """
import hashlib
import numpy as np
from espnet2_cltm.speaker.waveforms import variants
noise = np.random.default_rng(0).normal(0, 0.1, 48000)
smooth = np.convolve(noise, np.hanning(40), "same") * np.linspace(0, 1, 48000)
waveforms = variants(smooth.astype(np.float32), (0.98, 1.0, 1.02), 20)
print(hashlib.sha256(b"".join(w.tobytes() for w in waveforms)).hexdigest())
"""


def test_same_bits_in_every_process_whatever_its_threads():
    printed = {
        subprocess.run(
            [sys.executable, "-c", FINGERPRINT],
            check=True,
            cwd=ROOT,
            capture_output=True,
            text=True,
            env=os.environ | {"OMP_NUM_THREADS": threads, "PYTHONHASHSEED": threads},
        ).stdout
        for threads in ("1", "2")
    }
    assert len(printed) == 1


def test_same_bits_again():
    first, again = (variants(speech(1), (0.98, 1.0, 1.02), 20) for _ in range(2))
    for one, other in zip(first, again, strict=True):
        assert one.tobytes() == other.tobytes()


def test_importing_loads_nothing_heavy():
    script = (
        "import sys; import espnet2_cltm.speaker.waveforms;"
        "assert not {'numba', 'librosa.effects', 'torch'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script], check=True, cwd=ROOT)
