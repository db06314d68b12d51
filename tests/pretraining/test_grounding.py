"""Grounding: captions and their pictures are found by each other, and nothing else."""

import shutil

import numpy as np
import pytest
import torch
import yaml
from transformers import ViTConfig, ViTModel

from espnet2_cltm.bin import hubert_pictures
from espnet2_cltm.corpus.datadir import read_table
from espnet2_cltm.errors import UserError
from espnet2_cltm.frontend.hubert import HubertFrontend
from espnet2_cltm.pretraining.crops import (
    NO_TARGET,
    CropCollate,
    GroupedBatches,
    InTurns,
    count_frames,
)
from espnet2_cltm.pretraining.export import write_card
from espnet2_cltm.pretraining.grounding import (
    AttentionPooling,
    Grounding,
    SmallCnn,
    VisionModel,
    margin_info_nce,
)
from espnet2_cltm.pretraining.model import MaskedHubert, MaskedPredictionModel
from espnet2_cltm.pretraining.pictures import Captions, read_captions
from tests.pretraining.conftest import COLOURS, SIZE, train
from tests.pretraining.test_espnet_task import weights
from tests.speech import TINY_HUBERT

# Training changes nothing of what it computes, but for what is hidden.
NO_DROPOUT = TINY_HUBERT | dict.fromkeys(
    (f"{what}_dropout" for what in ("hidden", "attention", "activation", "feat_proj")),
    0.0,
)


def info_nce_by_hand(logits, ids, margin):
    """The sum of both directions, one term at a time."""
    total = 0.0
    for matrix in (logits, logits.T):
        losses = []
        for one, row in enumerate(matrix):
            right = np.exp(row[one] - margin)
            wrong = sum(np.exp(row[k]) for k in range(len(row)) if ids[k] != ids[one])
            losses.append(-np.log(right / (right + wrong)))
        total += np.mean(losses)
    return total


def test_the_loss_is_info_nce_with_a_margin_both_ways():
    random = np.random.default_rng(0)
    for ids in ([0, 1, 2, 3], [5, 2, 5, 2], [1, 1, 1, 4]):
        logits = random.normal(size=(4, 4))
        for margin in (0.0, 1.0):
            loss, _ = margin_info_nce(
                torch.from_numpy(logits), torch.tensor(ids), margin
            )
            assert float(loss) == pytest.approx(info_nce_by_hand(logits, ids, margin))


def test_another_caption_of_the_same_picture_is_no_wrong_answer():
    logits = torch.tensor([[1.0, 9.0, 0.0], [9.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    other, found = margin_info_nce(logits, torch.tensor([0, 1, 2]), 0.0)
    same, found_same = margin_info_nce(logits, torch.tensor([0, 0, 2]), 0.0)
    assert same < 1 < other
    assert float(found) == pytest.approx(1 / 3) and float(found_same) == 1
    # Nor does it matter how near it is, or learn.
    logits = logits.requires_grad_()
    loss, _ = margin_info_nce(logits, torch.tensor([0, 0, 2]), 1.0)
    loss.backward()
    assert logits.grad[0, 1] == logits.grad[1, 0] == 0 != logits.grad[0, 2]


def test_attention_takes_a_mean_of_what_is_spoken():
    torch.manual_seed(0)
    pooling = AttentionPooling(4)
    states = torch.randn(2, 6, 4)
    frames = torch.tensor([[True] * 6, [True] * 3 + [False] * 3])
    pooled = pooling(states, frames)
    assert torch.allclose(pooled[1], pooling(states[1:, :3], frames[1:, :3])[0])
    scores = pooling.score(states[0]).softmax(dim=0)
    assert torch.allclose(pooled[0], (scores * states[0]).sum(dim=0))


@pytest.fixture(scope="module")
def vit(tmp_path_factory):
    """A tiny vision model in a directory, as transformers writes it."""
    directory = tmp_path_factory.mktemp("vit")
    torch.manual_seed(0)
    ViTModel(
        ViTConfig(
            hidden_size=8,
            num_hidden_layers=1,
            num_attention_heads=2,
            intermediate_size=8,
            image_size=SIZE,
            patch_size=8,
        )
    ).save_pretrained(directory)
    (directory / "preprocessor_config.json").write_text(
        '{"image_mean": [0.4, 0.5, 0.6], "image_std": [0.2, 0.25, 0.5]}'
    )
    return str(directory)


def test_a_vision_model_sees_what_transformers_shows_it(vit):
    pictures = torch.randint(256, (2, SIZE, SIZE, 3), dtype=torch.uint8)
    mean, deviation = torch.tensor([[0.4, 0.5, 0.6], [0.2, 0.25, 0.5]])
    values = ((pictures / 255 - mean) / deviation).permute(0, 3, 1, 2)
    model = ViTModel.from_pretrained(vit).eval()
    ours = VisionModel(vit)
    with torch.no_grad():
        wanted = model(pixel_values=values).pooler_output
    assert torch.allclose(ours(pictures), wanted, atol=1e-6)
    assert not ours.train().model.training and not ours(pictures).requires_grad
    trained = VisionModel(vit, frozen=False).train()
    assert trained.model.training and trained(pictures).requires_grad


@pytest.mark.parametrize(
    ("conf", "message"),
    [
        ({"layer": 2}, "layer: 2 in grounding_conf must lie between 0 and 1"),
        ({"pooling": "max"}, "give one of attention, mean"),
        ({"temperature": 0}, "temperature: 0 in grounding_conf"),
        ({"image_encoder": "./nowhere"}, "image_encoder: ./nowhere cannot be used"),
        ({"image_encoder_conf": {"depth": 2}}, "image_encoder_conf: {'depth': 2}"),
        ({"picture_size": 24, "image_encoder": "VIT"}, "pictures of 24 pixels"),
    ],
)
def test_what_cannot_be_built_is_refused_before_training(vit, conf, message):
    conf = {"picture_size": SIZE, **conf}
    if conf.get("image_encoder") == "VIT":
        conf["image_encoder"] = vit
    with pytest.raises(UserError) as refusal:
        Grounding(16, 1, **conf)
    assert message in str(refusal.value)


def caption(name, samples):
    random = np.random.default_rng(samples)
    return name, {
        "speech": (random.standard_normal(samples) / 10).astype(np.float32),
        "target": random.integers(5, size=count_frames(samples)).astype(np.int32),
    }


@pytest.fixture(scope="module")
def batch():
    """A batch of three captions, of two pictures, the last one cut."""
    pictures = np.arange(2 * 8 * 8 * 3, dtype=np.uint8).reshape(2, 8, 8, 3)
    collate = CropCollate(
        1.0,
        seed=0,
        augmentation=None,
        moving=True,
        captions=Captions({"a": 1, "b": 0, "c": 1}, pictures),
        caption_seconds=0.5,
    )
    data = [caption("a", 4000), caption("b", 6000), caption("c", 9000)]
    utts, ready = collate(data)
    assert utts == ["a", "b", "c"]
    return data, ready, pictures


def test_captions_are_whole_and_padded(batch):
    data, ready, pictures = batch
    samples = 23 * 320 + 400  # whole frames in half a second
    assert ready["speech_lengths"].tolist() == [4000, 6000, samples]
    assert ready["speech"].shape == (3, samples)
    assert ready["target"].shape == (3, 24)
    for row, (_, utterance) in enumerate(data):
        length = int(ready["speech_lengths"][row])
        frames = count_frames(length)
        speech, target = ready["speech"][row], ready["target"][row]
        assert (speech[:length].numpy() == utterance["speech"][:length]).all()
        assert not speech[length:].any()
        assert (target[:frames].numpy() == utterance["target"][:frames]).all()
        assert (target[frames:] == NO_TARGET).all()
    assert ready["picture_id"].tolist() == [1, 0, 1]
    assert (ready["picture"].numpy() == pictures[[1, 0, 1]]).all()


def build(**options):
    torch.manual_seed(0)
    return MaskedPredictionModel(
        MaskedHubert(NO_DROPOUT), num_clusters=5, code_size=4, mask_length=3, **options
    )


def test_a_caption_is_heard_as_if_alone_with_nothing_hidden(batch):
    _, ready, _ = batch
    model = build(grounding_weight=0.5, picture_size=8, masked_weight=0.5).train()
    torch.manual_seed(1)
    loss, stats, weight = model(**ready)
    assert int(weight) == 3
    encoder = HubertFrontend(NO_DROPOUT).eval()
    encoder.hubert.load_state_dict(model.hubert.hubert.state_dict(), strict=False)
    grounding = model.grounding
    vectors = []
    with torch.no_grad():
        rows = zip(ready["speech"], ready["speech_lengths"], strict=True)
        for speech, length in rows:
            states, _ = encoder(speech[None, :length], length[None])
            frames = torch.ones(states.shape[:2], dtype=torch.bool)
            vectors.append(grounding.embed_speech(states, frames)[0])
        logits = torch.stack(vectors) @ grounding.embed_pictures(ready["picture"]).T
    logits = logits.numpy().astype(float) / grounding.temperature
    wanted = info_nce_by_hand(logits, [1, 0, 1], grounding.margin)
    assert float(stats["loss_grounding"]) == pytest.approx(wanted, rel=1e-4)
    model.grounding_weight = 0.0
    torch.manual_seed(1)
    rest = float(model(**ready)[0])
    assert float(loss) - rest == pytest.approx(0.5 * wanted, rel=1e-3)


def test_padding_does_not_enter_masked_prediction(batch):
    _, ready, _ = batch
    model = build(grounding_weight=1e-9, picture_size=8).eval()
    torch.manual_seed(1)
    loss = float(model(**ready)[0])
    more = dict(ready)
    more["speech"] = ready["speech"].clone()
    for row, length in enumerate(ready["speech_lengths"]):
        more["speech"][row, length:] = 0.3
    torch.manual_seed(1)
    assert float(model(**more)[0]) == pytest.approx(loss, rel=1e-5)


def test_grounding_is_learned_from_scratch():
    torch.manual_seed(0)
    encoder = SmallCnn(channels=4)
    grounding = Grounding(8, 1, SIZE, image_encoder_conf={"channels": 4}, size=8)
    assert sum(p.numel() for p in encoder.parameters()) < 10_000
    pictures = torch.tensor(COLOURS, dtype=torch.uint8)[:, None, None]
    pictures = pictures.expand(3, SIZE, SIZE, 3)
    states = torch.randn(3, 5, 8)
    frames = torch.ones(3, 5, dtype=torch.bool)
    optimizer = torch.optim.Adam(grounding.parameters(), lr=0.01)
    for _ in range(40):
        optimizer.zero_grad()
        loss, found = grounding(
            grounding.embed_speech(states, frames),
            grounding.embed_pictures(pictures),
            torch.arange(3),
        )
        loss.backward()
        optimizer.step()
    assert float(found) == 1 and float(loss) < 0.1


def test_kinds_of_batches_take_turns_and_none_is_left_out():
    plain = [f"p{n}" for n in range(10)]
    captions = [f"c{n}" for n in range(3)]
    sampler = InTurns(
        GroupedBatches(plain, dict.fromkeys(plain, ""), 2, ""),
        GroupedBatches(captions, dict.fromkeys(captions, ""), 2, ""),
    )
    batches = sampler.generate(3)
    assert len(batches) == len(sampler) == 10
    assert [{utt[0] for utt in batch} for batch in batches] == [{"p"}, {"c"}] * 5
    assert sorted(utt for batch in batches[::2] for utt in batch) == plain
    assert {utt for batch in batches[1::2] for utt in batch} == {*captions}
    assert batches == sampler.generate(3) != sampler.generate(4)


def test_pictures_are_read_once_and_captions_know_theirs(captioned, capsys):
    captions = read_captions(captioned / "pictures", "train")
    assert captions.pictures.shape == (3, SIZE, SIZE, 3)
    for lang in ("es", "tr"):
        images = read_table(captioned / "dump" / "demo" / lang / "train" / "image.scp")
        for utt, path in images.items():
            seen = captions.pictures[captions.picture_of[utt]]
            assert (seen == COLOURS[int(path[-5])]).all()
    options = ["--dump", str(captioned / "dump" / "demo")]
    options += ["--outdir", str(captioned / "pictures")]
    hubert_pictures.main([*options, "--image_size", str(SIZE)])
    assert "skipped" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        hubert_pictures.main(options)
    assert "of another setting (size: 16, now 32)" in capsys.readouterr().err


def test_a_broken_picture_is_named_and_nothing_is_left(captioned, tmp_path, capsys):
    directory = tmp_path / "dump" / "es"
    for split in ("train", "dev"):
        (directory / split).mkdir(parents=True)
        (directory / split / "wav.scp").write_text("es-a a.ark:5\n")
        (directory / split / "image.scp").write_text(f"es-a {tmp_path}/broken.png\n")
    (tmp_path / "broken.png").write_text("no picture")
    options = ["--dump", str(tmp_path / "dump"), "--outdir", str(tmp_path / "out")]
    with pytest.raises(SystemExit):
        hubert_pictures.main(options)
    assert "broken.png is broken" in capsys.readouterr().err
    assert not (tmp_path / "out" / "pictures.npy").exists()
    (directory / "dev" / "image.scp").unlink()
    with pytest.raises(SystemExit):
        hubert_pictures.main(options)
    assert "has no caption of a picture in dev" in capsys.readouterr().err


def test_short_captions_are_trained_on_only_where_they_are_grounded(captioned):
    for split in ("train", "dev"):
        directory = captioned / "targets" / split
        plain = read_table(directory / "utt2num_samples")
        every = read_table(directory / "utt2num_samples.captions")
        captions = read_captions(captioned / "pictures", split).picture_of
        added = every.keys() - plain.keys()
        assert added and added <= captions.keys() and plain.items() <= every.items()
        assert max(int(every[utt]) for utt in added) < 0.32 * 16000
        assert min(int(samples) for samples in plain.values()) >= 0.32 * 16000
        for name in ("wav.scp", "target.scp", "other_wav.scp", "utt2spk"):
            assert read_table(directory / name).keys() == every.keys()


def test_captions_and_speech_take_turns_and_a_seed_gives_the_same_hundred_losses(
    captioned, grounded, tmp_path
):
    _, first = grounded
    _, second = train(captioned, tmp_path / "second", 0.5)
    assert len(first) == 100 and first == second
    assert [has_picture for _, has_picture, _ in first] == [False, True] * 50
    losses = [loss for loss, has_picture, _ in first if has_picture]
    assert np.mean(losses[-10:]) < np.mean(losses[:10])
    for _, has_picture, names in first:
        assert ("acc_grounding" in names) == has_picture != ("acc_contrast" in names)


def test_weight_nought_is_training_without_pictures_bit_for_bit(captioned, tmp_path):
    plain, first = train(captioned, tmp_path / "plain", None, steps=5)
    beside, second = train(captioned, tmp_path / "beside", 0.0, steps=5)
    assert first == second and len(first) == 5
    one, other = weights(plain), weights(beside)
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert not any("grounding" in name for name in one)


def test_grounding_without_pictures_is_refused(captioned, tmp_path, capsys):
    with pytest.raises(SystemExit):
        train(captioned, tmp_path / "exp", 0.5, pictures=False)
    assert "grounding_weight in model_conf needs pictures" in capsys.readouterr().err


def test_targets_of_before_there_were_captions_are_named(captioned, tmp_path, capsys):
    shutil.copytree(captioned / "targets", tmp_path / "targets")
    table = tmp_path / "targets" / "train" / "utt2num_samples.captions"
    table.unlink()
    with pytest.raises(SystemExit):
        train(tmp_path, tmp_path / "exp", 0.5)
    said = capsys.readouterr().err
    assert f"{table} is missing: run stage 3" in said and said.count("\n") == 1


def test_the_card_tells_weight_and_number_of_captions(captioned, grounded, tmp_path):
    (tmp_path / "second_targets").symlink_to(captioned / "targets")
    (tmp_path / "pictures").symlink_to(captioned / "pictures")
    (tmp_path / "second").mkdir()
    config = yaml.safe_load((grounded[0] / "config.yaml").read_text())
    config["frontend_conf"]["model"] = "first/hf"
    (tmp_path / "second" / "config.yaml").write_text(yaml.safe_dump(config))
    (tmp_path / "second" / "train.log").write_text("[valid] acc=0.5, time=1 second\n")
    (tmp_path / "card.md").write_text("{data} {targets}")
    for name in ("commit", "command"):
        (tmp_path / f"{name}.txt").write_text(f"{name}\n")
    card = write_card(tmp_path, tmp_path / "card.md", 1).read_text()
    captions = read_captions(captioned / "pictures", "train").picture_of
    assert f"each of {len(captions)} captions in train" in card
    assert f"{len({*captions.values()})} pictures" in card and "weight 0.5" in card
    lengths = read_table(captioned / "targets" / "train" / "utt2num_samples.captions")
    assert f"in {len(lengths)} utterances, dev" in card
