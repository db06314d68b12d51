"""Disturbances of the speech that is trained on: noise, voices, rooms, microphones.

In pretraining, targets come from the clean signal, so that the encoder learns to ignore
all this (as in WavLM, arXiv:2110.13900). Every draw comes from the generator that is
passed: a crop sounds the same whatever process disturbs it, and in whatever order.
Rooms, microphones, levels and codecs are a *channel*, which several crops can have in
common, as recordings of one speaker do; noise and voices are each crop's own. Waveforms
are float32 at 16 kHz with full scale at 1. Each probability is that of one disturbance,
independent of the others. Values are drawn uniformly from ranges ``[lowest, highest]``,
or where a ratio matters (seconds, Hz) uniformly in their logarithm.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import librosa
import numpy as np
import scipy.fft

from espnet2_cltm.corpus.audio import SAMPLE_RATE
from espnet2_cltm.errors import UserError

Range = Sequence[float]

COLOUR_PLACES = 10
"""Number of places on the mel scale at which a microphone has a gain of its own."""


@dataclass(frozen=True)
class Channel:
    """What a recording goes through besides noise.

    Attributes:
        room: Impulse response, or None.
        band: Edges of a band-pass in Hz, or None.
        colour: Gains in dB at places that are evenly spaced on the mel scale from 0 Hz
            to half the sampling rate, or None.
        level: Gain in dB.
        bits: Number of bits of a sample in companded quantisation, or None.
    """

    room: np.ndarray | None
    band: tuple[float, float] | None
    colour: np.ndarray | None
    level: float
    bits: int | None


@dataclass(frozen=True)
class Augmentation:
    """How often and how strongly crops are disturbed.

    Attributes:
        same_channel_prob: Probability that a pair's second crop has the channel of the
            first.
        reverb_prob: Probability of a room: exponentially decaying noise after the
            direct sound.
        rt60: Time in which the room's sound decays by 60 dB, in seconds.
        direct_to_reverberant: Ratio of direct sound to the room's, in dB.
        band_prob: Probability of a band-pass with soft edges.
        low_cut: Lower edge, in Hz.
        high_cut: Upper edge, in Hz.
        colour_prob: Probability of a microphone that amplifies some frequencies more
            than others.
        colour: Standard deviation of its gains, in dB.
        noise_prob: Probability of noise whose power falls with frequency.
        noise_snr: Ratio of speech to noise, in dB.
        noise_slope: Exponent of 1/f in the noise's power: 0 is white, 1 pink, 2 brown.
        babble_prob: Probability of voices, other crops of the same batch.
        babble_snr: Ratio of speech to voices, in dB.
        babble_voices: Largest number of voices.
        level: Gain in dB; what exceeds full scale is clipped.
        codec_prob: Probability of companded quantisation (mu-law).
        codec_bits: Number of bits of a sample.
    """

    same_channel_prob: float = 0.0
    reverb_prob: float = 0.4
    rt60: Range = (0.1, 0.8)
    direct_to_reverberant: Range = (-3.0, 12.0)
    band_prob: float = 0.3
    low_cut: Range = (50.0, 400.0)
    high_cut: Range = (2500.0, 7500.0)
    colour_prob: float = 0.0
    colour: float = 5.0
    noise_prob: float = 0.5
    noise_snr: Range = (0.0, 30.0)
    noise_slope: Range = (0.0, 2.0)
    babble_prob: float = 0.25
    babble_snr: Range = (3.0, 20.0)
    babble_voices: int = 4
    level: Range = (-25.0, 15.0)
    codec_prob: float = 0.15
    codec_bits: Range = (5.0, 8.0)

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            is_positive = isinstance(value, int | float) and value >= 0
            if name.endswith("_prob"):
                valid, wanted = is_positive and value <= 1, "a probability from 0 to 1"
            elif name == "colour":
                valid, wanted = is_positive, "0 or more (dB)"
            elif name == "babble_voices":
                valid = isinstance(value, int) and value >= 1
                wanted = "a whole number from 1 on"
            else:
                valid, wanted = _is_range(value), "[lowest, highest]"
            if not valid:
                raise UserError(
                    f"{name}: {value} of the augmentation must be {wanted}."
                )
        for name in ("rt60", "low_cut", "high_cut"):
            if getattr(self, name)[0] <= 0:
                raise UserError(f"{name} of the augmentation must lie above 0.")

    def draw_channel(self, random: np.random.Generator) -> Channel:
        """Draw a channel."""
        # All draws come first and always, so that they do not depend on each other.
        reverb, band, colour, codec = random.random(4) < (
            self.reverb_prob,
            self.band_prob,
            self.colour_prob,
            self.codec_prob,
        )
        rt60, low_cut, high_cut = (
            _draw_log(random, limits)
            for limits in (self.rt60, self.low_cut, self.high_cut)
        )
        ratio, level, bits = (
            _draw(random, limits)
            for limits in (self.direct_to_reverberant, self.level, self.codec_bits)
        )
        gains = self.colour * random.standard_normal(COLOUR_PLACES, dtype=np.float32)
        return Channel(
            room=draw_room(rt60, ratio, random) if reverb else None,
            band=(low_cut, high_cut) if band else None,
            colour=gains if colour else None,
            level=level,
            bits=round(bits) if codec else None,
        )

    def disturb(
        self,
        crop: np.ndarray,
        others: Sequence[np.ndarray],
        channel: Channel,
        random: np.random.Generator,
    ) -> np.ndarray:
        """Disturb one crop.

        Args:
            crop: (samples,) float32.
            others: Clean crops of the same length to make babble of; may be empty.
            channel: Channel that it goes through.
            random: Generator of this crop's noise and babble.

        Returns:
            (samples,) float32 in [-1, 1].
        """
        noise, babble = random.random(2) < (self.noise_prob, self.babble_prob)
        noise_snr, slope, babble_snr = (
            _draw(random, limits)
            for limits in (self.noise_snr, self.noise_slope, self.babble_snr)
        )
        signal = crop
        if babble and others:
            signal = add_at_snr(signal, self._babble(others, random), babble_snr)
        signal = filtered(signal, channel.room, channel.band, channel.colour)
        if noise:
            signal = add_at_snr(
                signal, coloured_noise(len(signal), slope, random), noise_snr
            )
        signal = np.clip(signal * np.float32(10 ** (channel.level / 20)), -1, 1)
        return signal if channel.bits is None else mu_law(signal, channel.bits)

    def _babble(
        self, others: Sequence[np.ndarray], random: np.random.Generator
    ) -> np.ndarray:
        number = int(random.integers(1, self.babble_voices + 1))
        chosen = random.permutation(len(others))[:number]
        return np.sum([_unit_power(others[index]) for index in chosen], axis=0)


def draw_room(
    rt60: float, direct_to_reverberant: float, random: np.random.Generator
) -> np.ndarray:
    """Draw a room's impulse response: an impulse, then decaying white noise.

    Args:
        rt60: Time in seconds in which it decays by 60 dB; it ends there.
        direct_to_reverberant: Ratio of the impulse's energy to the rest's, in dB.
        random: Generator of the noise.

    Returns:
        (samples,) float32, its impulse 1 at the first sample.
    """
    samples = max(2, round(rt60 * SAMPLE_RATE))
    decay = np.exp(np.linspace(0, -np.log(1000), samples, dtype=np.float32))
    tail = random.standard_normal(samples, dtype=np.float32) * decay
    tail[0] = 0
    tail *= 10 ** (-direct_to_reverberant / 20) / np.sqrt(np.sum(tail**2))
    tail[0] = 1
    return tail


def filtered(
    signal: np.ndarray,
    room: np.ndarray | None = None,
    band: tuple[float, float] | None = None,
    colour: np.ndarray | None = None,
) -> np.ndarray:
    """Apply the linear parts of a channel with one pair of Fourier transforms.

    Args:
        signal: (samples,) float32.
        room: Impulse response, or None.
        band: Edges in Hz where the power falls to half (Butterworth, order 4 at each
            edge, no delay), or None.
        colour: Gains in dB at places that are evenly spaced on the mel scale from 0 Hz
            to half the sampling rate, joined by straight lines (no delay); or None.

    Returns:
        (samples,) float32; what sounds on after the end is cut off.
    """
    if room is None and band is None and colour is None:
        return signal
    tail = 0 if room is None else len(room)
    size = scipy.fft.next_fast_len(len(signal) + tail, real=True)
    spectrum = scipy.fft.rfft(signal, size)
    if room is not None:
        spectrum *= scipy.fft.rfft(room, size)
    hertz = np.arange(len(spectrum), dtype=np.float32) * (SAMPLE_RATE / size)
    if band is not None:
        low, high = band
        spectrum /= np.sqrt(1 + (hertz / high) ** 8)
        spectrum *= np.sqrt(1 - 1 / (1 + (hertz / low) ** 8))
    if colour is not None:
        mel = librosa.hz_to_mel(hertz, htk=True)
        decibels = np.interp(mel, np.linspace(0, mel[-1], len(colour)), colour)
        spectrum *= 10 ** (decibels / 20)
    return scipy.fft.irfft(spectrum, size)[: len(signal)].astype(np.float32)


def coloured_noise(
    samples: int, slope: float, random: np.random.Generator
) -> np.ndarray:
    """Draw noise whose power density falls with 1/f**slope above 20 Hz.

    Returns:
        (samples,) float32.
    """
    size = scipy.fft.next_fast_len(samples, real=True)
    bins = size // 2 + 1
    hertz = np.maximum(np.arange(bins, dtype=np.float32) * (SAMPLE_RATE / size), 20)
    noise = random.standard_normal((bins, 2), dtype=np.float32).view(np.complex64)
    return scipy.fft.irfft(noise[:, 0] * hertz ** (-slope / 2), size)[:samples]


def add_at_snr(signal: np.ndarray, noise: np.ndarray, snr: float) -> np.ndarray:
    """Add noise so that the signal's power is ``snr`` dB above it.

    Silence, on either side, leaves the signal as it is.
    """
    signal_power, noise_power = (float(np.mean(x**2)) for x in (signal, noise))
    if signal_power == 0 or noise_power == 0:
        return signal
    gain = np.sqrt(signal_power / noise_power) * 10 ** (-snr / 20)
    return signal + np.float32(gain) * noise


def mu_law(signal: np.ndarray, bits: int) -> np.ndarray:
    """Quantise to ``2**bits`` steps, finer near zero, as telephone codecs do."""
    mu = np.float32(255)
    steps = np.float32(2 ** (bits - 1))
    companded = np.sign(signal) * np.log1p(mu * np.abs(signal)) / np.log1p(mu)
    companded = np.round(companded * steps) / steps
    return np.sign(companded) * np.expm1(np.abs(companded) * np.log1p(mu)) / mu


def _unit_power(signal: np.ndarray) -> np.ndarray:
    power = float(np.mean(signal**2))
    return signal if power == 0 else signal / np.float32(np.sqrt(power))


def _draw(random: np.random.Generator, limits: Range) -> float:
    lowest, highest = limits
    return float(random.uniform(lowest, highest))


def _draw_log(random: np.random.Generator, limits: Range) -> float:
    lowest, highest = np.log(limits)
    return float(np.exp(random.uniform(lowest, highest)))


def _is_range(value: object) -> bool:
    return (
        isinstance(value, Sequence)
        and len(value) == 2
        and all(isinstance(end, int | float) for end in value)
        and value[0] <= value[1]
    )
