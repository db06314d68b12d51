"""Frozen parts computed once: the same features, gradients and weights as without."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from espnet2_cltm.errors import UserError
from espnet2_cltm.frontend.frozen_states import keep_frozen_states
from espnet2_cltm.frontend.hubert import HubertFrontend
from tests.frontend.test_hubert import NORMALISATIONS, SMALL, encode, waveform

FROZEN = (
    {"freeze": "cnn"},
    {"freeze_layers": 1},
    {"freeze_layers": 3},
    {"freeze": "all"},
)
QUIET = {"apply_spec_augment": False, "layerdrop": 0.0}
QUIET |= {f"{part}_dropout": 0.0 for part in ("hidden", "activation", "attention")}


@pytest.fixture(autouse=True)
def empty_memory():
    keep_frozen_states(10**9)
    yield
    keep_frozen_states(500_000_000)


def convolutions_of(frontend, monkeypatch):
    """Count the calls of the convolutions."""
    calls = []
    original = frontend.hubert.feature_extractor.forward

    def counted(waveforms):
        calls.append(waveforms.shape)
        return original(waveforms)

    monkeypatch.setattr(frontend.hubert.feature_extractor, "forward", counted)
    return calls


@pytest.mark.parametrize("norm", NORMALISATIONS)
@pytest.mark.parametrize("frozen", FROZEN, ids=str)
@pytest.mark.parametrize("layers", ["last", "mean", "weighted"])
@settings(deadline=None, max_examples=5)
@given(sizes=st.lists(st.integers(400, 20000), min_size=1, max_size=3))
def test_reuse_gives_the_features_of_a_whole_pass(norm, frozen, layers, sizes):
    fields = {**SMALL, **NORMALISATIONS[norm], **QUIET}
    options = {"layers": layers, "num_layers": 2, "length_multiple": 1600, **frozen}
    speech = [waveform(size, seed) for seed, size in enumerate(sizes)]
    whole = HubertFrontend(fields, **options).eval()
    expected, expected_lengths = encode(whole, *speech)
    reusing = HubertFrontend(fields, **options, reuse_frozen=True).eval()
    for _ in range(2):  # computed, then remembered
        feats, lengths = encode(reusing, *speech)
        assert lengths.tolist() == expected_lengths.tolist()
        torch.testing.assert_close(feats, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("norm", NORMALISATIONS)
@pytest.mark.parametrize("frozen", FROZEN[:2], ids=str)
def test_reuse_gives_the_gradients_of_a_whole_pass(norm, frozen):
    fields = {**SMALL, **NORMALISATIONS[norm], **QUIET}
    gradients = []
    for reuse in (False, True):
        frontend = HubertFrontend(fields, **frozen, reuse_frozen=reuse).train()
        for _ in range(2):
            frontend.zero_grad()
            speech = torch.from_numpy(waveform(9000))[None]
            feats, _ = frontend(speech, torch.tensor([9000]))
            feats.square().sum().backward()
        gradients.append(
            {n: p.grad for n, p in frontend.named_parameters() if p.grad is not None}
        )
    assert gradients[0].keys() == gradients[1].keys() != set()
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradients[1][name], gradient, rtol=1e-3, atol=1e-4)


def test_an_utterance_is_convolved_once_by_all_models_of_a_checkpoint(monkeypatch):
    speech = [waveform(8000, 1), waveform(9000, 2)]
    first = HubertFrontend(SMALL, freeze="cnn", reuse_frozen=True).eval()
    calls = convolutions_of(first, monkeypatch)
    encode(first, *speech)
    encode(first, *speech)
    assert len(calls) == 2
    second = HubertFrontend(SMALL, freeze="cnn", reuse_frozen=True).eval()
    calls = convolutions_of(second, monkeypatch)
    encode(second, speech[0])
    assert calls == []
    encode(second, speech[0][:-1])
    assert len(calls) == 1


@pytest.mark.parametrize("how", ["checkpoint", "loaded weights"])
def test_other_frozen_weights_are_not_mistaken(how):
    speech = waveform(8000)
    one = HubertFrontend({**SMALL, "init_seed": 1}, freeze="cnn", reuse_frozen=True)
    encode(one.eval(), speech)
    other = HubertFrontend({**SMALL, "init_seed": 2}, freeze="cnn", reuse_frozen=True)
    other.eval()
    expected, _ = encode(
        HubertFrontend({**SMALL, "init_seed": 2}, freeze="cnn").eval(), speech
    )
    if how == "loaded weights":
        one.load_state_dict(other.state_dict())
        other = one
    feats, _ = encode(other, speech)
    torch.testing.assert_close(feats, expected, rtol=0, atol=1e-5)


def test_what_is_kept_does_not_depend_on_the_batch_or_the_room():
    speech = [waveform(8000, 1), waveform(13000, 2)]
    options = {"freeze_layers": 2, "reuse_frozen": True, "config_overrides": QUIET}
    alone, _ = encode(HubertFrontend(SMALL, **options).eval(), speech[0])
    outputs = []
    for room in (10**9, 0):
        keep_frozen_states(room)
        frontend = HubertFrontend(SMALL, **options).eval()
        encode(frontend, *speech)
        outputs.append(encode(frontend, speech[0])[0])
    assert torch.equal(outputs[0], alone)
    assert torch.equal(outputs[1], alone)


def test_an_utterance_that_was_predicted_can_be_trained_on():
    frontend = HubertFrontend(SMALL, freeze="cnn", reuse_frozen=True)
    speech, length = torch.from_numpy(waveform(9000))[None], torch.tensor([9000])
    with torch.inference_mode():
        frontend.eval()(speech, length)
    feats, _ = frontend.train()(speech, length)
    feats.sum().backward()
    assert frontend.hubert.feature_projection.projection.weight.grad is not None


def test_what_was_kept_in_another_precision_is_not_mistaken():
    frontend = HubertFrontend(SMALL, freeze="cnn", reuse_frozen=True).eval()
    speech = waveform(9000)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        encode(frontend, speech)
    expected, _ = encode(HubertFrontend(SMALL, freeze="cnn").eval(), speech)
    torch.testing.assert_close(encode(frontend, speech)[0], expected)


def test_reuse_of_layers_turns_spec_augment_off_and_refuses_it_on():
    frontend = HubertFrontend(SMALL, freeze_layers=1, reuse_frozen=True)
    assert not frontend.hubert.config.apply_spec_augment
    assert HubertFrontend(
        SMALL, freeze="cnn", reuse_frozen=True
    ).hubert.config.apply_spec_augment
    with pytest.raises(UserError, match="needs SpecAugment off"):
        HubertFrontend(
            SMALL,
            freeze_layers=1,
            reuse_frozen=True,
            config_overrides={"apply_spec_augment": True},
        )


def test_what_is_frozen_can_be_trained_again_as_before():
    frontend = HubertFrontend(SMALL, freeze="cnn").train()
    before = {n for n, p in frontend.named_parameters() if p.requires_grad}
    frontend.freeze_up_to(2)
    layers = frontend.hubert.encoder.layers
    assert not layers[1].training and layers[2].training
    assert not any(p.requires_grad for p in layers[1].parameters())
    assert not frontend.hubert.config.apply_spec_augment
    frontend.freeze_up_to(None)
    assert {n for n, p in frontend.named_parameters() if p.requires_grad} == before
    assert not any("feature_extractor" in name for name in before)
    assert layers[1].training and not frontend.hubert.feature_extractor.training
    assert frontend.hubert.config.apply_spec_augment


def test_reuse_where_nothing_is_frozen_is_refused():
    with pytest.raises(UserError, match="has nothing to reuse"):
        HubertFrontend(SMALL, reuse_frozen=True)


def test_training_on_crops_keeps_nothing(monkeypatch):
    frontend = HubertFrontend(SMALL, freeze="cnn", reuse_frozen=True).train()
    frontend.reuses_while_training = False
    calls = convolutions_of(frontend, monkeypatch)
    speech = [waveform(8000, 1), waveform(8000, 2)]
    for _ in range(2):
        encode(frontend, *speech)
    assert [shape[0] for shape in calls] == [2, 2]
    frontend.eval()
    for _ in range(2):
        encode(frontend, *speech)
    assert len(calls) == 4
