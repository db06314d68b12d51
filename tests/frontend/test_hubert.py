"""The frontend against transformers' own feature extractor and model."""

import copy

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import HubertConfig, HubertModel, Wav2Vec2FeatureExtractor
from transformers.models.hubert.modeling_hubert import HubertEncoder

from espnet2_cltm.errors import UserError
from espnet2_cltm.frontend.hubert import HubertFrontend

SMALL = {
    "hidden_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "conv_dim": [16] * 7,
    "num_conv_pos_embeddings": 16,
    "num_conv_pos_embedding_groups": 4,
}
NORMALISATIONS = {
    "group norm": {"feat_extract_norm": "group", "do_stable_layer_norm": False},
    "layer norm": {"feat_extract_norm": "layer", "do_stable_layer_norm": True},
}


def save_checkpoint(directory, fields, do_normalize=True):
    torch.manual_seed(7)
    model = HubertModel(HubertConfig(**fields))
    with torch.no_grad():  # biases start at zero, where errors could hide
        for parameter in model.parameters():
            parameter.add_(0.02 * torch.randn_like(parameter))
    model.save_pretrained(directory)
    Wav2Vec2FeatureExtractor(do_normalize=do_normalize).save_pretrained(directory)
    return str(directory)


def waveform(n_samples, seed=0):
    rng = np.random.default_rng(seed)
    return (0.1 * rng.standard_normal(n_samples) + 0.02).astype(np.float32)


def encode(frontend, *waveforms):
    lengths = torch.tensor([len(w) for w in waveforms])
    batch = torch.zeros(len(waveforms), int(lengths.max()))
    for row, values in zip(batch, waveforms, strict=True):
        row[: len(values)] = torch.from_numpy(values)
    with torch.no_grad():
        return frontend(batch, lengths)


@pytest.mark.parametrize("norm", NORMALISATIONS)
@pytest.mark.parametrize("do_normalize", [True, False])
@pytest.mark.parametrize("n_samples", [400, 8000, 52345])
def test_single_utterance_equals_transformers(tmp_path, norm, do_normalize, n_samples):
    path = save_checkpoint(tmp_path, {**SMALL, **NORMALISATIONS[norm]}, do_normalize)
    speech = waveform(n_samples)
    extractor = Wav2Vec2FeatureExtractor.from_pretrained(path)
    model = HubertModel.from_pretrained(path).eval()
    inputs = extractor(speech, sampling_rate=16000, return_tensors="pt")
    with torch.no_grad():
        expected = model(inputs.input_values).last_hidden_state
    feats, lengths = encode(HubertFrontend(path).eval(), speech)
    torch.testing.assert_close(feats, expected, rtol=0, atol=1e-5)
    assert lengths.tolist() == [expected.shape[1]]


@pytest.mark.parametrize("norm", NORMALISATIONS)
def test_full_size_checkpoint_equals_transformers_and_stands_padding(tmp_path, norm):
    path = save_checkpoint(tmp_path, NORMALISATIONS[norm])  # 12 layers of 768
    frontend = HubertFrontend(path).eval()
    assert frontend.output_size() == 768
    speech, longer = waveform(20000), waveform(33333, seed=1)
    inputs = Wav2Vec2FeatureExtractor.from_pretrained(path)(
        speech, sampling_rate=16000, return_tensors="pt"
    )
    with torch.no_grad():
        expected = frontend.hubert(inputs.input_values).last_hidden_state
    alone, _ = encode(frontend, speech)
    torch.testing.assert_close(alone, expected, rtol=0, atol=1e-5)
    batch, lengths = encode(frontend, speech, longer)
    torch.testing.assert_close(batch[0, : lengths[0]], alone[0], rtol=0, atol=1e-4)


@pytest.mark.parametrize("norm", NORMALISATIONS)
@pytest.mark.parametrize("layers", ["last", "mean", "weighted"])
@settings(deadline=None, max_examples=15)
@given(sizes=st.lists(st.integers(400, 20000), min_size=2, max_size=4))
def test_padding_leaves_an_utterance_as_it_is_alone(norm, layers, sizes):
    fields = {**SMALL, **NORMALISATIONS[norm]}
    frontend = HubertFrontend(fields, layers=layers, num_layers=2).eval()
    speech = [waveform(size, seed) for seed, size in enumerate(sizes)]
    batch, lengths = encode(frontend, *speech)
    for row, n_frames, values in zip(batch, lengths, speech, strict=True):
        alone, alone_lengths = encode(frontend, values)
        assert n_frames == alone_lengths[0]
        torch.testing.assert_close(row[:n_frames], alone[0], rtol=0, atol=1e-4)
        assert (row[n_frames:] == 0).all()


@pytest.mark.parametrize("norm", NORMALISATIONS)
@pytest.mark.parametrize("sizes", [[8000], [8001], [1600, 9999, 12345]])
def test_length_multiple_leaves_features_as_they_are(norm, sizes):
    fields = {**SMALL, **NORMALISATIONS[norm]}
    speech = [waveform(size, seed) for seed, size in enumerate(sizes)]
    expected, expected_lengths = encode(HubertFrontend(fields).eval(), *speech)
    padding = HubertFrontend(fields, length_multiple=1600).eval()
    feats, lengths = encode(padding, *speech)
    assert lengths.tolist() == expected_lengths.tolist()
    torch.testing.assert_close(feats, expected, rtol=0, atol=1e-5)


def test_lengths_are_the_convolutions_own():
    frontend = HubertFrontend({**SMALL, "num_hidden_layers": 1}).eval()
    for n_samples in [400, 719, 720, 16000, 16079, 16080, 60001]:
        feats, lengths = encode(frontend, waveform(n_samples))
        assert feats.shape[1] == lengths[0] == (n_samples - 400) // 320 + 1


def test_utterance_shorter_than_a_frame_is_refused():
    with pytest.raises(UserError, match="399 samples is too short"):
        encode(HubertFrontend(SMALL).eval(), waveform(399))


def test_mean_of_the_last_layers_is_that_of_transformers():
    frontend = HubertFrontend(SMALL, layers="mean", num_layers=2).eval()
    speech = waveform(9000)
    normalised = torch.from_numpy((speech - speech.mean()) / speech.std())[None]
    with torch.no_grad():
        states = frontend.hubert(normalised, output_hidden_states=True).hidden_states
    assert len(states) == SMALL["num_hidden_layers"] + 1
    feats, _ = encode(frontend, speech)
    torch.testing.assert_close(feats, (states[-1] + states[-2]) / 2, atol=1e-5, rtol=0)


def test_weighted_sum_learns_its_weights():
    frontend = HubertFrontend(SMALL, layers="weighted").train()
    feats, _ = frontend(torch.from_numpy(waveform(9000))[None], torch.tensor([9000]))
    feats.square().sum().backward()
    assert frontend.layer_weights.grad.abs().sum() > 0


@pytest.mark.parametrize(
    ("options", "frozen", "trained"),
    [
        ({"freeze": "none"}, None, "feature_extractor"),
        ({"freeze": "cnn"}, "feature_extractor", "feature_projection"),
        ({"freeze_layers": 2}, "encoder.layers.1.", "encoder.layers.2."),
        ({"freeze": "all"}, "encoder.layers.2.", None),
    ],
)
def test_what_is_frozen_has_no_gradient_and_stays_in_evaluation(
    options, frozen, trained
):
    frontend = HubertFrontend(SMALL, **options).train()
    for name, parameter in frontend.hubert.named_parameters():
        if frozen and name.startswith(frozen):
            assert not parameter.requires_grad, name
        if trained and name.startswith(trained):
            assert parameter.requires_grad, name
    if frozen == "feature_extractor":
        assert not frontend.hubert.feature_extractor.training
        assert frontend.hubert.encoder.training


def test_training_stands_an_utterance_shorter_than_one_time_mask():
    frontend = HubertFrontend({**SMALL, "mask_time_prob": 0.5}).train()
    feats, _ = frontend(torch.from_numpy(waveform(1500))[None], torch.tensor([1500]))
    feats.sum().backward()


def test_random_encoder_is_the_same_whatever_was_drawn_before():
    torch.manual_seed(1)
    first = HubertFrontend(SMALL)
    torch.manual_seed(2)
    before = torch.get_rng_state()
    second = HubertFrontend({**SMALL, "init_seed": 0})
    assert torch.equal(before, torch.get_rng_state())
    for a, b in zip(first.parameters(), second.parameters(), strict=True):
        assert torch.equal(a, b)
    other = HubertFrontend({**SMALL, "init_seed": 1})
    weight = "encoder.layers.0.attention.q_proj.weight"
    assert not torch.equal(
        first.hubert.get_parameter(weight), other.hubert.get_parameter(weight)
    )


def test_no_random_number_is_drawn_by_an_encoder_that_draws_in_evaluation(monkeypatch):
    forward = HubertEncoder.forward

    def drawing(*args, **options):
        torch.rand([])
        return forward(*args, **options)

    monkeypatch.setattr(HubertEncoder, "forward", drawing)
    before = torch.get_rng_state()
    HubertFrontend({**SMALL, "intermediate_size": 60})  # not tried before
    assert torch.equal(before, torch.get_rng_state())


def test_two_frontends_of_one_checkpoint_share_no_weights(tmp_path):
    path = save_checkpoint(tmp_path, SMALL)
    first, second = HubertFrontend(path), HubertFrontend(path)
    kept = copy.deepcopy(second.state_dict())
    with torch.no_grad():
        for parameter in first.parameters():
            parameter.zero_()
    for name, value in second.state_dict().items():
        assert torch.equal(value, kept[name]), name


def test_half_precision_checkpoint_is_trained_in_single_precision(tmp_path):
    HubertModel(HubertConfig(**SMALL)).half().save_pretrained(tmp_path)
    Wav2Vec2FeatureExtractor().save_pretrained(tmp_path)
    frontend = HubertFrontend(str(tmp_path))
    assert {p.dtype for p in frontend.parameters()} == {torch.float32}


def test_unreachable_hub_id_is_named_with_the_local_way():
    with pytest.raises(UserError) as caught:
        HubertFrontend("someone/no-such-hubert")
    assert "'someone/no-such-hubert'" in str(caught.value)
    assert "give its directory with --model" in str(caught.value)


def test_directory_without_preprocessor_config_is_refused(tmp_path):
    HubertModel(HubertConfig(**SMALL)).save_pretrained(tmp_path)
    with pytest.raises(UserError, match=r"has no preprocessor_config\.json"):
        HubertFrontend(str(tmp_path))


def test_directory_of_another_model_is_refused(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "whisper"}')
    with pytest.raises(UserError, match="is a whisper, not a speech encoder"):
        HubertFrontend(str(tmp_path))


def test_checkpoint_lacking_weights_is_refused(tmp_path):
    from safetensors.torch import load_file, save_file

    path = save_checkpoint(tmp_path, SMALL)
    weights = load_file(tmp_path / "model.safetensors")
    del weights["encoder.layers.0.attention.q_proj.weight"]
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(UserError, match=r"lacks 1 of .*q_proj\.weight"):
        HubertFrontend(path)


def test_empty_directory_is_refused(tmp_path):
    with pytest.raises(UserError, match="does not hold a complete encoder"):
        HubertFrontend(str(tmp_path))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"layers": "top"}, "layers: top"),
        ({"length_multiple": 0}, "length_multiple: 0"),
        ({"freeze": "most"}, "freeze: most"),
        ({"freeze_layers": 4}, "freeze_layers: 4"),
        ({"layers": "mean", "num_layers": 9}, "num_layers: 9"),
        ({"config_overrides": {"layer_drop": 0.0}}, "'layer_drop'"),
        (
            {"layers": "mean", "config_overrides": {"layerdrop": 0.1}},
            "set layerdrop to 0.0",
        ),
    ],
)
def test_option_outside_its_choices_is_named(options, message):
    with pytest.raises(UserError, match=message):
        HubertFrontend(SMALL, **options)


def test_unknown_field_of_a_configuration_file_is_named(tmp_path):
    path = tmp_path / "encoder.yaml"
    path.write_text("hidden_sizes: 32\n")
    with pytest.raises(UserError, match="'hidden_sizes'"):
        HubertFrontend(str(path))


@pytest.mark.parametrize(
    "fields", [{"hidden_size": "x"}, {"hidden_act": "nope"}, {"hidden_size": 30}]
)
def test_fields_that_make_no_hubert_are_refused(fields):
    with pytest.raises(UserError, match="does not describe a HuBERT"):
        HubertFrontend({**SMALL, **fields})
