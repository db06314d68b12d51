"""Encoders of other families than HuBERT: transformers' features, and what works."""

import pytest
import torch
from transformers import (
    AutoModel,
    AutoModelForCTC,
    SeamlessM4TFeatureExtractor,
    Wav2Vec2FeatureExtractor,
)

from espnet2_cltm.errors import UserError
from espnet2_cltm.frontend.checkpoint import describe_encoder, load_encoder, standing_in
from espnet2_cltm.frontend.families import FAMILIES
from espnet2_cltm.frontend.frozen_states import CONVOLUTIONS
from espnet2_cltm.frontend.hubert import HubertFrontend
from espnet2_cltm.pretraining.features import HiddenLayer
from espnet2_cltm.pretraining.model import MaskedHubert
from espnet2_cltm.strategies.lora import merge_lora
from tests.frontend.test_frozen_states import QUIET
from tests.frontend.test_hubert import encode, waveform
from tests.speech import TINY_GENDER, build_gender_model

TINY = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
}
CONVOLVING = {**TINY, "conv_dim": [8] * 7, "num_conv_pos_embedding_groups": 2}
CONVOLVING["num_conv_pos_embeddings"] = 8
STABLE = {"feat_extract_norm": "layer", "do_stable_layer_norm": True}
ENCODERS = {
    **{
        name: {"model_type": name, **CONVOLVING}
        for name in ("wav2vec2", "wavlm", "unispeech", "unispeech-sat")
    },
    "XLS-R": {"model_type": "wav2vec2", **CONVOLVING, **STABLE},
    "MMS": {"model_type": "wav2vec2", **CONVOLVING, **STABLE, "adapter_attn_dim": 4},
    "wavlm large": {"model_type": "wavlm", **CONVOLVING, **STABLE},
    "data2vec": {
        "model_type": "data2vec-audio",
        **CONVOLVING,
        "num_conv_pos_embeddings": 3,  # layers of it
        "conv_pos_kernel_size": 5,
    },
    **{
        f"w2v-BERT {kind}": {
            "model_type": "wav2vec2-bert",
            **TINY,
            "position_embeddings_type": kind,
        }
        for kind in ("relative_key", "relative", "rotary", None)
    },
}
ONE_OF_EACH = ["wav2vec2", "wavlm", "data2vec", "w2v-BERT relative_key"]
SPEECH = [waveform(7361), waveform(12345, seed=1)]  # 44 and 75 frames of 10 ms


def save(directory, name, shard="5GB", model=None):
    """Save an encoder whose weights are all drawn, and its feature extractor."""
    fields = ENCODERS[name]
    model = model or load_encoder(fields).model
    torch.manual_seed(7)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.02 * torch.randn_like(parameter))
    model.save_pretrained(directory, max_shard_size=shard)
    extractor = Wav2Vec2FeatureExtractor(do_normalize="XLS" in name)
    if "BERT" in name:
        extractor = SeamlessM4TFeatureExtractor(padding_value=1)
    extractor.save_pretrained(directory)
    return str(directory), extractor


def test_every_family_is_tried():
    assert {fields["model_type"] for fields in ENCODERS.values()} == set(FAMILIES) - {
        "hubert"
    }


@pytest.mark.parametrize("name", ENCODERS)
def test_hidden_states_are_transformers_own_alone_and_padded(tmp_path, name):
    path, extractor = save(tmp_path, name)
    model = AutoModel.from_pretrained(path, attn_implementation="eager").eval()
    frontend = HubertFrontend(path).eval()
    batch, lengths = encode(frontend, *SPEECH)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rough, _ = encode(frontend, *SPEECH)
    assert (rough.float() - batch).norm() < 0.1 * batch.norm()
    mean = HubertFrontend(path, layers="mean", num_layers=3).eval()
    for row, n_frames, speech in zip(batch, lengths, SPEECH, strict=True):
        inputs = extractor(speech, sampling_rate=16000, return_tensors="pt")
        if "BERT" not in name:
            inputs.pop("attention_mask", None)
        with torch.no_grad():
            wanted = model(**inputs, output_hidden_states=True)
        alone, alone_lengths = encode(frontend, speech)
        assert alone_lengths.tolist() == [alone.shape[1]] == [n_frames]
        expected = wanted.last_hidden_state[:, :n_frames]
        torch.testing.assert_close(alone, expected, rtol=0, atol=1e-4)
        torch.testing.assert_close(row[:n_frames], alone[0], rtol=0, atol=1e-4)
        assert (row[n_frames:] == 0).all()
        states = [*wanted.hidden_states[:-1], wanted.last_hidden_state]
        expected = torch.stack(states).mean(dim=0)[:, :n_frames]
        torch.testing.assert_close(encode(mean, speech)[0], expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize("name", ENCODERS)
@pytest.mark.parametrize(
    "frozen", [{"freeze": "cnn"}, {"freeze_layers": 1}, {"freeze": "all"}], ids=str
)
def test_what_is_frozen_is_fixed_and_can_be_reused(name, frozen):
    fields = {**ENCODERS[name], **QUIET}
    options = {"layers": "weighted", "length_multiple": 1600, **frozen}
    whole = HubertFrontend(fields, **options).eval()
    reusing = HubertFrontend(fields, **options, reuse_frozen=True).eval()
    expected, _ = encode(whole, *SPEECH)
    for _ in range(2):  # computed, then remembered
        torch.testing.assert_close(
            encode(reusing, *SPEECH)[0], expected, rtol=0, atol=5e-4
        )
    reusing.train()
    features, _ = reusing(torch.from_numpy(SPEECH[0])[None], torch.tensor([7361]))
    features.sum().backward()
    with_gradient = {
        n for n, p in reusing.hubert.named_parameters() if p.grad is not None
    }
    if frozen == {"freeze": "all"}:
        assert not with_gradient
    else:
        assert any("layers.1." in n for n in with_gradient)
        assert not any(n.startswith("feature_extractor") for n in with_gradient)
        below = any("layers.0." in n or "projection" in n for n in with_gradient)
        assert below == ("freeze" in frozen)


@pytest.mark.parametrize("name", ENCODERS)
def test_an_utterance_that_was_predicted_can_be_trained_on_with_masks(name):
    masks = {"mask_time_prob": 0.5, "mask_time_length": 2, "apply_spec_augment": True}
    frontend = HubertFrontend({**ENCODERS[name], **masks}).eval()
    speech, length = torch.from_numpy(SPEECH[0])[None], torch.tensor([7361])
    with torch.inference_mode():
        plain, _ = frontend(speech, length)
    frontend.train()
    features, _ = frontend(speech, length)
    assert not torch.allclose(features, plain)
    features.square().sum().backward()
    assert frontend.hubert.masked_spec_embed.grad.abs().sum() > 0


@pytest.mark.parametrize("name", ONE_OF_EACH)
@pytest.mark.parametrize(
    ("strategy", "number"), [("lora", 4), ("houlsby", None)], ids=["lora", "houlsby"]
)
def test_adapters_have_an_effect_and_merge(name, strategy, number):
    fields = {**ENCODERS[name], **QUIET}
    config = {**TINY_GENDER, "frontend": "ssl", "frontend_conf": {"model": fields}}
    model = build_gender_model({**config, "strategy": strategy}).eval()
    bare = build_gender_model(config).eval()
    expected, _ = encode(bare.frontend, *SPEECH)
    torch.testing.assert_close(encode(model.frontend, *SPEECH)[0], expected)
    trained = [
        (n, p)
        for n, p in model.frontend.named_parameters()
        if p.requires_grad and n.endswith((".B", ".up.weight"))
    ]
    assert number is None or len(trained) == number
    outputs = [expected]
    for _, parameter in trained:  # each of them changes something
        with torch.no_grad():
            parameter.add_(torch.randn_like(parameter))
        outputs.append(encode(model.frontend, *SPEECH)[0])
        assert not torch.allclose(outputs[-1], outputs[-2])
    if strategy == "lora":
        merge_lora(model)
        assert model.state_dict().keys() == bare.state_dict().keys()
        merged, _ = encode(model.frontend, *SPEECH)
        torch.testing.assert_close(merged, outputs[-1], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", ONE_OF_EACH)
@pytest.mark.parametrize(
    "strategy",
    ["llrd", "l2sp", "gradual", "reinit", "freeze"],
)
def test_other_strategies_train(name, strategy):
    config = {
        **TINY_GENDER,
        "frontend": "ssl",
        "frontend_conf": {"model": {**ENCODERS[name], **QUIET}},
        "strategy": strategy,
    }
    model = build_gender_model(config).train()
    groups = model.strategy.parameter_groups(model)
    if groups is not None:
        grouped = [p for group in groups for p in group["params"]]
        assert len(grouped) == len(set(grouped)) == len(list(model.parameters()))
    if strategy == "gradual":
        model.strategy.on_step(model, 0)
        assert model.strategy.frozen_prefix(model) == 2
        model.strategy.on_step(model, 70)
        assert model.strategy.frozen_prefix(model) == CONVOLUTIONS
    loss, _, _ = model(
        torch.from_numpy(SPEECH[0])[None], torch.tensor([7361]), torch.tensor([[1]])
    )
    loss.backward()


@pytest.mark.parametrize("name", ENCODERS)
def test_a_description_builds_an_encoder_of_the_same_shape(name):
    config = load_encoder(ENCODERS[name], {"apply_spec_augment": False}).model.config
    again = load_encoder(describe_encoder(config, False)).model
    wanted = load_encoder(ENCODERS[name]).model.state_dict()
    state = again.state_dict()
    assert {n: v.shape for n, v in state.items()} == {
        n: v.shape for n, v in wanted.items()
    }
    assert again.config.apply_spec_augment is False


@pytest.mark.parametrize("name", ONE_OF_EACH)
def test_shards_and_a_head_are_read(tmp_path, name):
    config = load_encoder(ENCODERS[name]).model.config
    with_head = AutoModelForCTC.from_config(
        type(config)(**{**config.to_dict(), "vocab_size": 5})
    )
    path, _ = save(tmp_path, name, shard="20KB", model=with_head)
    assert len(list(tmp_path.glob("*.safetensors"))) > 1
    state = load_encoder(path).model.state_dict()
    wanted = with_head.base_model.state_dict()
    assert all(torch.equal(value, wanted[n]) for n, value in state.items())


def test_the_adapter_on_top_is_refused_and_can_be_left_out():
    fields = {**ENCODERS["XLS-R"], "add_adapter": True}
    with pytest.raises(UserError, match="add_adapter: false"):
        HubertFrontend(fields)
    HubertFrontend(fields, config_overrides={"add_adapter": False})


def test_what_fits_no_encoder_is_refused_in_a_sentence(tmp_path):
    path, _ = save(tmp_path, "w2v-BERT rotary")
    SeamlessM4TFeatureExtractor(stride=4).save_pretrained(tmp_path)
    with pytest.raises(UserError, match=r"stride: \(80, 4\), not a Seamless"):
        HubertFrontend(path)
    Wav2Vec2FeatureExtractor().save_pretrained(tmp_path)
    with pytest.raises(UserError, match="a Wav2Vec2FeatureExtractor with num_mel"):
        HubertFrontend(path)
    bert = ENCODERS["w2v-BERT relative"]
    with pytest.raises(UserError, match="w2v-BERT has no configuration field 'conv_d"):
        HubertFrontend(bert, config_overrides={"conv_dim": [1]})
    with pytest.raises(UserError, match="is a whisper, not a speech encoder"):
        HubertFrontend({"model_type": "whisper"})
    with pytest.raises(UserError, match="multiple of 80"):
        HubertFrontend({**bert, "feature_projection_input_dim": 100})
    with pytest.raises(UserError, match="init_filterbank needs convolutions"):
        HubertFrontend({**bert, "init_filterbank": True})
    with pytest.raises(UserError, match="559 samples is too short"):
        encode(HubertFrontend(bert), waveform(559))
    for take in (MaskedHubert, lambda model: HiddenLayer(model, 1)):
        with pytest.raises(UserError, match="is a WavLM, and pretraining takes HuBERT"):
            take(ENCODERS["wavlm"])


def test_another_familys_override_does_not_stop_a_dry_run():
    with standing_in():
        load_encoder("someone/w2v-bert", {"add_adapter": False, "layerdrop": 0.0})
