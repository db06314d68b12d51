"""A tiny label model with a strategy, and two steps of training."""

import torch

from tests.speech import TINY_GENDER, TINY_HUBERT, build_gender_model

DEEP = {**TINY_HUBERT, "num_hidden_layers": 3}
SPEECH = 0.1 * torch.randn(2, 6000, generator=torch.Generator().manual_seed(0))
LENGTHS = torch.tensor([6000, 5000])


def build(strategy="full", conf=None, frontend=None, seed=0, **fields):
    """Build a model; ``fields`` are those of its encoder."""
    config = {
        **TINY_GENDER,
        "strategy": strategy,
        "strategy_conf": conf or {},
        "frontend_conf": {"model": {**DEEP, **fields}, **(frontend or {})},
    }
    return build_gender_model(config, seed)


def loss_of(model):
    """Return the loss of a batch of two, without a penalty."""
    batch = {"utt_id": ["es-1", "tr-1"], "label": torch.tensor([[0], [1]])}
    return model(speech=SPEECH, speech_lengths=LENGTHS, **batch)[0]


def train(model, lr=1e-2):
    """Train for three steps, and return the model in evaluation mode."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=lr)
    for step in range(3):
        model.train()
        model.strategy.on_step(model, step)
        optimizer.zero_grad()
        loss_of(model).backward()
        optimizer.step()
    return model.eval()


def logits(model):
    """Return the logits of the batch."""
    with torch.no_grad():
        return model.logits(SPEECH, LENGTHS)


def changed(before, after):
    """Return the names whose values differ between two states."""
    return {name for name in after if not after[name].equal(before[name])}
