"""Masked prediction: the loss is the paper's, and hidden frames are hidden."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from espnet2_cltm.errors import UserError
from espnet2_cltm.pretraining import model as model_module
from espnet2_cltm.pretraining.model import (
    MaskedHubert,
    MaskedPredictionModel,
    compare_pairs,
    draw_spans,
)
from tests.speech import TINY_HUBERT

SAMPLES = 9 * 320 + 400


def build(**options):
    torch.manual_seed(0)
    return MaskedPredictionModel(
        MaskedHubert(TINY_HUBERT), num_clusters=5, code_size=4, **options
    )


def batch(seed=0):
    generator = torch.Generator().manual_seed(seed)
    return {
        "speech": torch.randn(3, SAMPLES, generator=generator),
        "target": torch.randint(5, (3, 10), generator=generator),
    }


def logits_by_hand(head, hidden):
    """Equation 3 of arXiv:2106.07447, in numpy."""
    weight, bias = (
        value.detach().double().numpy() for value in head.final_proj.parameters()
    )
    codes = hidden @ weight.T + bias
    labels = head.label_embeddings.detach().double().numpy()
    cosines = (codes @ labels.T) / (
        np.linalg.norm(codes, axis=-1, keepdims=True) * np.linalg.norm(labels, axis=-1)
    )
    return cosines / 0.1


def cross_entropies(logits, target):
    log_probabilities = logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))
    return -np.take_along_axis(log_probabilities, target[..., None], axis=-1)[..., 0]


@pytest.fixture
def fixed_mask(monkeypatch):
    mask = torch.zeros(3, 10, dtype=torch.bool)
    mask[0, 2:5] = mask[1, 7:] = mask[2, :4] = True
    monkeypatch.setattr(model_module, "draw_spans", lambda *arguments: mask)
    return mask


@pytest.mark.parametrize("alpha", [1.0, 0.5])
def test_the_loss_is_that_of_the_paper(fixed_mask, alpha):
    model = build(masked_weight=alpha).eval()
    data = batch()
    loss, stats, weight = model(**data)
    hidden = model.hubert.masked(data["speech"], fixed_mask).detach().double().numpy()
    losses = cross_entropies(
        logits_by_hand(model.target_head, hidden), data["target"].numpy()
    )
    mask = fixed_mask.numpy()
    wanted = alpha * losses[mask].mean() + (1 - alpha) * losses[~mask].mean()
    assert float(loss) == pytest.approx(wanted, rel=1e-5)
    assert float(stats["loss"]) == pytest.approx(wanted, rel=1e-5)
    assert int(weight) == 3


def test_accuracy_counts_the_masked_frames_that_are_right(fixed_mask):
    model = build().eval()
    data = batch()
    hidden = model.hubert.masked(data["speech"], fixed_mask).detach().double().numpy()
    right = (
        logits_by_hand(model.target_head, hidden).argmax(-1) == data["target"].numpy()
    )
    _, stats, _ = model(**data)
    assert float(stats["acc"]) == pytest.approx(right[fixed_mask.numpy()].mean())
    assert float(stats["acc_heard"]) == pytest.approx(right[~fixed_mask.numpy()].mean())


def test_the_sound_is_told_from_the_mean_of_what_is_heard(fixed_mask):
    model = build(summary_weight=0.25)
    speech = [batch(seed)["speech"] for seed in range(4)]
    heard = ~fixed_mask
    for number in range(3):
        model(speech[number], batch()["target"])
    model.eval()
    loss, stats, _ = model(speech[3], batch()["target"])
    # Scaled by what was heard in training, and by all of it alike.
    known = torch.stack([model.summary(row, heard) for row in speech[:3]])
    mean, variance = known.mean(dim=(0, 1)), known.var(dim=1).mean(dim=0)
    summary = (model.summary(speech[3], heard) - mean) / (variance + 1e-5).sqrt()
    hidden = model.hubert.masked(speech[3], fixed_mask).detach().double().numpy()
    heard_mean = np.stack(
        [row[ok].mean(axis=0) for row, ok in zip(hidden, heard.numpy(), strict=True)]
    )
    weight, bias = (
        value.detach().double().numpy() for value in model.summary_head.parameters()
    )
    errors = np.abs(heard_mean @ weight.T + bias - summary.numpy())
    wanted = np.where(errors < 1, errors**2 / 2, errors - 0.5).mean()
    assert float(stats["loss_summary"]) == pytest.approx(wanted, rel=1e-4)
    model.summary_weight = 1e-9
    rest = float(model(speech[3], batch()["target"])[0])
    assert float(loss) - rest == pytest.approx(0.25 * wanted, rel=1e-3)


def test_what_a_language_sounds_like_is_not_scaled_away(fixed_mask):
    model = build(summary_weight=1.0)
    target = batch()["target"]
    low = torch.cumsum(batch()["speech"], dim=1)  # brown noise: low sounds
    model(low, target)
    model(batch()["speech"], target)
    summary = model.eval()._summarise(low, ~fixed_mask)
    assert (summary[:, :5] > 0.5).all() and (summary[:, 35:40] < -0.5).all()


def test_a_batch_of_one_crop_is_trained_on():
    data = {name: value[:1] for name, value in batch().items()}
    for mask_length in (3, 10):  # ten hide the whole crop
        model = build(summary_weight=1.0, mask_length=mask_length)
        assert model(**data)[0].isfinite()


def test_each_crop_is_to_be_nearest_to_its_pairs():
    random = np.random.default_rng(0)
    vectors = random.normal(size=(8, 4))
    speakers = [7, 2, 7, 5]  # the first and the third pair are of one speaker
    logits, other = compare_pairs(
        torch.from_numpy(vectors), torch.tensor(speakers), temperature=0.5
    )
    assert other.tolist() == [4, 5, 6, 7, 0, 1, 2, 3]
    loss = torch.nn.functional.cross_entropy(logits, other)
    # Equation 1 of arXiv:2002.05709, pair by pair, against other speakers.
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    losses = []
    for one in range(8):
        pair = (one + 4) % 8
        against = [k for k in range(8) if speakers[k % 4] != speakers[one % 4]]
        alike = {k: np.exp(unit[one] @ unit[k] / 0.5) for k in (pair, *against)}
        losses.append(-np.log(alike[pair] / sum(alike.values())))
    assert float(loss) == pytest.approx(np.mean(losses))


def test_the_contrast_counts_as_much_as_it_is_told(monkeypatch):
    mask = torch.zeros(6, 10, dtype=torch.bool)
    mask[:, 2:5] = True
    monkeypatch.setattr(model_module, "draw_spans", lambda *arguments: mask)
    model = build(contrast_weight=0.5).eval()
    data = {name: torch.cat([value, value]) for name, value in batch().items()}
    data["speaker"] = torch.tensor([[0], [1], [2]])
    loss, stats, _ = model(**data)
    assert float(stats["acc_contrast"]) == 1  # the crops of a pair are the same here
    model.contrast_weight = 0.0
    difference = float(loss - model(**data)[0])
    assert difference == pytest.approx(0.5 * float(stats["loss_contrast"]), rel=1e-4)


def test_a_speaker_that_is_not_there_is_named():
    with pytest.raises(UserError, match="needs the data speaker"):
        build(contrast_weight=0.5)(**batch())


def test_what_a_hidden_frame_sounds_like_is_not_known():
    model = build().eval()
    speech = batch()["speech"]
    everything = torch.ones(3, 10, dtype=torch.bool)
    # Waveforms of equal mean and variance, so that only frames could tell them apart.
    hidden = model.hubert.masked(speech, everything)
    torch.testing.assert_close(hidden, model.hubert.masked(speech.flip(1), everything))
    nothing = torch.zeros(3, 10, dtype=torch.bool)
    assert not torch.allclose(
        model.hubert.masked(speech, nothing),
        model.hubert.masked(speech.flip(1), nothing),
    )


def test_without_hidden_frames_it_is_the_frontend():
    model = build().eval()
    speech = batch()["speech"]
    torch.testing.assert_close(
        model.hubert.masked(speech, torch.zeros(3, 10, dtype=torch.bool)),
        model.hubert(speech, torch.full((3,), SAMPLES))[0],
    )


def test_every_weight_learns(fixed_mask):
    model = build(summary_weight=1.0, masked_weight=0.5)
    model(**batch())[0].backward()
    without = [name for name, value in model.named_parameters() if value.grad is None]
    assert without == []


def test_bfloat16_gives_about_the_same_loss(fixed_mask):
    data = batch()
    exact = float(build().eval()(**data)[0])
    # Cosines are divided by 0.1, so an eighth bit of them is much in a loss.
    assert float(build(autocast="bfloat16").eval()(**data)[0]) == pytest.approx(
        exact, rel=0.15
    )


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"autocast": "float16"}, "autocast: float16 .* none, bfloat16"),
        ({"mask_share": 0.0}, "mask_share: 0.0 in model_conf must lie above 0"),
        ({"mask_length": 0}, "mask_length: 0 must be 1 or more"),
        ({"masked_weight": 1.5}, "masked_weight: 1.5 .* at most at 1"),
    ],
)
def test_a_wrong_setting_is_named(option, message):
    with pytest.raises(UserError, match=message):
        build(**option)


@given(
    st.integers(1, 4),
    st.integers(1, 200),
    st.floats(0.01, 1.0),
    st.integers(1, 20),
    st.integers(0, 2**31),
)
def test_hidden_frames_come_in_whole_spans(batch, frames, share, length, seed):
    torch.manual_seed(seed)
    mask = draw_spans(batch, frames, share, length)
    assert mask.shape == (batch, frames) and mask.dtype == torch.bool
    for row in mask.tolist():
        runs = "".join("x" if hidden else " " for hidden in row).split()
        assert runs
        assert all(len(run) >= min(length, frames) for run in runs)


def test_hidden_frames_are_as_many_as_overlapping_spans_leave():
    torch.manual_seed(0)
    mask = draw_spans(2000, 149, 0.8, 10)
    # Without repetition of starts, and with spans kept whole, an inner frame is missed
    # by all k of 140 starts with probability C(130, k) / C(140, k); k is 11 or 12.
    missed = sum(
        weight * torch.prod((130.0 - torch.arange(k)) / (140.0 - torch.arange(k)))
        for k, weight in ((11, 1 - 0.92), (12, 0.92))
    )
    inner = mask[:, 9:-9].float().mean()
    assert inner == pytest.approx(1 - float(missed), abs=0.03)


def test_the_number_of_spans_is_right_on_average():
    torch.manual_seed(1)
    # Spans of one frame do not overlap.
    mask = draw_spans(1, 10, 0.25, 1)
    numbers = [int(draw_spans(1, 10, 0.25, 1).sum()) for _ in range(2000)]
    assert set(numbers) == {2, 3} and int(mask.sum()) in (2, 3)
    assert sum(numbers) / len(numbers) == pytest.approx(2.5, abs=0.05)


def test_the_same_seed_hides_the_same_frames():
    torch.manual_seed(3)
    first = draw_spans(3, 50, 0.5, 5)
    torch.manual_seed(3)
    assert torch.equal(first, draw_spans(3, 50, 0.5, 5))
    assert not torch.equal(first, draw_spans(3, 50, 0.5, 5))
