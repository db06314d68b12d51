"""Disturbances: as strong as asked for, and drawn from their generator alone."""

import numpy as np
import pytest
import scipy.signal

from espnet2_cltm.corpus.augmentation import (
    Augmentation,
    add_at_snr,
    coloured_noise,
    draw_room,
    filtered,
    mu_law,
)
from espnet2_cltm.errors import UserError

NOTHING = {
    "reverb_prob": 0,
    "band_prob": 0,
    "colour_prob": 0,
    "noise_prob": 0,
    "babble_prob": 0,
    "codec_prob": 0,
    "level": [0, 0],
}


def disturb(augmentation, crop, others, random):
    channel = augmentation.draw_channel(random)
    return augmentation.disturb(crop, others, channel, random)


def generator(seed=0):
    return np.random.default_rng(seed)


def speech(seed=0, samples=16000):
    return (0.1 * generator(seed).standard_normal(samples)).astype(np.float32)


def decibels(ratio):
    return 10 * np.log10(ratio)


def test_the_same_generator_disturbs_in_the_same_way():
    augmentation = Augmentation(reverb_prob=1, noise_prob=1, babble_prob=1)
    others = [speech(1), speech(2)]
    first = disturb(augmentation, speech(), others, generator(5))
    assert first.dtype == np.float32 and np.abs(first).max() <= 1
    np.testing.assert_array_equal(
        first, disturb(augmentation, speech(), others, generator(5))
    )
    assert not np.array_equal(
        first, disturb(augmentation, speech(), others, generator(6))
    )


def test_what_is_switched_off_changes_nothing():
    crop = speech()
    quiet = disturb(Augmentation(**NOTHING), crop, [speech(1)], generator())
    np.testing.assert_array_equal(quiet, crop)


def test_one_disturbance_does_not_change_the_draws_of_another():
    level = {"level": [-20, -5]}
    without = disturb(Augmentation(**{**NOTHING, **level}), speech(), [], generator(1))
    gain = without / speech()
    coded = disturb(
        Augmentation(**{**NOTHING, **level, "codec_prob": 1, "codec_bits": [8, 8]}),
        speech(),
        [],
        generator(1),
    )
    np.testing.assert_allclose(coded, speech() * gain.mean(), atol=0.02)


@pytest.mark.parametrize("snr", [-5.0, 0.0, 20.0])
def test_noise_is_added_at_the_ratio_asked_for(snr):
    signal, noise = speech(1), 7 * speech(2)
    added = add_at_snr(signal, noise, snr) - signal
    assert decibels(np.mean(signal**2) / np.mean(added**2)) == pytest.approx(
        snr, abs=0.01
    )


def test_silence_is_left_alone():
    silence = np.zeros(1000, np.float32)
    np.testing.assert_array_equal(add_at_snr(silence, speech()[:1000], 0), silence)
    np.testing.assert_array_equal(
        add_at_snr(speech()[:1000], silence, 0), speech()[:1000]
    )
    everything = Augmentation(
        **{name: 1.0 for name in vars(Augmentation()) if name.endswith("_prob")}
    )
    disturbed = disturb(everything, silence, [silence], generator())
    assert disturbed.shape == (1000,) and not disturbed.any()


@pytest.mark.parametrize("slope", [0.0, 1.0, 2.0])
def test_noise_falls_with_frequency_as_asked_for(slope):
    noise = coloured_noise(2**18, slope, generator(4))
    hertz, power = scipy.signal.welch(noise, 16000, nperseg=4096)
    inside = (hertz > 100) & (hertz < 7000)
    fitted = np.polyfit(np.log10(hertz[inside]), np.log10(power[inside]), 1)[0]
    assert fitted == pytest.approx(-slope, abs=0.05)


def test_a_room_decays_by_60_db_in_its_time():
    room = draw_room(0.5, 3.0, generator(2))
    assert len(room) == 8000 and room[0] == 1
    assert decibels(1 / np.sum(room[1:] ** 2)) == pytest.approx(3.0, abs=0.01)
    energy = np.cumsum(room[:0:-1] ** 2)[::-1]  # what is still to come
    level = decibels(energy / energy[0])
    slope = np.polyfit(np.arange(4000) / 16000, level[:4000], 1)[0]
    assert slope == pytest.approx(-60 / 0.5, rel=0.05)


def test_a_room_is_a_convolution():
    signal, room = speech(samples=3000), draw_room(0.1, 0.0, generator(2))
    np.testing.assert_allclose(
        filtered(signal, room, None), np.convolve(signal, room)[:3000], atol=1e-5
    )


def test_a_band_halves_the_power_at_its_edges():
    seconds = np.arange(16000) / 16000
    for hertz, wanted in ((300, -3.01), (3000, -3.01), (1000, 0), (7000, -29.4)):
        tone = np.sin(2 * np.pi * hertz * seconds).astype(np.float32)
        passed = filtered(tone, None, (300.0, 3000.0))
        middle = slice(4000, 12000)
        ratio = decibels(np.mean(passed[middle] ** 2) / np.mean(tone[middle] ** 2))
        assert ratio == pytest.approx(wanted, abs=0.1)


def test_a_microphone_amplifies_what_it_is_told_to():
    gains = np.zeros(10, np.float32)
    gains[5] = 6.0
    # Ten places from 0 to 2,840 mel (8 kHz): the sixth is 1,578 mel, 2,139 Hz.
    seconds = np.arange(16000) / 16000
    for hertz, wanted in ((2139, 6.0), (500, 0.0), (6000, 0.0)):
        tone = np.sin(2 * np.pi * hertz * seconds).astype(np.float32)
        passed = filtered(tone, colour=gains)
        middle = slice(4000, 12000)
        ratio = decibels(np.mean(passed[middle] ** 2) / np.mean(tone[middle] ** 2))
        assert ratio == pytest.approx(wanted, abs=0.1)


def test_crops_of_one_channel_differ_in_their_noise_only():
    augmentation = Augmentation(**{**NOTHING, "reverb_prob": 1, "colour_prob": 1})
    channel = augmentation.draw_channel(generator(3))
    first, second = (
        augmentation.disturb(speech(), [], channel, generator(seed)) for seed in (4, 5)
    )
    np.testing.assert_array_equal(first, second)
    noisy = Augmentation(**{**NOTHING, "noise_prob": 1})
    first, second = (
        noisy.disturb(speech(), [], channel, generator(seed)) for seed in (4, 5)
    )
    assert not np.array_equal(first, second)


def test_companding_is_coarse_but_keeps_the_signal():
    signal = np.linspace(-1, 1, 5001, dtype=np.float32)
    assert len(np.unique(mu_law(signal, 5))) == 2**5 + 1
    assert np.abs(mu_law(signal, 8) - signal).max() < 0.03
    np.testing.assert_allclose(mu_law(-signal, 6), -mu_law(signal, 6), atol=1e-6)


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"noise_prob": 1.5}, "noise_prob: 1.5 .* a probability from 0 to 1"),
        ({"rt60": 0.3}, r"rt60: 0.3 .* \[lowest, highest\]"),
        ({"noise_snr": [20, 0]}, r"noise_snr: .* \[lowest, highest\]"),
        ({"colour": -1}, r"colour: -1 .* 0 or more \(dB\)"),
        ({"babble_voices": 0}, "babble_voices: 0 .* a whole number from 1 on"),
        ({"low_cut": [0, 100]}, "low_cut of the augmentation must lie above 0"),
    ],
)
def test_a_wrong_setting_is_named(option, message):
    with pytest.raises(UserError, match=message):
        Augmentation(**option)
