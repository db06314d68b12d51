"""The model's loss is torch's CTC, its transcripts are ESPnet's."""

import argparse
import importlib
import sys
from types import SimpleNamespace

import pytest
import torch
from rapidfuzz.distance import Levenshtein

from espnet2_cltm.asr.espnet_task import AsrTask
from espnet2_cltm.asr.tokens import token_list
from espnet2_cltm.asr.trainer import AsrTrainer
from espnet2_cltm.errors import UserError
from espnet2_cltm.tasks.espnet import NETS
from tests.speech import TINY_ASR

TOKENS = token_list(["<space>", *"abcdefgh"])


def build(**config):
    defaults = vars(AsrTask.get_parser().parse_args([]))
    config = {**defaults, **TINY_ASR, "token_list": TOKENS, "seed": 1, **config}
    return AsrTask.build_model(argparse.Namespace(**config))


@pytest.fixture(scope="module")
def model():
    return build().eval()


@pytest.fixture(scope="module")
def batch():
    torch.manual_seed(0)
    lengths = torch.tensor([16_000, 9_000, 12_345])
    speech = 0.1 * torch.randn(3, 16_000)
    for row, length in zip(speech, lengths, strict=True):
        row[length:] = 0
    text = torch.tensor([[3, 4, 2, 5], [6, 6, -1, -1], [7, 3, 2, -1]])
    return speech, lengths, text, torch.tensor([4, 2, 3])


def test_loss_is_that_of_torch(model, batch):
    speech, lengths, text, text_lengths = batch
    loss, stats, weight = model(speech, lengths, text.clone(), text_lengths)
    frames, n_frames = model.frontend(speech, lengths)
    expected = torch.nn.functional.ctc_loss(
        model.ctc.ctc_lo(frames).log_softmax(2).transpose(0, 1),
        text.clamp(min=0),
        n_frames,
        text_lengths,
        reduction="none",
    )
    assert n_frames.tolist() == [49, 27, 38]
    torch.testing.assert_close(loss, expected.mean()[None])
    assert weight.item() == 3 and set(stats) >= {"loss", "loss_ctc"}


def test_transcripts_are_those_of_espnet(model, batch, monkeypatch):
    """ESPnet counts no error between its own reading of the frames and ours."""
    speech, lengths, _, _ = batch
    with torch.no_grad():
        model.ctc.ctc_lo.weight.mul_(30)  # many tokens win a frame
        model.ctc.ctc_lo.bias[[1, -1]] = -1e4  # but those that are no text
    counted = SimpleNamespace(eval=lambda a, b: Levenshtein.distance(a, b))
    monkeypatch.setitem(sys.modules, "editdistance", counted)
    module = importlib.import_module(f"{NETS}.e2e_asr_common")
    calculator = module.ErrorCalculator(TOKENS, "<space>", "<blank>", True, False)
    frames, n_frames = model.encode(speech, lengths)
    best = model.ctc.argmax(frames)
    texts = model.transcribe(speech, lengths)
    assert len("".join(texts)) > 10
    for row, n, text in zip(best, n_frames, texts, strict=True):
        letters = text.replace(" ", "") or "a"
        ids = torch.tensor([[TOKENS.index(letter) for letter in letters]])
        assert calculator(row[None, :n], ids, is_ctc=True) == 0


def test_padding_changes_no_transcript(model, batch):
    speech, lengths, _, _ = batch
    together = model.transcribe(speech, lengths)
    alone = [
        model.transcribe(row[None, :n], n[None])[0]
        for row, n in zip(speech, lengths, strict=True)
    ]
    assert together == alone


def test_nothing_is_said_of_the_decoder_that_is_not_there(caplog):
    build()
    assert "decoder" not in caplog.text


def test_head_depends_on_the_seed_alone():
    first, second = build(), build(freeze_param=["frontend"])
    other = build(seed=2)
    weight = first.ctc.ctc_lo.weight
    assert torch.equal(weight, second.ctc.ctc_lo.weight)
    assert not torch.equal(weight, other.ctc.ctc_lo.weight)


def test_rates_are_those_of_the_utterances_of_all_processes(model, batch, monkeypatch):
    speech, lengths, text, text_lengths = batch
    parts = [["u1", "u3"], ["u2"]]  # what ESPnet gives each of two processes

    def rates(utts, distributed):
        rows = [int(utt[1:]) - 1 for utt in utts]
        names = ("speech", "speech_lengths", "text", "text_lengths")
        chosen = (value[rows] for value in (speech, lengths, text, text_lengths))
        found = {}
        AsrTrainer.validate_one_epoch(
            model,
            [(utts, dict(zip(names, chosen, strict=True)))],
            SimpleNamespace(register=found.update),
            SimpleNamespace(ngpu=0, valid_utt2lang=None),
            SimpleNamespace(distributed=distributed),
        )
        return found

    told = []

    def gather(found, own):
        told.append(own)
        found[:] = told[-2:] * (2 // len(told))  # the first hears itself alone

    monkeypatch.setattr(torch.distributed, "get_world_size", lambda: 2)
    monkeypatch.setattr(torch.distributed, "all_gather_object", gather)
    alone, together = (rates(part, distributed=True) for part in parts)
    assert together == rates(["u1", "u2", "u3"], distributed=False) != alone


def test_audio_shorter_than_its_transcript_is_named(model):
    speech, lengths = torch.randn(2, 2_000), torch.tensor([2_000, 1_500])
    text = torch.tensor([[3, 4, 5], [6, 6, 6]])
    with pytest.raises(UserError, match=r"Utterance u2 has 4 frames.* needs 5"):
        model(speech, lengths, text, torch.tensor([3, 3]), utt_id=["u1", "u2"])


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"token_list": None}, "--token_list is missing"),
        ({"token_list": ["a", "b", "c", "d"]}, "is not a list of tokens"),
        ({"token_list": [*TOKENS[:-1], "a", TOKENS[-1]]}, "each once"),
        ({"token_type": "word"}, "token_type: word"),
        ({"token_type": "phn", "checkpoint": "wer"}, "checkpoint: wer .* per"),
        ({"checkpoint": "per"}, "checkpoint: per .* cer, wer, utt_wer"),
        ({"model_conf": {"autocast": "half"}}, "autocast: half"),
        ({"encoder_conf": {"size": 3}}, "cannot be built"),
        ({"model": "espnet"}, "model: espnet is unknown"),
        (
            {"model_conf": {"ctc_weight": 0.0}, "decoder": "transformer"},
            "ctc_weight: 0.0 in model_conf must be above 0",
        ),
    ],
)
def test_configurations_that_build_nothing_are_refused(config, message):
    with pytest.raises(UserError, match=message):
        build(**config)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("bad cage", None),
        ("¡Bad!", None),
        ("bád", "'á', which is not in --token_list"),
        ("...", "has no letter or number"),
    ],
)
def test_transcripts_become_tokens_or_are_refused(text, message):
    defaults = vars(AsrTask.get_parser().parse_args([]))
    args = argparse.Namespace(**{**defaults, **TINY_ASR, "token_list": TOKENS})
    process = AsrTask.build_preprocess_fn(args, train=True)
    data = {"speech": torch.zeros(800).numpy(), "text": text}
    if message is None:
        ids = process("u1", data)["text"]
        assert "".join(TOKENS[i] for i in ids).replace("<space>", " ") in text.lower()
    else:
        with pytest.raises(UserError, match=f"utterance u1 .*{message}"):
            process("u1", data)
