"""Which frames HuBERT does not hear: spans of fixed length at drawn places."""

import torch


def draw_spans(batch: int, frames: int, share: float, length: int) -> torch.Tensor:
    """Draw spans for each utterance from PyTorch's global CPU generator.

    As in wav2vec 2.0 and HuBERT, ``share * frames / length`` spans (rounded up or down
    at random) start at places drawn without repetition; they may overlap. All
    utterances get the same number of spans.

    Args:
        batch: Number of utterances.
        frames: Frames of each.
        share: Share of frames in spans, counting overlaps twice.
        length: Frames a span; shorter where the utterance is.

    Returns:
        (batch, frames) bool, true where hidden; at least one span each.
    """
    length = min(length, frames)
    places = frames - length + 1
    number = int(share * frames / length + float(torch.rand(())))
    number = min(max(number, 1), places)
    starts = torch.rand(batch, places).topk(number, dim=1).indices
    hidden = starts.unsqueeze(2) + torch.arange(length)
    mask = torch.zeros(batch, frames, dtype=torch.bool)
    return mask.scatter_(1, hidden.flatten(1), True)
