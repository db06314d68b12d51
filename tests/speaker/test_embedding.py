"""Embeddings of utterances against a slow computation, one at a time."""

import librosa
import numpy as np
import pytest
import torch
from transformers import HubertConfig, HubertModel, Wav2Vec2FeatureExtractor

from espnet2_cltm.errors import UserError
from espnet2_cltm.speaker import embedding
from espnet2_cltm.speaker.embedding import cache_waveforms, embed_utterances
from espnet2_cltm.speaker.model import EmbeddingSettings
from espnet2_cltm.speaker.waveforms import change_tempo
from tests.speech import TINY_HUBERT, TINY_SPEAKER, build_speaker_model, voice

BINS = 30_000
ECAPA = {
    "frontend": "melspec_torch",
    "frontend_conf": {"n_mels": 16, "log": True, "normalize": "mn"},
    "encoder": "ecapa_tdnn",
    "encoder_conf": {"ndim": 16, "output_size": 24},
    "pooling": "chn_attn_stat",
    "projector": "rawnet3",
}


def build(config=TINY_SPEAKER, **conf):
    return build_speaker_model({**TINY_SPEAKER, **config, "embedding_conf": conf})


@pytest.fixture(scope="module")
def waveforms():
    """Give voices of several lengths, some the same, between silence."""
    found = {}
    for seed, n_samples in enumerate((4000, 4000, 5300, 8000, 8010, 8000, 12345)):
        speech = voice("fm"[seed % 2], seed, n_samples).astype(np.float32) / 32768
        silence = np.zeros(700 * seed, np.float32)
        found[f"utt{9 - seed}"] = np.concatenate([silence, speech, silence])
    return found


def embed(model, waveforms, batch_bins=BINS):
    lengths = {utt: len(samples) for utt, samples in waveforms.items()}
    return embed_utterances(model, lengths, waveforms.__getitem__, batch_bins)


def one_by_one(waveforms, speeds, trim_db, embed_waveform):
    """Compute the definition: normalised, averaged over speeds, normalised again."""
    rows = []
    for utt in sorted(waveforms):
        samples = waveforms[utt]
        if trim_db is not None:
            samples, _ = librosa.effects.trim(
                samples, top_db=trim_db, frame_length=2048, hop_length=512
            )
        vectors = []
        for speed in speeds:
            vector = embed_waveform(change_tempo(samples, speed)).astype(np.float64)
            vectors.append(vector / np.linalg.norm(vector))
        mean = np.mean(vectors, axis=0)
        rows.append(mean / np.linalg.norm(mean))
    return np.stack(rows)


@pytest.mark.parametrize("num_layers", [1, 2, 3])
def test_hidden_layers_equal_transformers_own(waveforms, tmp_path, num_layers):
    torch.manual_seed(7)
    hubert = HubertModel(HubertConfig(**{**TINY_HUBERT, "num_hidden_layers": 3})).eval()
    hubert.save_pretrained(tmp_path)
    extractor = Wav2Vec2FeatureExtractor()
    extractor.save_pretrained(tmp_path)
    conf = {"source": "hidden_layers", "num_layers": num_layers, "trim_db": 25}
    model = build({"frontend_conf": {"model": str(tmp_path)}}, **conf)

    @torch.no_grad()
    def last_layers(samples):
        inputs = extractor(samples, sampling_rate=16000, return_tensors="pt")
        output = hubert(**inputs, output_hidden_states=True)
        states = torch.cat(output.hidden_states[-num_layers:])
        return states.mean(dim=(0, 1)).numpy()

    expected = one_by_one(waveforms, (1.0, 0.98, 1.02), 25, last_layers)
    np.testing.assert_allclose(embed(model, waveforms), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("source", ["hidden_layers", "pooling", "projector"])
@pytest.mark.parametrize(
    ("speeds", "trim_db"), [((1.0,), None), ((0.9, 1.1), 20), ((1.02, 1.0), 40)]
)
def test_speeds_and_trimming_enter_as_asked(waveforms, source, speeds, trim_db):
    conf = {"speeds": speeds, "trim_db": trim_db, "source": source, "num_layers": 2}
    model = build(**conf).eval()

    @torch.no_grad()
    def embed_waveform(samples):
        speech = torch.from_numpy(samples.copy())[None]
        return model.embed(speech, torch.tensor([len(samples)]))[0].numpy()

    expected = one_by_one(waveforms, speeds, trim_db, embed_waveform)
    np.testing.assert_allclose(embed(model, waveforms), expected, rtol=0, atol=1e-5)


def test_trimming_and_speeds_make_a_difference(waveforms):
    plain = embed(build(speeds=[1.0], trim_db=None), waveforms)
    for conf in ({"speeds": [1.0], "trim_db": 20}, {"speeds": [0.9], "trim_db": None}):
        assert np.abs(embed(build(**conf), waveforms) - plain).max() > 1e-3


@pytest.mark.parametrize("config", [TINY_SPEAKER, ECAPA], ids=["hubert", "ecapa"])
def test_embeddings_do_not_depend_on_the_company(waveforms, config):
    tolerance = 1e-5 if config is TINY_SPEAKER else 1e-6
    model = build(config, length_multiple=800)
    together = embed(model, waveforms)
    for row, utt in zip(together, sorted(waveforms), strict=True):
        (alone,) = embed(model, {utt: waveforms[utt]})
        np.testing.assert_allclose(alone, row, rtol=0, atol=tolerance)
    in_small_batches = embed(model, waveforms, batch_bins=1)
    np.testing.assert_allclose(in_small_batches, together, rtol=0, atol=tolerance)


def test_padding_sensitive_models_see_lengths_of_one_multiple_only(
    waveforms, monkeypatch
):
    model = build(ECAPA, length_multiple=800, trim_db=None)
    seen = []
    original = model.embed

    def spy(speech, lengths):
        seen.append((speech.shape, lengths.tolist()))
        return original(speech, lengths)

    monkeypatch.setattr(model, "embed", spy)
    embed(model, {**waveforms, "short": waveforms["utt9"][:700]})
    for (size, longest), lengths in seen:
        assert lengths == [longest] * size
        assert longest % 800 == 0 or longest < 800
    assert any(size > 1 for (size, _), _ in seen)


def test_embeddings_are_the_same_bits_whatever_the_order(waveforms):
    model = build()
    turned = dict(reversed(waveforms.items()))
    np.testing.assert_array_equal(embed(model, waveforms), embed(model, turned))


def test_every_utterance_is_read_once(waveforms):
    read = []

    def read_waveform(utt):
        read.append(utt)
        return waveforms[utt]

    lengths = {utt: len(samples) for utt, samples in waveforms.items()}
    embed_utterances(build(), lengths, read_waveform, 2000)
    assert sorted(read) == sorted(waveforms)


@pytest.fixture
def with_cache():
    cache_waveforms(1 << 20)
    yield
    cache_waveforms(0)


def test_cache_changes_no_bit_and_spares_the_second_time(
    waveforms, with_cache, monkeypatch
):
    model = build()
    first = embed(model, waveforms)

    def refuse(*arguments):
        raise AssertionError("trimmed and stretched again")

    with monkeypatch.context() as patched:
        patched.setattr(embedding, "variants", refuse)
        np.testing.assert_array_equal(embed(model, waveforms), first)
    cache_waveforms(0)
    np.testing.assert_array_equal(embed(model, waveforms), first)


def test_cache_keeps_other_settings_apart(waveforms, with_cache):
    first = embed(build(speeds=[1.0]), waveforms)
    second = embed(build(speeds=[0.9]), waveforms)
    third = embed(build(speeds=[1.0], trim_db=None), waveforms)
    cache_waveforms(0)
    np.testing.assert_array_equal(embed(build(speeds=[1.0]), waveforms), first)
    np.testing.assert_array_equal(embed(build(speeds=[0.9]), waveforms), second)
    conf = {"speeds": [1.0], "trim_db": None}
    np.testing.assert_array_equal(embed(build(**conf), waveforms), third)


@pytest.mark.parametrize("is_training", [True, False])
def test_mode_of_the_model_stays(waveforms, is_training):
    model = build().train(is_training)
    embed(model, waveforms)
    assert model.training == is_training and model.projector.training == is_training


def test_no_utterance_gives_no_embedding():
    assert len(embed(build(), {})) == 0


@pytest.mark.parametrize(
    ("conf", "message"),
    [
        ({"source": "encoder"}, "source: encoder is unknown: give hidden_layers,"),
        ({"num_layers": 0}, "num_layers: 0 must be 1 or more"),
        ({"speeds": []}, r"speeds: \[\] must be factors between 0.5 and 2"),
        ({"speeds": [1.0, 3.0]}, "must be factors between 0.5 and 2"),
        ({"trim_db": -20}, "trim_db: -20 must be above 0, or null"),
        ({"length_multiple": 0}, "length_multiple: 0 must be 1 or more"),
    ],
)
def test_setting_out_of_range_is_named(conf, message):
    with pytest.raises(UserError, match=f"embedding_conf: .*{message}"):
        EmbeddingSettings(**conf)
