"""Audio language models as a frontend, against what transformers' model itself does."""

import pytest
import torch
from transformers import AutoConfig, AutoModel, WhisperFeatureExtractor

from espnet2_cltm.errors import UserError
from espnet2_cltm.frontend.audio_llm import AudioLlmFrontend, language_model_of
from espnet2_cltm.frontend.checkpoint import standing_in
from espnet2_cltm.frontend.frozen_states import keep_frozen_states
from tests.frontend.test_hubert import SMALL, encode, save_checkpoint, waveform

TOKEN = 19
TEXT = {
    "vocab_size": 20,
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
}
WHISPER = {
    "d_model": 16,
    "encoder_layers": 1,
    "encoder_attention_heads": 2,
    "encoder_ffn_dim": 32,
    "intermediate_size": 32,
    "max_source_positions": 50,
    "num_mel_bins": 16,
}
LLMS = {  # with the language model within
    "qwen2_audio": "qwen2",
    "audioflamingo3": "qwen2",
    "voxtral": "llama",
}
SPEECH = [waveform(9000), waveform(16000, seed=1), waveform(1600, seed=2)]


def save_audio_llm(directory, name):
    """Save a small random model that hears 1 s, and its feature extractor."""
    config = AutoConfig.for_model(
        name,
        audio_config={
            "model_type": f"{name}_encoder",
            **WHISPER,
        },
        text_config={"model_type": LLMS[name], **TEXT},
        audio_token_id=TOKEN,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        AutoModel.from_config(config).save_pretrained(directory)
    WhisperFeatureExtractor(feature_size=16, chunk_length=1).save_pretrained(directory)
    return str(directory)


def of_transformers(path, speech, source):
    """Run the whole model on audio tokens alone, as many as the audio has."""
    model = AutoModel.from_pretrained(path).eval()
    inputs = WhisperFeatureExtractor.from_pretrained(path)(
        speech,
        sampling_rate=16000,
        return_tensors="pt",
        return_attention_mask=True,
    )
    mask = inputs.pop("attention_mask")
    name = {
        "qwen2_audio": "feature_attention_mask",
        "audioflamingo3": "input_features_mask",
    }.get(model.config.model_type)
    n_tokens = 25  # Voxtral hears silence to the end, here 2 frames of 20 ms at once
    if name is not None:
        inputs[name] = mask
        lengths = model.audio_tower._get_feat_extract_output_lengths(mask.sum(-1))
        n_tokens = int(lengths[1])
    given = {}
    language_model_of(model).register_forward_pre_hook(
        lambda _, __, arguments: given.update(arguments), with_kwargs=True
    )
    ids = torch.full((1, n_tokens), TOKEN)
    with torch.no_grad():
        output = model(input_ids=ids, attention_mask=torch.ones_like(ids), **inputs)
    states = {"inputs": given["inputs_embeds"], "last": output.last_hidden_state}
    return states[source][0].mean(dim=0)


@pytest.mark.parametrize("name", LLMS)
@pytest.mark.parametrize("source", ["inputs", "last"])
def test_vectors_are_those_of_the_model_itself_alone_and_padded(tmp_path, name, source):
    path = save_audio_llm(tmp_path, name)
    frontend = AudioLlmFrontend(path, source)
    batch, lengths = encode(frontend, *SPEECH)
    assert batch.shape == (3, 1, frontend.output_size()) == (3, 1, 16)
    assert lengths.tolist() == [1, 1, 1]
    for row, speech in zip(batch, SPEECH, strict=True):
        expected = of_transformers(path, speech, source)
        torch.testing.assert_close(row[0], expected, rtol=0, atol=1e-5)
        assert torch.equal(encode(frontend, speech)[0][0], row)
    assert (batch[0] - batch[1]).norm() > 0.01 * batch[0].norm()


def test_the_model_is_no_part_of_the_network_and_is_read_once(tmp_path):
    keep_frozen_states(10**9)
    path = save_audio_llm(tmp_path, "qwen2_audio")
    first, second = AudioLlmFrontend(path), AudioLlmFrontend(path)
    assert first.state_dict() == {} and first.llm is second.llm
    assert not any(p.requires_grad for p in first.llm.model.parameters())
    calls = []
    first.llm.model.audio_tower.register_forward_hook(lambda *_: calls.append(1))
    with torch.inference_mode():
        encode(first, waveform(5000, seed=9))
    vector, _ = encode(second.train(), waveform(5000, seed=9))
    assert len(calls) == 1
    weight = torch.nn.Parameter(torch.ones(16))
    (vector * weight).sum().backward()  # what was predicted can be trained on


def test_the_beginning_alone_can_be_heard(tmp_path):
    path = save_audio_llm(tmp_path, "audioflamingo3")
    part, _ = encode(AudioLlmFrontend(path, seconds=0.25), SPEECH[1])
    whole, _ = encode(AudioLlmFrontend(path), SPEECH[1][:4000])
    assert torch.equal(part, whole)


def test_what_is_no_audio_language_model_is_refused_in_a_sentence(tmp_path):
    path = save_audio_llm(tmp_path / "llm", "qwen2_audio")
    with pytest.raises(UserError, match="source: first in frontend_conf is unknown"):
        AudioLlmFrontend(path, "first")
    with pytest.raises(UserError, match="seconds: 0 in frontend_conf must be"):
        AudioLlmFrontend(path, seconds=0)
    with pytest.raises(UserError, match="takes the hub id or the directory"):
        AudioLlmFrontend({"model_type": "qwen2_audio"})
    with pytest.raises(UserError, match="is a hubert, which gives a language model no"):
        AudioLlmFrontend(save_checkpoint(tmp_path / "hubert", SMALL))
    with pytest.raises(UserError, match="does not hold a complete"):
        AudioLlmFrontend(str(tmp_path))
    (tmp_path / "llm" / "preprocessor_config.json").unlink()
    other = tmp_path / "other"
    (tmp_path / "llm").rename(other)
    with pytest.raises(UserError, match="does not hold a complete"):
        AudioLlmFrontend(str(other))
    with standing_in():  # a dry run asks for no model that is not here
        assert AudioLlmFrontend("someone/no-such-llm").output_size() > 0
