"""From utterances to batches of crops of one length, disturbed, with their clusters.

Crops begin at a frame's first sample, so that a crop's frames are the utterance's and
have its clusters. What is drawn for an utterance depends on the seed, the epoch and its
id, and on the other utterances of its batch, of which babble is made; these are drawn
from seed and epoch too. So neither the number of loading processes nor an interruption
changes a training.

Captions of pictures have batches of their own, where training is grounded: whole
utterances, padded, with the pictures that they tell of. They take turns with crops.
"""

import hashlib
from collections.abc import Collection, Iterator, Mapping, Sequence

import numpy as np
import torch
from espnet2.iterators.abs_iter_factory import AbsIterFactory
from espnet2.samplers.abs_sampler import AbsSampler

from espnet2_cltm.corpus.audio import SAMPLE_RATE
from espnet2_cltm.corpus.augmentation import Augmentation, Channel
from espnet2_cltm.errors import UserError
from espnet2_cltm.pretraining.pictures import Captions

FRAME_SHIFT = 320
"""Samples between the beginnings of HuBERT's frames."""
FRAME_LENGTH = 400
"""Samples that a frame hears."""
SPEAKER = "speaker"
"""Name of the data that an utterance has as a whole."""
SEGMENT = "segment"
"""Name of the articulatory targets: rows of the table of features, one a frame."""
OTHER = "other_"
"""Prefix of the names of another utterance's data."""
NO_TARGET = -1
"""In place of a cluster behind an utterance's end, or of a segment that is unknown."""

_APART = 1 << 32  # between the seeds of two passes over the same batches


def count_frames(samples: int) -> int:
    """Return the number of HuBERT's frames; 0 for fewer than 400 samples."""
    return max(0, (samples - FRAME_LENGTH) // FRAME_SHIFT + 1)


class CropCollate:
    """ESPnet's ``collate_fn``: turns a batch of utterances into one of crops.

    Args:
        crop_seconds: Length of a crop; it is cut to a whole number of frames.
        seed: Seed of all draws.
        augmentation: Disturbances, or None for clean crops.
        moving: Whether crops move from epoch to epoch; if not, they are those of
            epoch 0, which makes epochs comparable in validation.
        paired: Whether crops of ``other_speech``, with ``other_target``, are added.
        captions: Captions of pictures, which come in batches of their own and are not
            cropped; None for none.
        caption_seconds: Length that captions are cut to.

    Attributes:
        epoch: Number of the epoch, set by :class:`EpochIterFactory`.
    """

    def __init__(
        self,
        crop_seconds: float,
        seed: int,
        augmentation: Augmentation | None,
        moving: bool,
        paired: bool = False,
        captions: Captions | None = None,
        caption_seconds: float = 8.0,
    ):
        self.frames = count_frames(round(crop_seconds * SAMPLE_RATE))
        if self.frames < 1:
            raise UserError(
                f"crop_seconds: {crop_seconds} is shorter than a frame (0.025)."
            )
        # No more than these frames hear, so that the last crop ends in the utterance.
        self.samples = (self.frames - 1) * FRAME_SHIFT + FRAME_LENGTH
        self.seed = seed
        self.augmentation = augmentation
        self.moving = moving
        self.paired = paired
        self.captions = captions
        longest = count_frames(round(caption_seconds * SAMPLE_RATE))
        if longest < 1:
            raise UserError(
                f"caption_seconds: {caption_seconds} is shorter than a frame (0.025)."
            )
        self.caption_samples = (longest - 1) * FRAME_SHIFT + FRAME_LENGTH
        self.epoch = 0

    def __call__(
        self, data: Collection[tuple[str, dict[str, np.ndarray]]]
    ) -> tuple[list[str], dict[str, torch.Tensor]]:
        """Crop and disturb.

        Args:
            data: Utterance ids with ``speech``, (samples,) float32; ``speaker``, where
                it is given, is (1,) int64; everything else is (frames,) clusters, or
                segments of articulatory targets, called clusters below. The
                names of another utterance of the speaker begin with ``other_``.

        Returns:
            The ids, and by name: ``speech`` (rows, samples) float32 and clusters (rows,
            frames) int64, rows being crops of all utterances and then, where crops are
            paired, of all others in the same order; ``speaker`` (batch, 1) int64. Of
            captions ``speech``, padded with zeros, and ``target`` and ``segment``, with
            :data:`NO_TARGET`; ``speech_lengths`` (batch,) int64; ``picture`` (batch,
            size, size, 3) uint8 and ``picture_id`` (batch,) int64.

        Raises:
            UserError: An utterance is shorter than a crop, or does not have one cluster
                a frame.
        """
        utts = [utt for utt, _ in data]
        epoch = self.epoch if self.moving else 0
        generators = [utterance_generator(self.seed, epoch, utt) for utt in utts]
        if self.captions and utts[0] in self.captions.picture_of:
            return utts, self._pad_captions(data, generators, self.captions)
        speech: list[np.ndarray] = []
        targets: dict[str, list[np.ndarray]] = {}
        channels: list[Channel] | None = None
        for prefix in ("", OTHER) if self.paired else ("",):
            crops: list[np.ndarray] = []
            for (utt, row), random in zip(data, generators, strict=True):
                parts = _parts(utt, row, prefix)
                self._check(utt, parts)
                frames = count_frames(len(parts["speech"]))
                first = int(random.integers(frames - self.frames + 1))
                begin = first * FRAME_SHIFT
                crops.append(parts.pop("speech")[begin : begin + self.samples])
                for name, clusters in parts.items():
                    crop = clusters[first : first + self.frames].astype(np.int64)
                    targets.setdefault(name, []).append(crop)
            disturbed, channels = self._disturb(crops, generators, channels)
            speech += disturbed
        if all(SPEAKER in row for _, row in data):
            targets[SPEAKER] = [row[SPEAKER] for _, row in data]
        return utts, {
            "speech": torch.from_numpy(np.stack(speech).astype(np.float32, copy=False)),
            **{
                name: torch.from_numpy(np.stack(rows))
                for name, rows in sorted(targets.items())
            },
        }

    def _pad_captions(
        self,
        data: Collection[tuple[str, dict[str, np.ndarray]]],
        generators: list[np.random.Generator],
        captions: Captions,
    ) -> dict[str, torch.Tensor]:
        """Pad captions to one length; add their pictures."""
        numbers = [captions.picture_of[utt] for utt, _ in data]
        speech: list[torch.Tensor] = []
        targets: dict[str, list[torch.Tensor]] = {}
        for (utt, row), random in zip(data, generators, strict=True):
            own = {name: row[name] for name in ("target", SEGMENT) if name in row}
            self._check_clusters(utt, own, count_frames(len(row["speech"])))
            waveform = row["speech"][: self.caption_samples]
            if self.augmentation is not None:
                channel = self.augmentation.draw_channel(random)
                # No babble: others are of other lengths.
                waveform = self.augmentation.disturb(waveform, [], channel, random)
            speech.append(torch.from_numpy(waveform.astype(np.float32, copy=False)))
            for name, clusters in own.items():
                clusters = clusters[: count_frames(len(waveform))].astype(np.int64)
                targets.setdefault(name, []).append(torch.from_numpy(clusters))
        pad = torch.nn.utils.rnn.pad_sequence
        return {
            "speech": pad(speech, batch_first=True),
            "speech_lengths": torch.tensor([len(waveform) for waveform in speech]),
            **{
                name: pad(rows, batch_first=True, padding_value=NO_TARGET)
                for name, rows in targets.items()
            },
            "picture": torch.from_numpy(captions.pictures[numbers]),
            "picture_id": torch.tensor(numbers),
        }

    def _disturb(
        self,
        crops: list[np.ndarray],
        generators: list[np.random.Generator],
        before: list[Channel] | None,
    ) -> tuple[list[np.ndarray], list[Channel] | None]:
        """Disturb all crops; ``before`` has the channels of the pairs' first ones."""
        if self.augmentation is None:
            return crops, None
        disturbed, channels = [], []
        for index, (crop, random) in enumerate(zip(crops, generators, strict=True)):
            channel = self.augmentation.draw_channel(random)
            if before and random.random() < self.augmentation.same_channel_prob:
                channel = before[index]
            others = [*crops[:index], *crops[index + 1 :]]
            disturbed.append(self.augmentation.disturb(crop, others, channel, random))
            channels.append(channel)
        return disturbed, channels

    def _check(self, utt: str, row: dict[str, np.ndarray]) -> None:
        samples = len(row["speech"])
        if samples < self.samples:
            raise UserError(
                f"Utterance {utt} has {samples} samples, crops have {self.samples}: "
                "leave it out of the shape file, or lower crop_seconds."
            )
        targets = {name: row[name] for name in row.keys() - {"speech"}}
        self._check_clusters(utt, targets, count_frames(samples))

    @staticmethod
    def _check_clusters(utt: str, targets: dict[str, np.ndarray], frames: int) -> None:
        for name, clusters in targets.items():
            if len(clusters) != frames:
                raise UserError(
                    f"Utterance {utt} has {len(clusters)} clusters in {name} for "
                    f"{frames} frames: make them from the same audio again."
                )


def _parts(utt: str, row: dict[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    """Return an utterance's waveform and clusters, or those of its other one."""
    if f"{prefix}speech" not in row:
        raise UserError(
            f"Utterance {utt} has no {prefix}speech, which contrast_weight needs: give "
            "it as other_wav.scp, or set contrast_weight to 0."
        )
    return {
        name.removeprefix(prefix): value
        for name, value in row.items()
        if name.startswith(OTHER) == (prefix == OTHER) and name != SPEAKER
    }


def utterance_generator(seed: int, epoch: int, utt: str) -> np.random.Generator:
    """Return the generator of an utterance in an epoch."""
    key = hashlib.blake2b(f"{seed} {epoch} {utt}".encode(), digest_size=16).digest()
    return np.random.default_rng(int.from_bytes(key, "little"))


class EpochIterFactory(AbsIterFactory):
    """ESPnet's iterator factory, which tells the collate function the epoch.

    Args:
        factory: ESPnet's own.
        collate: Its ``collate_fn``; loading processes copy it when an epoch begins.
    """

    def __init__(self, factory: AbsIterFactory, collate: CropCollate):
        self.factory = factory
        self.collate = collate

    def build_iter(self, epoch: int, shuffle: bool | None = None):
        """Build the loader of an epoch."""
        self.collate.epoch = epoch
        return self.factory.build_iter(epoch, shuffle)


class GroupedBatches(AbsSampler):
    """Draws batches of utterances of one group each, anew in every epoch.

    In a batch of many languages speakers are told apart by what they speak; in a batch
    of one, by their voices.

    Args:
        utts: All utterances.
        group_of: Group of each utterance.
        batch_size: Approximate number of utterances in a batch: those of a group are
            divided evenly.
        source: File of ``group_of``, for messages.

    Raises:
        UserError: An utterance has no group.
    """

    def __init__(
        self,
        utts: Sequence[str],
        group_of: Mapping[str, str],
        batch_size: int,
        source: str,
    ):
        self._groups: dict[str, list[str]] = {}
        for utt in sorted(utts):
            if utt not in group_of:
                raise UserError(
                    f"{source} has no line for the utterance {utt}: add it."
                )
            self._groups.setdefault(group_of[utt], []).append(utt)
        self._parts = {
            group: max(1, round(len(members) / batch_size))
            for group, members in self._groups.items()
        }

    def __len__(self) -> int:
        return sum(self._parts.values())

    def __iter__(self) -> Iterator[tuple[str, ...]]:
        return iter(self.generate(0))

    def generate(self, seed: int) -> list[tuple[str, ...]]:
        """Return the batches of an epoch, in an order that is drawn as well."""
        random = np.random.default_rng(seed)
        batches = [
            tuple(part)
            for group, members in sorted(self._groups.items())
            for part in np.array_split(random.permutation(members), self._parts[group])
        ]
        return [batches[place] for place in random.permutation(len(batches))]


class InTurns(AbsSampler):
    """Draws a batch of one kind and a batch of the other, in turns.

    An epoch has all batches of the kind that has more; the other begins anew.

    Args:
        one: Batches of one kind.
        other: Batches of the other kind.
    """

    def __init__(self, one: AbsSampler, other: AbsSampler):
        self._kinds = one, other

    def __len__(self) -> int:
        return 2 * max(map(len, self._kinds))

    def __iter__(self) -> Iterator[tuple[str, ...]]:
        return iter(self.generate(0))

    def generate(self, seed: int) -> list[tuple[str, ...]]:
        """Return the batches of an epoch, in order."""
        turns = len(self) // 2
        drawn: list[list[tuple[str, ...]]] = []
        for kind in self._kinds:
            batches: list[tuple[str, ...]] = []
            while len(batches) < turns:
                batches += kind.generate(seed + len(batches) * _APART)
            drawn.append(batches[:turns])
        return [batch for pair in zip(*drawn, strict=True) for batch in pair]
