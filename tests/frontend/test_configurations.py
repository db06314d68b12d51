"""Every field of HuBERT's configuration: features alone, padded, and transformers'."""

import json

import pytest
import torch
from transformers import HubertConfig, HubertModel, PretrainedConfig
from transformers.activations import ACT2FN
from transformers.models.hubert.modeling_hubert import HubertFeatureProjection

from espnet2_cltm.errors import UserError
from espnet2_cltm.frontend.hubert import HubertFrontend
from tests.frontend.test_hubert import SMALL, encode, save_checkpoint, waveform

PLAIN = {**SMALL, "num_hidden_layers": 2}
STABLE = {"feat_extract_norm": "layer", "do_stable_layer_norm": True}
OTHERS = {
    "vocab_size": [5],
    "hidden_size": [48],
    "num_hidden_layers": [1, 3],
    "num_attention_heads": [1, 8],
    "intermediate_size": [10],
    "hidden_act": sorted(ACT2FN),
    "hidden_dropout": [0.5],
    "activation_dropout": [0.5],
    "attention_dropout": [0.5],
    "feat_proj_layer_norm": [False],
    "feat_proj_dropout": [0.5],
    "final_dropout": [0.5],
    "layerdrop": [0.9],
    "initializer_range": [0.2],
    "layer_norm_eps": [0.1],
    "feat_extract_norm": ["group", "layer"],
    "feat_extract_activation": sorted(ACT2FN),
    "conv_dim": [[8, 16, 24, 8, 8, 8, 12]],
    "conv_stride": [[4, 3, 2, 2, 2, 2, 2], [5, 2, 2, 2, 2, 2, 4]],
    "conv_kernel": [[10, 5, 3, 3, 3, 2, 2], [5, 3, 3, 3, 3, 2, 1]],
    "conv_bias": [True],
    "num_conv_pos_embeddings": [1, 2, 15, 128],
    "num_conv_pos_embedding_groups": [1, 32],
    "conv_pos_batch_norm": [True],
    "do_stable_layer_norm": [True],
    "apply_spec_augment": [False],
    "mask_time_prob": [0.0, 0.9],
    "mask_time_length": [1],
    "mask_time_min_masks": [0, 9],
    "mask_feature_prob": [0.9],
    "mask_feature_length": [1],
    "mask_feature_min_masks": [9],
    "ctc_loss_reduction": ["mean"],
    "ctc_zero_infinity": [True],
    "use_weighted_layer_sum": [True],
    "classifier_proj_size": [8],
    "pad_token_id": [None],
    "bos_token_id": [None],
    "eos_token_id": [[1, 2]],
}
COMMON = {
    "is_decoder": True,
    "return_dict": False,
    "output_hidden_states": True,
    "attn_implementation": "flash_attention_2",
    "_attn_implementation": "kernels-community/flash-attn",
    "chunk_size_feed_forward": 3,
    "sliding_window": 4,
    "is_causal": True,
    "auto_map": {"AutoModel": "evil.Model"},
}
ADAPTERS = {"adapter_attn_dim": 4}  # read by transformers without being declared


def test_every_field_is_tried():
    of_all = PretrainedConfig().to_dict().keys() - OTHERS.keys()
    computed = {"num_feat_extract_layers"}
    assert OTHERS.keys() == HubertConfig().to_dict().keys() - of_all - computed


@pytest.mark.parametrize("norms", [{}, STABLE], ids=["group", "stable"])
@pytest.mark.parametrize(
    ("field", "value"),
    [(name, value) for name, values in OTHERS.items() for value in values],
)
def test_features_are_transformers_own_alone_and_padded(norms, field, value):
    if value in ("relu2", "xielu") and field == "feat_extract_activation":
        norms = STABLE  # else its random weights give numbers that are not finite
    _require_equal({**PLAIN, **norms, field: value})


@pytest.mark.parametrize(("field", "value"), COMMON.items())
def test_fields_of_all_models_change_nothing(tmp_path, field, value):
    path = save_checkpoint(tmp_path, {**PLAIN, **STABLE, **ADAPTERS})
    config = tmp_path / "config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), field: value}))
    _require_equal(path)


def _require_equal(source):
    frontend = HubertFrontend(source, config_overrides={"return_dict": True}).eval()
    short, long = waveform(9999), waveform(17000, seed=1)
    alone, _ = encode(frontend, short)
    batch, lengths = encode(frontend, short, long)
    torch.testing.assert_close(batch[0, : lengths[0]], alone[0], rtol=1e-4, atol=1e-4)
    assert (batch[0, lengths[0] :] == 0).all()
    plain = HubertModel(frontend.hubert.config).float().eval()
    plain.load_state_dict(frontend.hubert.state_dict())
    normalised = torch.from_numpy((short - short.mean()) / short.std())[None]
    with torch.no_grad():
        expected = plain(normalised).last_hidden_state
    torch.testing.assert_close(alone, expected, rtol=1e-4, atol=1e-4)


def test_what_an_encoder_lets_through_is_refused_with_its_fields(monkeypatch):
    def forward(self, hidden_states):
        hidden_states = hidden_states - hidden_states.mean(dim=1, keepdim=True)
        return self.projection(hidden_states)

    monkeypatch.setattr(HubertFeatureProjection, "forward", forward)
    with pytest.raises(UserError, match="intermediate_size: 61"):
        HubertFrontend({**PLAIN, "intermediate_size": 61})


def test_padding_does_not_enter_the_batch_norm_in_training():
    fields = {**PLAIN, "conv_pos_batch_norm": True, "apply_spec_augment": False}
    fields |= dict.fromkeys(
        ("hidden_dropout", "activation_dropout", "attention_dropout", "layerdrop"), 0.0
    )
    speech = [waveform(9999), waveform(12000, seed=1)]
    made = []
    for multiple in (1, 5000):
        frontend = HubertFrontend(fields, length_multiple=multiple).train()
        features, _ = encode(frontend, *speech)
        made.append((features, frontend.hubert.encoder.pos_conv_embed.batch_norm))
    (first, norm), (second, other) = made
    torch.testing.assert_close(first, second, rtol=0, atol=1e-5)
    torch.testing.assert_close(norm.running_mean, other.running_mean)


@pytest.mark.parametrize(
    "fields",
    [
        {"feat_extract_activation": "relu2"},  # its features are not finite
        {"layerdrop": 1.0},
        {"mask_time_prob": 1.5},
        {"mask_time_length": 0},
        {"mask_feature_prob": 0.5, "mask_feature_length": 33},
        {"num_hidden_layers": 0},
        {"num_hidden_layers": -1},
        {"conv_stride": [5, 2, 2, 0, 2, 2, 2]},
        {"conv_dim": []},
        {"conv_dim": [16] * 6},
        {"conv_kernel": [10, 3, 3, 3, 3, 2, 0]},
        {"num_conv_pos_embeddings": 0},
        {"num_conv_pos_embedding_groups": 5},
        {"num_attention_heads": 0},
        {"layer_norm_eps": -1.0},
        {"feat_extract_norm": "batch"},
        {"vocab_size": "2026-13-01"},
        {"initializer_range": float("nan")},
        {"hidden_size": 10**12, "num_attention_heads": 1},
    ],
)
def test_what_makes_no_encoder_is_refused_in_a_sentence(fields):
    with pytest.raises(UserError):
        HubertFrontend({**PLAIN, **fields})


@pytest.mark.parametrize("do_normalize", [True, False])
def test_the_scale_of_16_bit_integers_gives_the_same_features(tmp_path, do_normalize):
    frontend = HubertFrontend(save_checkpoint(tmp_path, PLAIN, do_normalize)).eval()
    whole = (waveform(8000) * 32768).round()
    noisy = whole + 0.25
    expected, _ = encode(frontend, whole / 32768, noisy / 32768)
    features, _ = encode(frontend, whole, noisy)
    torch.testing.assert_close(features, expected, rtol=0, atol=1e-6)
