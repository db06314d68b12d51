"""Encoders in bfloat16: what stays float32, and how near the results are."""

import numpy as np
import pytest
import torch

from espnet2_cltm.errors import UserError
from espnet2_cltm.frontend.encoder_steps import encoder_precision, enter_transformer
from espnet2_cltm.frontend.hubert import HubertFrontend
from espnet2_cltm.label.inference import predict_labels
from tests.speech import (
    TINY_GENDER,
    TINY_HUBERT,
    TINY_SPEAKER,
    build_gender_model,
    build_speaker_model,
    voice,
)

BFLOAT16 = {"model_conf": {"autocast": "bfloat16"}}
ECAPA = {
    "frontend": "melspec_torch",
    "frontend_conf": {"n_mels": 16, "log": True, "normalize": "mn"},
    "encoder": "ecapa_tdnn",
    "encoder_conf": {"ndim": 16, "output_size": 24},
    "embedding_conf": {"source": "projector"},
}


def voices(n):
    labels = [k % 2 for k in range(n)]
    waveforms = [
        voice("fm"[label], k, 6000 + 160 * (k % 5)).astype(np.float32) / 32768
        for k, label in enumerate(labels)
    ]
    return waveforms, labels


def train(model, waveforms, labels):
    model.train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    for waveform, label in zip(waveforms, labels, strict=True):
        loss, _, _ = model(
            torch.from_numpy(waveform)[None],
            torch.tensor([len(waveform)]),
            torch.tensor([[label]]),
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return loss


@pytest.mark.parametrize(
    "model",
    [
        pytest.param(build_gender_model({**TINY_GENDER, **BFLOAT16}), id="gender"),
        pytest.param(build_speaker_model({**TINY_SPEAKER, **BFLOAT16}), id="speaker"),
    ],
)
def test_weights_gradients_and_loss_stay_float32(model):
    loss = train(model, *voices(1))
    assert loss.dtype == torch.float32
    for parameter in model.parameters():
        assert parameter.dtype == torch.float32
        if parameter.grad is not None:
            assert parameter.grad.dtype == torch.float32


def test_the_encoder_really_computes_in_bfloat16():
    seen = {}
    for autocast in ("none", "bfloat16"):
        config = {**TINY_GENDER, "model_conf": {"autocast": autocast}}
        model = build_gender_model(config)
        model.frontend.hubert.feature_projection.register_forward_hook(
            lambda module, inputs, output, name=autocast: seen.update(
                {name: output.dtype}
            )
        )
        (waveform,), _ = voices(1)
        logits = model.logits(
            torch.from_numpy(waveform)[None], torch.tensor([len(waveform)])
        )
        assert logits.dtype == torch.float32
    assert seen == {"none": torch.float32, "bfloat16": torch.bfloat16}


@pytest.mark.parametrize("channels_per_group", [1, 4, 8, 16, 48])
def test_positions_are_right_whatever_the_groups_of_their_convolution(
    channels_per_group,
):
    # oneDNN's convolution in bfloat16 is not, on some processors.
    size = 2 * channels_per_group
    frontend = HubertFrontend(
        {
            **TINY_HUBERT,
            "hidden_size": size,
            "num_attention_heads": 1,
            "num_conv_pos_embeddings": 32,
            "num_conv_pos_embedding_groups": 2,
        }
    ).eval()
    generator = torch.Generator().manual_seed(0)
    channels = frontend.hubert.config.conv_dim[-1]
    features = torch.randn(1, 75, channels, generator=generator)
    found = {}
    for autocast in ("none", "bfloat16"):
        with torch.inference_mode(), encoder_precision(autocast, features.device):
            found[autocast] = enter_transformer(frontend.hubert, features, None)
    error = (found["bfloat16"] - found["none"]).norm() / found["none"].norm()
    assert error < 0.05


def test_trained_models_agree_with_those_of_float32():
    # Without dropout, and at a rate at which a rounding does not lead elsewhere: so it
    # is with all first weights, which each version of transformers draws otherwise.
    steady = {**TINY_HUBERT, "init_seed": 1}
    steady |= {f"{part}_dropout": 0.0 for part in ("hidden", "activation", "attention")}
    waveforms, labels = voices(96)
    tests = {f"t{k:02d}": v for k, v in enumerate(voices(140)[0][96:])}
    female, correct = {}, {}
    for autocast in ("none", "bfloat16"):
        model = build_gender_model(
            {
                **TINY_GENDER,
                "frontend_conf": {"model": {**steady, "feat_proj_dropout": 0.0}},
                "model_conf": {"autocast": autocast},
            }
        )
        train(model, waveforms, labels)
        predicted = predict_labels(model, tests.__getitem__, [[utt] for utt in tests])
        female[autocast] = np.array([p.probabilities["f"] for p in predicted])
        correct[autocast] = np.mean(
            [p.label == "fm"[k % 2] for k, p in enumerate(predicted)]
        )
    difference = np.abs(female["none"] - female["bfloat16"])
    assert correct["none"] > 0.8  # they have learned something
    assert 0 < difference.max() < 0.1
    assert abs(correct["none"] - correct["bfloat16"]) <= 0.05


@pytest.mark.parametrize(
    ("config", "least"),
    [
        # Random convolutions give nearly the same frame again and again; the layer
        # norm takes that away and leaves the differences, with their rounding.
        pytest.param({}, 0.93, id="hubert"),
        pytest.param(ECAPA, 0.999, id="ecapa"),
    ],
)
def test_embeddings_are_near_those_of_float32(config, least):
    waveforms, _ = voices(4)
    speech = torch.stack([torch.from_numpy(waveform[:6000]) for waveform in waveforms])
    lengths = torch.tensor([6000] * 4)
    embeddings = []
    for extra in ({}, BFLOAT16):
        model = build_speaker_model({**TINY_SPEAKER, **config, **extra}).eval()
        with torch.inference_mode():
            embeddings.append(model.embed(speech, lengths))
        assert embeddings[-1].dtype == torch.float32
    cosine = torch.nn.functional.cosine_similarity(*embeddings)
    assert (cosine > least).all() and not torch.equal(*embeddings)


def test_other_precisions_are_refused():
    wrong = {"model_conf": {"autocast": "float16"}}
    with pytest.raises(UserError, match="autocast: float16 in model_conf is unknown"):
        build_gender_model({**TINY_GENDER, **wrong})
    with pytest.raises(UserError, match="autocast: float16 in model_conf is unknown"):
        build_speaker_model({**TINY_SPEAKER, **wrong})
    misspelt = {"model_conf": {"autocst": "bfloat16"}}
    with pytest.raises(UserError, match="model_conf has no option autocst"):
        build_speaker_model({**TINY_SPEAKER, **misspelt})
    with pytest.raises(UserError, match="autocst"):
        build_gender_model({**TINY_GENDER, **misspelt})
