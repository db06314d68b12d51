"""Articulatory targets: how the phone is made that is spoken at a frame.

As in MauBERT (arXiv:2512.19612), each of the features of PanPhon is of three classes:
``+``, ``-``, and ``0``, which stands where a phone has no such feature. Phones come
from the audio store: ``phones.ctm``. Frames in pauses, and in phones that the table of
features, which comes with the package, does not have, are not counted.
"""

import unicodedata
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import nn

from espnet2_cltm.articulation import read_features
from espnet2_cltm.corpus.audio import SAMPLE_RATE
from espnet2_cltm.corpus.datadir import read_table
from espnet2_cltm.corpus.phones import CTM, SILENCES, Phone, read_phones
from espnet2_cltm.corpus.stored import read_lengths
from espnet2_cltm.errors import UserError
from espnet2_cltm.pretraining.crops import (
    FRAME_LENGTH,
    FRAME_SHIFT,
    NO_TARGET,
    count_frames,
)

_REMEDY = "or set --feature_weight to 0"


def segments_of_frames(phones: Iterable[Phone], frames: int) -> np.ndarray:
    """Return the segment that is spoken in the middle of each frame.

    Args:
        phones: Phones of an utterance, in order.
        frames: Number of its frames.

    Returns:
        (frames,) int32 rows of the table of features; :data:`.crops.NO_TARGET` where
        nothing is spoken, or a phone whose features are not known.
    """
    row_of = {segment: row for row, segment in enumerate(read_features())}
    middles = (np.arange(frames) * FRAME_SHIFT + FRAME_LENGTH / 2) / SAMPLE_RATE
    segments = np.full(frames, NO_TARGET, dtype=np.int32)
    for phone in phones:
        first, behind = np.searchsorted(middles, [phone.start, phone.end])
        symbol = unicodedata.normalize("NFD", phone.symbol)
        segments[first:behind] = row_of.get(symbol, NO_TARGET)
    return segments


def segments_of_split(
    directory: Path, utts: Collection[str]
) -> Iterator[tuple[str, np.ndarray]]:
    """Yield some utterances of a split of the audio store with their frames' segments.

    Args:
        directory: ``<lang>/<split>`` of the store.
        utts: Ids of the utterances.

    Raises:
        UserError: ``phones.ctm`` is malformed, ends behind the audio, or has phones of
            which none has features.
    """
    path = directory / CTM
    if not utts:  # a language without dev has no tables there
        return
    lengths = read_lengths(directory, read_table(directory / "wav.scp"))
    seconds = {utt: samples / SAMPLE_RATE for utt, samples in lengths.items()}
    phones = read_phones(path, seconds, seconds)
    symbols = {phone.symbol for row in phones.values() for phone in row} - {*SILENCES}
    spelled = {unicodedata.normalize("NFD", symbol) for symbol in symbols}
    if symbols and not spelled & read_features().keys():
        raise UserError(
            f"{path} has no phone whose articulatory features are known, but "
            f"{' '.join(sorted(symbols)[:5])}: spell phones in IPA and run stages 1 "
            f"and 2 again, {_REMEDY}."
        )
    for utt in utts:
        frames = count_frames(lengths[utt])
        yield utt, segments_of_frames(phones.get(utt, ()), frames)


def languages_without_phones(dump: Path, langs: Sequence[str]) -> list[str]:
    """Return the languages whose training data has no times of phones.

    Args:
        dump: Audio store.
        langs: Languages.

    Raises:
        UserError: None of them has any.
    """
    without = [lang for lang in langs if not (dump / lang / "train" / CTM).exists()]
    if len(without) == len(langs):
        raise UserError(
            f"{dump} has no {CTM} in train, which articulatory targets are made from: "
            "put an aligner's beside the wav.scp of your data and run stages 1 and 2 "
            f"again, {_REMEDY}."
        )
    return without


class ArticulatoryHead(nn.Module):
    """Linear classifiers, one a feature, of frames, and their loss.

    Args:
        input_size: Size of a frame.
        masked_weight: Weight of masked frames, beside ``1 - masked_weight`` of heard
            ones.
    """

    classes: torch.Tensor

    def __init__(self, input_size: int, masked_weight: float):
        super().__init__()
        self.masked_weight = masked_weight
        table = torch.from_numpy(np.stack([*read_features().values()])).long() + 1
        # (segments, features): 0 for -, 1 for none, 2 for +.
        self.register_buffer("classes", table, persistent=False)
        self.projection = nn.Linear(input_size, 3 * table.shape[1])

    def forward(
        self, hidden: torch.Tensor, segment: torch.Tensor, mask: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Compare frames with the features of what is spoken there.

        Args:
            hidden: (frames, input_size).
            segment: (frames,) int64 rows of the table, ``NO_TARGET`` for none.
            mask: (frames,) bool, true where masked.

        Returns:
            The loss, a mean of cross-entropy over features and the frames that have
            some, 0 where none has; and the share of features that are right in masked
            frames, NaN where none of these has any.
        """
        known = segment != NO_TARGET
        right = self.classes[segment.clamp(min=0)]
        logits = self.projection(hidden).unflatten(1, (-1, 3))
        losses = nn.functional.cross_entropy(
            logits.transpose(1, 2), right, reduction="none"
        ).mean(dim=1)
        masked, heard = (
            losses[frames & known].sum() / (frames & known).sum().clamp(min=1)
            for frames in (mask, ~mask)
        )
        loss = self.masked_weight * masked + (1 - self.masked_weight) * heard
        hits = (logits.argmax(dim=2) == right).float()
        return loss, hits[mask & known].mean()
