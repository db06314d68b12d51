"""How often a training step waits for the device to read a value from it.

Every read holds up a GPU's queue. On a CPU they cost nothing but can be counted: the
dispatcher sees those of single values, the Python interface those of lists.
"""

import traceback

import pytest
import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from tests.speech import (
    TINY_GENDER,
    TINY_SPEAKER,
    build_gender_model,
    build_speaker_model,
)

CONTRASTIVE = {**TINY_SPEAKER, "loss": "contrastive"}
MARGIN = {**TINY_SPEAKER, "loss": "aamsoftmax"}


class _SingleValues(TorchDispatchMode):
    def __init__(self, reads):
        super().__init__()
        self.reads = reads

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func.overloadpacket.__name__ in ("_local_scalar_dense", "nonzero"):
            self.reads.append(_where())
        return func(*args, **(kwargs or {}))


class _Lists(TorchFunctionMode):
    def __init__(self, reads):
        super().__init__()
        self.reads = reads

    def __torch_function__(self, func, types, args=(), kwargs=None):
        if getattr(func, "__name__", "") in ("tolist", "numpy", "cpu"):
            self.reads.append(_where())
        return func(*args, **(kwargs or {}))


def _where():
    inside = [f for f in traceback.extract_stack() if "espnet2_cltm" in f.filename]
    return f"{inside[-1].filename}:{inside[-1].lineno}" if inside else "elsewhere"


def host_reads(model, lengths, **batch):
    """Count the reads of a forward and backward pass, by their places."""
    speech = torch.randn(len(lengths), max(lengths))
    reads = []
    model.train()
    with _Lists(reads), _SingleValues(reads):
        loss, _, _ = model(speech=speech, speech_lengths=torch.tensor(lengths), **batch)
        loss.backward()
    return reads


def models():
    def label(n):
        return torch.arange(n).view(-1, 1) % 2

    yield "gender", build_gender_model(TINY_GENDER), lambda n: {"label": label(n)}
    bfloat16 = {**TINY_GENDER, "model_conf": {"autocast": "bfloat16"}}
    yield "bfloat16", build_gender_model(bfloat16), lambda n: {"label": label(n)}
    for name, config in (("speaker", TINY_SPEAKER), ("margin", MARGIN)):
        model = build_speaker_model(config)
        yield name, model, lambda n: {"spk_labels": label(n)}


@pytest.mark.parametrize(
    ("model", "labels"), [pytest.param(m, b, id=name) for name, m, b in models()]
)
def test_a_step_on_one_utterance_reads_its_length_and_no_more(model, labels):
    reads = host_reads(model, [8000], **labels(1))
    assert len(reads) == 1 and "hubert.py" in reads[0]


@pytest.mark.parametrize(
    ("model", "labels"), [pytest.param(m, b, id=name) for name, m, b in models()]
)
def test_a_step_on_a_padded_batch_reads_at_most_twice(model, labels):
    # Besides the lengths, transformers asks whether its attention mask masks anything.
    assert len(host_reads(model, [8000, 6000, 5000], **labels(3))) <= 2


def test_a_step_on_pairs_reads_the_lengths_of_both():
    model = build_speaker_model(CONTRASTIVE)
    other = {
        "speech2": torch.randn(1, 6000),
        "speech2_lengths": torch.tensor([6000]),
        "spk_labels": torch.tensor([[1]]),
    }
    assert len(host_reads(model, [8000], **other)) == 2


def test_reads_are_seen():
    class Reading(torch.nn.Module):
        def forward(self, speech, speech_lengths):
            assert speech.sum() == speech.sum()
            scale = speech_lengths.max().item() / max(speech_lengths.tolist())
            return (speech.requires_grad_() * scale).sum(), None, None

    assert len(host_reads(Reading(), [400])) == 3
