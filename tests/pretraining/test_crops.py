"""Crops: their clusters, what is drawn for them, and the batches they come in."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from espnet2_cltm.corpus.augmentation import Augmentation
from espnet2_cltm.errors import UserError
from espnet2_cltm.frontend.hubert import HubertFrontend
from espnet2_cltm.pretraining.crops import CropCollate, GroupedBatches, count_frames
from tests.speech import TINY_HUBERT


def utterance(name, samples):
    """Samples tell their place; clusters tell their frame."""
    return name, {
        "speech": (np.arange(samples) / 2**20).astype(np.float32),
        "target": np.arange(count_frames(samples), dtype=np.int32),
    }


BATCH = [utterance("a", 20000), utterance("b", 16080), utterance("c", 31999)]


def test_frames_are_counted_as_hubert_counts_them():
    frontend = HubertFrontend(TINY_HUBERT)
    lengths = torch.tensor([400, 719, 720, 16000, 47760, 48000, 60001])
    assert frontend.frame_lengths(lengths).tolist() == [
        count_frames(length) for length in lengths.tolist()
    ]
    assert count_frames(399) == 0


def test_a_crop_has_the_clusters_of_its_own_frames():
    collate = CropCollate(1.0, seed=0, augmentation=None, moving=True)
    for epoch in range(20):
        collate.epoch = epoch
        utts, batch = collate(BATCH)
        assert utts == ["a", "b", "c"]
        assert batch["speech"].shape == (3, 48 * 320 + 400)
        assert batch["target"].shape == (3, 49)
        for speech, target in zip(batch["speech"], batch["target"], strict=True):
            assert torch.equal(target, torch.arange(target[0], target[0] + 49))
            assert round(float(speech[0]) * 2**20) == int(target[0]) * 320


def test_every_place_of_an_utterance_is_reached():
    collate = CropCollate(1.0, seed=0, augmentation=None, moving=True)
    firsts = set()
    for epoch in range(100):
        collate.epoch = epoch
        firsts.add(int(collate([BATCH[0]])[1]["target"][0, 0]))
    assert firsts == set(range(count_frames(20000) - 49 + 1))


def test_draws_depend_on_seed_epoch_and_utterance_alone():
    def crops(seed=0, epoch=1, batch=BATCH):
        collate = CropCollate(1.0, seed, Augmentation(babble_prob=0), moving=True)
        collate.epoch = epoch
        utts, ready = collate(batch)
        return dict(zip(utts, ready["speech"], strict=True))

    first = crops()
    for utt, crop in crops(batch=BATCH[::-1][:2]).items():
        assert torch.equal(crop, first[utt])
    assert not torch.equal(crops(epoch=2)["a"], first["a"])
    assert not torch.equal(crops(seed=1)["a"], first["a"])


def test_crops_of_other_utterances_follow_in_the_same_order():
    collate = CropCollate(1.0, seed=0, augmentation=None, moving=True, paired=True)
    others = [utterance("d", 30000), utterance("e", 16080), utterance("f", 20000)]
    data = []
    for number, ((utt, row), (_, other)) in enumerate(zip(BATCH, others, strict=True)):
        other = {"other_speech": other["speech"] + 1, "other_target": other["target"]}
        data.append((utt, {**row, **other, "speaker": np.array([number])}))
    utts, batch = collate(data)
    assert utts == ["a", "b", "c"]
    assert batch["speech"].shape == (6, 48 * 320 + 400)
    assert batch["target"].shape == (6, 49)
    assert batch["speaker"].tolist() == [[0], [1], [2]]
    for place, (speech, target) in enumerate(
        zip(batch["speech"], batch["target"], strict=True)
    ):
        start = (float(speech[0]) - (place >= 3)) * 2**20
        assert start == pytest.approx(int(target[0]) * 320, abs=1)
    # Where they are not asked for they are not there.
    plain = CropCollate(1.0, seed=0, augmentation=None, moving=True)(data)[1]
    assert torch.equal(plain["speech"], batch["speech"][:3])
    assert plain["target"].shape == (3, 49)


@pytest.mark.parametrize("same", [0.0, 1.0])
def test_crops_of_a_pair_may_have_one_channel(same):
    levels = Augmentation(
        same_channel_prob=same,
        **{
            name: 0.0
            for name in vars(Augmentation())
            if name.endswith("_prob") and name != "same_channel_prob"
        },
    )
    collate = CropCollate(1.0, seed=0, augmentation=levels, moving=True, paired=True)
    ones = {"speech": np.full(20000, 0.01), "target": np.arange(count_frames(20000))}
    pair = {**ones, **{f"other_{name}": value for name, value in ones.items()}}
    speech = collate([(name, pair) for name in "abcdef"])[1]["speech"]
    alike = (speech[:6, 0] == speech[6:, 0]).tolist()
    assert alike == [same == 1.0] * 6
    assert len(set(speech[:6, 0].tolist())) == 6


def test_pairs_without_another_utterance_are_refused():
    collate = CropCollate(1.0, seed=0, augmentation=None, moving=True, paired=True)
    with pytest.raises(UserError, match="Utterance a has no other_speech"):
        collate(BATCH)


def test_validation_crops_stay_where_they_are():
    collate = CropCollate(1.0, seed=0, augmentation=None, moving=False)
    first = collate(BATCH)[1]["speech"]
    collate.epoch = 7
    assert torch.equal(collate(BATCH)[1]["speech"], first)


def test_an_utterance_shorter_than_a_crop_is_named():
    collate = CropCollate(3.0, seed=0, augmentation=None, moving=True)
    with pytest.raises(
        UserError, match="Utterance a has 20000 samples, crops have 47760"
    ):
        collate(BATCH)


def test_clusters_of_other_audio_are_refused():
    collate = CropCollate(1.0, seed=0, augmentation=None, moving=True)
    name, row = utterance("a", 20000)
    row["target"] = row["target"][:-1]
    with pytest.raises(UserError, match="Utterance a has 61 clusters in target for 62"):
        collate([(name, row)])


def test_a_crop_below_one_frame_is_refused():
    with pytest.raises(UserError, match=r"crop_seconds: 0\.02 is shorter than a frame"):
        CropCollate(0.02, seed=0, augmentation=None, moving=True)


def build(sizes, batch_size=4):
    group_of = {f"{g}-{n}": g for g, size in sizes.items() for n in range(size)}
    return GroupedBatches(list(group_of), group_of, batch_size, "utt2lang"), group_of


@given(
    sizes=st.dictionaries(st.sampled_from("abcdef"), st.integers(1, 30), min_size=1),
    batch_size=st.integers(1, 12),
    seed=st.integers(0, 2**31),
)
def test_an_epoch_has_every_utterance_once_in_batches_of_one_group(
    sizes, batch_size, seed
):
    batches, group_of = build(sizes, batch_size)
    drawn = batches.generate(seed)
    assert len(drawn) == len(batches)
    assert sorted(utt for batch in drawn for utt in batch) == sorted(group_of)
    for batch in drawn:
        assert len({group_of[utt] for utt in batch}) == 1
        # As many as wanted, or as evenly divided as can be.
        size = sizes[group_of[batch[0]]]
        parts = max(1, round(size / batch_size))
        assert len(batch) in (size // parts, -(-size // parts))


def test_epochs_differ_and_seeds_repeat():
    batches, _ = build({"a": 20, "b": 20})
    assert batches.generate(3) == batches.generate(3)
    first, second = batches.generate(3), batches.generate(4)
    assert {frozenset(batch) for batch in first} != {
        frozenset(batch) for batch in second
    }


def test_the_order_of_utterances_does_not_matter():
    _, group_of = build({"a": 9, "b": 7})
    one = GroupedBatches(sorted(group_of), group_of, 4, "utt2lang")
    other = GroupedBatches(sorted(group_of, reverse=True), group_of, 4, "utt2lang")
    assert one.generate(0) == other.generate(0)


def test_an_utterance_without_a_group_is_named():
    with pytest.raises(UserError, match="utt2lang has no line for the utterance b"):
        GroupedBatches(["a", "b"], {"a": "es"}, 4, "utt2lang")
