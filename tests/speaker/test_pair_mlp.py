"""A scorer of pairs: its loss by hand, and that it scores what it was trained on."""

import numpy as np
import pytest
import torch

from espnet2_cltm.errors import UserError
from espnet2_cltm.speaker.embedding import embed_utterances, score_pairs
from espnet2_cltm.speaker.losses import PairMlp
from espnet2_cltm.speaker.metrics import score_trials
from espnet2_cltm.speaker.trials import TrialList, cosine_scores
from tests.speech import TINY_SPEAKER, build_speaker_model, voice

SOURCES = {"hidden_layers": 16, "pooling": 16, "projector": 8}


def build(source, **options):
    config = {
        **TINY_SPEAKER,
        "loss": "pair_mlp",
        "loss_conf": {"hidden_sizes": [16], "dropout_rate": 0.0},
        "embedding_conf": {
            "source": source,
            "num_layers": 2,
            "speeds": [1.0],
            "trim_db": None,
        },
        **options,
    }
    return build_speaker_model(config)


def test_loss_and_scores_are_those_of_the_formula():
    torch.manual_seed(0)
    loss = PairMlp(nout=6, hidden_sizes=(5, 4)).eval()
    pairs, labels = torch.randn(2, 7, 6), torch.tensor([1, 0, 0, 1, 1, 0, 1])
    a, b = (x.numpy() for x in pairs / pairs.norm(dim=-1, keepdim=True))
    hidden = np.concatenate([abs(a - b), a * b], axis=1)
    linear = [m for m in loss.layers if isinstance(m, torch.nn.Linear)]
    assert [m.out_features for m in linear] == [5, 4, 1]
    for number, layer in enumerate(linear):
        weight, bias = (p.detach().numpy() for p in (layer.weight, layer.bias))
        hidden = hidden @ weight.T + bias
        hidden = hidden if number == 2 else hidden.clip(min=0)
    prob = 1 / (1 + np.exp(-hidden[:, 0].astype(float)))
    y = labels.numpy()
    wanted = -(y * np.log(prob) + (1 - y) * np.log(1 - prob)).mean()
    value, accuracy, decisions = loss(pairs, labels)
    assert value.item() == pytest.approx(wanted, rel=1e-5)
    assert decisions.tolist() == (prob > 0.5).astype(int).tolist()
    assert float(accuracy) == pytest.approx(((prob > 0.5) == y).mean())
    swapped, _, _ = loss(pairs.flip(0), labels)
    torch.testing.assert_close(swapped, value)  # the order of a pair has no meaning


@pytest.mark.parametrize("source", SOURCES)
def test_a_scorer_is_trained_on_the_embedding_that_is_tested(source):
    model = build(source)
    assert model.loss.layers[0].in_features == 2 * SOURCES[source]
    speech = {
        f"{gender}{n}": voice(gender, 10 * n + ord(gender), 5000, ord(gender))
        for gender in "fm"
        for n in range(3)
    }
    waveforms = {u: (x / 32768).astype(np.float32) for u, x in speech.items()}
    utts = sorted(waveforms)
    trials = TrialList.from_pairs(
        *zip(*[(a, b) for a in utts for b in utts if a < b], strict=True),
        [a[0] == b[0] for a in utts for b in utts if a < b],
    )
    first, second = (
        torch.from_numpy(np.stack([waveforms[utts[k]] for k in side]))
        for side in (trials.enrol, trials.test)
    )
    lengths = torch.full((len(trials),), 5000)
    labels = torch.from_numpy(trials.is_target.astype(np.int64))[:, None]
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(20):
        loss, stats, _ = model(first, lengths, labels, second, lengths)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert stats["accuracy"] > 0.8
    embeddings = embed_utterances(
        model, dict.fromkeys(utts, 5000), waveforms.__getitem__, 48_000
    )
    assert model.training
    scores = score_pairs(model, embeddings, trials)
    assert model.loss.training
    assert score_trials(scores, trials.is_target).metrics["roc_auc"] > 0.8
    vectors = torch.from_numpy(embeddings)
    with torch.no_grad():
        model.eval()
        _, _, decisions = model.loss(
            torch.stack([vectors[trials.enrol], vectors[trials.test]]), labels[:, 0]
        )
    assert ((scores > 0) == decisions.numpy().astype(bool)).all()


def test_other_models_are_scored_by_the_cosine():
    model = build_speaker_model(TINY_SPEAKER)
    trials = TrialList.from_pairs(["a", "a"], ["b", "c"], [True, False])
    embeddings = np.eye(3, 8, dtype=np.float32)
    expected = cosine_scores(embeddings, trials)
    assert (score_pairs(model, embeddings, trials) == expected).all()


def test_the_projector_can_be_left_out():
    model = build("projector", projector=None)
    assert model.projector is None
    assert model.loss.layers[0].in_features == 2 * 16
    with pytest.raises(UserError, match="projector: nothing is unknown"):
        build("projector", projector="nothing")
