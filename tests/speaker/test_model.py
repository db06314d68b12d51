"""The speaker model: what is padded, pooled, and taken as an embedding."""

import copy

import pytest
import torch
from torch import nn

from espnet2_cltm.speaker.model import SingleValueBatchNorm1d, accept_single_values
from tests.speech import TINY_SPEAKER, build_speaker_model

MEL = {
    "frontend": "melspec_torch",
    "frontend_conf": {"n_mels": 16, "log": True, "normalize": "mn"},
}
ECAPA = {"encoder": "ecapa_tdnn", "encoder_conf": {"ndim": 16, "output_size": 24}}
LENGTHS = torch.tensor([6400, 3100, 4000])


def speech(lengths=LENGTHS, seed=0):
    torch.manual_seed(seed)
    rows = [torch.randn(int(n)) for n in lengths]
    return torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)


@pytest.mark.parametrize("source", ["hidden_layers", "pooling", "projector"])
@pytest.mark.parametrize("pooling", ["mean", "stats", "chn_attn_stat"])
def test_padding_enters_no_embedding_of_hubert(source, pooling):
    config = {"pooling": pooling, "embedding_conf": {"source": source, "num_layers": 2}}
    model = build_speaker_model({**TINY_SPEAKER, **config}).eval()
    assert model.ignores_padding
    batch = speech()
    together = model.embed(batch, LENGTHS)
    for row, n, embedding in zip(batch, LENGTHS, together, strict=True):
        alone = model.embed(row[None, :n], n[None])
        torch.testing.assert_close(alone[0], embedding, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("config", "ignored"),
    [
        (MEL, False),
        ({**MEL, **ECAPA}, False),
        (ECAPA, False),
        ({**ECAPA, "embedding_conf": {"source": "hidden_layers"}}, True),
    ],
)
def test_model_tells_whether_padding_enters_its_embeddings(config, ignored):
    hubert = {**TINY_SPEAKER["frontend_conf"]["model"], "num_hidden_layers": 4}
    base = {**TINY_SPEAKER, "frontend_conf": {"model": hubert}, "embedding_conf": {}}
    assert build_speaker_model({**base, **config}).ignores_padding == ignored


def test_sources_are_what_their_names_say():
    lengths = LENGTHS[:1]
    batch = speech(lengths)
    embeddings = {}
    for source in ("hidden_layers", "pooling", "projector"):
        conf = {"source": source, "num_layers": 1}
        model = build_speaker_model({**TINY_SPEAKER, "embedding_conf": conf}).eval()
        embeddings[source] = model.embed(batch, lengths)
    # The frontend's last state alone, averaged over time, is what is projected.
    torch.testing.assert_close(embeddings["hidden_layers"], embeddings["pooling"])
    projected = model.projector(embeddings["pooling"])
    torch.testing.assert_close(embeddings["projector"], projected)


def test_encoder_with_fewer_frames_is_pooled_over_its_own():
    config = {"encoder": "resnet", "encoder_conf": {"m_channels": 4}}
    embedding = {"embedding_conf": {"source": "pooling"}}
    model = build_speaker_model({**TINY_SPEAKER, **MEL, **config, **embedding}).eval()
    lengths = torch.tensor([16000, 16000])
    batch = speech(lengths)
    features, _ = model.frontend(batch, lengths)
    frames = model.encoder(features)
    assert frames.shape[2] < features.shape[1]
    torch.testing.assert_close(model.embed(batch, lengths), frames.mean(dim=2))


def test_training_sees_a_padded_utterance_as_it_is_alone():
    model = build_speaker_model(TINY_SPEAKER).eval()
    batch, labels = speech(), torch.tensor([[0], [1], [2]])
    together, stats, weight = model(batch, LENGTHS, labels)
    alone = [
        model(row[None, :n], n[None], label[None])[0]
        for row, n, label in zip(batch, LENGTHS, labels, strict=True)
    ]
    torch.testing.assert_close(together, torch.cat(alone).mean(dim=0, keepdim=True))
    assert weight == 3 and not stats["loss"].requires_grad


def test_pairs_go_through_one_network():
    config = {**TINY_SPEAKER, "loss": "contrastive"}
    model = build_speaker_model(config).eval()
    batch = speech()
    labels = torch.ones(3, 1).long()
    pair = {"speech2": batch, "speech2_lengths": LENGTHS}
    loss, stats, _ = model(batch, LENGTHS, labels, **pair)
    assert loss.item() == 0 and float(stats["accuracy"]) == 1


def batch_norm(seed=0):
    torch.manual_seed(seed)
    norm = nn.BatchNorm1d(3)
    norm(2 * torch.randn(50, 3) + 1)  # running statistics that are no defaults
    nn.init.normal_(norm.weight)
    nn.init.normal_(norm.bias)
    return norm


@pytest.mark.parametrize("shape", [(1, 3), (1, 3, 1)])
def test_single_value_is_normalised_by_the_running_statistics(shape):
    norm = batch_norm()
    values = torch.randn(shape)
    expected = copy.deepcopy(norm).eval()(values)
    with pytest.raises(ValueError, match="more than 1 value"):
        norm(values)
    accept_single_values(norm)
    torch.testing.assert_close(norm(values), expected)


def test_single_value_leaves_the_running_statistics_alone():
    norm = batch_norm()
    before = copy.deepcopy(norm.state_dict())
    accept_single_values(norm)
    norm(torch.randn(1, 3)).sum().backward()
    for name, value in norm.state_dict().items():
        assert torch.equal(value, before[name])
    assert torch.isfinite(norm.weight.grad).all()


@pytest.mark.parametrize("shape", [(2, 3), (1, 3, 2), (4, 3, 5)])
def test_several_values_are_normalised_as_ever(shape):
    norm = batch_norm()
    other = copy.deepcopy(norm)
    accept_single_values(other)
    values = torch.randn(shape)
    assert torch.equal(norm(values), other(values))
    for name, value in norm.state_dict().items():
        assert torch.equal(value, other.state_dict()[name])
    assert torch.equal(norm.eval()(values[:1]), other.eval()(values[:1]))


def test_only_plain_one_dimensional_norms_are_changed_and_names_stay():
    model = nn.Sequential(nn.BatchNorm1d(2), nn.BatchNorm2d(2), nn.Sequential())
    model[2].append(nn.BatchNorm1d(2))
    names = list(model.state_dict())
    accept_single_values(model)
    kinds = [type(module) for module in (model[0], model[1], model[2][0])]
    assert kinds == [SingleValueBatchNorm1d, nn.BatchNorm2d, SingleValueBatchNorm1d]
    assert list(model.state_dict()) == names
