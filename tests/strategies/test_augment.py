"""Augmentation of training speech: its size, its draws, and what it leaves alone."""

import numpy as np
import pytest
import torch

from espnet2_cltm.errors import UserError
from espnet2_cltm.strategies.augment import Augment
from tests.speech import voice
from tests.strategies.models import LENGTHS, SPEECH, build

NONE = {"tempo": [1, 1], "reverb_prob": 0, "noise_prob": 0, "level": [0, 0]}
SPEAKER = voice("f", 1, 16000).astype(np.float32) / 32768


def disturbed(waveform=SPEAKER, **options):
    return Augment(**{**NONE, "prob": 1, **options}).disturb(waveform)


def test_each_disturbance_has_the_size_that_is_asked_for():
    assert np.array_equal(disturbed(), SPEAKER)
    np.testing.assert_allclose(
        disturbed(level=[-6, -6]), SPEAKER * 10 ** (-6 / 20), rtol=1e-6
    )
    assert len(disturbed(tempo=[0.8, 0.8])) == 20000
    noise = disturbed(noise_prob=1, noise_snr=[15, 15]) - SPEAKER
    snr = 10 * np.log10(np.mean(SPEAKER**2) / np.mean(noise**2))
    assert snr == pytest.approx(15, abs=0.01)
    impulse = np.zeros(16000, np.float32)
    impulse[0] = 0.1
    ratio = {"direct_to_reverberant": [10, 10], "rt60": [0.3, 0.3]}
    room = disturbed(impulse, reverb_prob=1, **ratio)
    energy = 10 * np.log10(room[0] ** 2 / np.sum(room[1:] ** 2))
    assert energy == pytest.approx(10, abs=0.1) and not room[4900:].round(6).any()


def test_the_share_of_utterances_is_the_probability():
    strategy = Augment(**{**NONE, "level": [-6, -6], "prob": 0.3})
    waveforms = np.random.default_rng(0).normal(0, 0.1, (1000, 400)).astype("f4")
    share = np.mean([not np.array_equal(strategy.disturb(w), w) for w in waveforms])
    assert share == pytest.approx(0.3, abs=0.06)


def batch_of(model, speech, lengths, epoch=1, batch=1):
    """Return what reaches the frontend."""
    seen = []
    handle = model.frontend.register_forward_pre_hook(
        lambda module, inputs: seen.append(inputs)
    )
    model.strategy.on_epoch(model, epoch)
    for _ in range(batch):
        model.strategy.on_step(model, 0)
    model.frontend(speech, lengths)
    handle.remove()
    (inputs,) = seen
    return inputs


def test_an_utterance_is_disturbed_alike_whatever_is_beside_it():
    model = build("augment", {"prob": 1}, seed=3).train()
    both, lengths = batch_of(model, SPEECH, LENGTHS)
    assert not lengths.equal(LENGTHS)
    for row in (0, 1):
        one = slice(row, row + 1)
        alone, length = batch_of(model, SPEECH[one, : LENGTHS[row]], LENGTHS[one])
        assert length == lengths[row]
        assert alone[0].equal(both[row, : lengths[row]])
        assert not both[row, lengths[row] :].any()
    for other in (
        batch_of(model, SPEECH, LENGTHS, epoch=2),
        batch_of(model, SPEECH, LENGTHS, batch=2),
        batch_of(build("augment", {"prob": 1}, seed=4).train(), SPEECH, LENGTHS),
    ):
        assert not other[1].equal(lengths)


def test_what_is_tested_is_not_disturbed():
    model = build("augment", {"prob": 1}).eval()
    speech, lengths = batch_of(model, SPEECH, LENGTHS)
    assert speech.equal(SPEECH) and lengths.equal(LENGTHS)
    torch.testing.assert_close(
        model.logits(SPEECH, LENGTHS), build().eval().logits(SPEECH, LENGTHS)
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"prob": 1.5}, r"prob: 1\.5 in strategy_conf must be"),
        ({"tempo": [0.9]}, r"tempo: \[0\.9\] in strategy_conf must be"),
        ({"tempo": [1.1, 0.9]}, "tempo: .* must be"),
        ({"tempo": [0.1, 1]}, "tempo: .* must be"),
        ({"noise_prob": 2}, "noise_prob: 2 of the augmentation must be"),
        ({"rt60": [0, 1]}, "rt60 of the augmentation must lie above 0"),
        ({"babble_prob": 1}, "strategy: augment has no option babble_prob"),
    ],
)
def test_other_options_are_refused(options, message):
    with pytest.raises(UserError, match=message):
        build("augment", options)
