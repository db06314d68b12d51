"""Articulatory targets: the features of the phone at each frame, and their loss."""

import kaldiio
import numpy as np
import pytest
import torch

from espnet2_cltm.articulation import read_features
from espnet2_cltm.bin import hubert_targets
from espnet2_cltm.corpus.datadir import read_table
from espnet2_cltm.errors import UserError
from espnet2_cltm.pretraining.articulation import ArticulatoryHead, segments_of_split
from espnet2_cltm.pretraining.crops import NO_TARGET, CropCollate
from espnet2_cltm.pretraining.model import MaskedPredictionModel
from espnet2_cltm.pretraining.pictures import Captions
from tests.pretraining.conftest import CTM, SPOKEN
from tests.pretraining.test_grounding import caption
from tests.pretraining.test_model import batch, build


@pytest.fixture(scope="module")
def targets(captioned):
    return captioned / "targets" / "train"


def segments(targets, name):
    return {
        utt: kaldiio.load_mat(location)
        for utt, location in read_table(targets / name).items()
    }


def test_frames_have_the_features_of_what_is_spoken_in_their_middle(targets):
    found = segments(targets, "segment.scp")
    features = read_features()
    table = np.stack([*features.values()])
    spoken = {1: "a", 5: "a\N{COMBINING TILDE}", 6: "a\N{COMBINING TILDE}"}
    for frame, segment in enumerate(found[SPOKEN]):
        # Frames hear 25 ms, from every 20 ms on: 12.5, 32.5, 52.5 (the diphthong),
        # 72.5 and 92.5 (the pause), 112.5, 132.5, and 152.5 ms (behind all).
        wanted = {0: "a", **spoken}.get(frame)
        assert (segment != NO_TARGET) == (wanted is not None), frame
        if wanted:
            np.testing.assert_array_equal(table[segment], features[wanted])
    for utt in found.keys() - {SPOKEN}:
        assert (found[utt] == NO_TARGET).all()
    clusters = segments(targets, "target.scp")
    assert {utt: len(row) for utt, row in found.items()} == {
        utt: len(row) for utt, row in clusters.items()
    }
    other = segments(targets, "other_segment.scp")
    same = read_table(targets / "other_target.scp")
    at = {location: utt for utt, location in read_table(targets / "target.scp").items()}
    for utt, row in other.items():
        np.testing.assert_array_equal(row, found[at[same[utt]]])


def test_the_loss_is_a_mean_over_features_and_counted_frames():
    torch.manual_seed(0)
    head = ArticulatoryHead(2, masked_weight=0.75)
    rows = {segment: row for row, segment in enumerate(read_features())}
    segment = torch.tensor([rows["p"], NO_TARGET, rows["a"], rows["m"], NO_TARGET])
    mask = torch.tensor([True, True, True, False, False])
    hidden = torch.randn(5, 2)
    loss, found = head(hidden, segment, mask)
    weight, bias = (value.detach().double().numpy() for value in head.parameters())
    losses, hits = {}, {}
    for frame, symbol in ((0, "p"), (2, "a"), (3, "m")):
        scores = (weight @ hidden[frame].double().numpy() + bias).reshape(22, 3)
        right = [{-1: 0, 0: 1, 1: 2}[int(value)] for value in read_features()[symbol]]
        chosen = np.exp(scores[range(22), right]) / np.exp(scores).sum(axis=1)
        losses[frame] = -np.log(chosen).mean()
        hits[frame] = (scores.argmax(axis=1) == right).mean()
    masked = (losses[0] + losses[2]) / 2
    assert float(loss.detach()) == pytest.approx(
        0.75 * masked + 0.25 * losses[3], rel=1e-5
    )
    assert float(found) == pytest.approx((hits[0] + hits[2]) / 2)


def test_frames_without_phones_teach_nothing_and_break_nothing():
    head = ArticulatoryHead(2, masked_weight=0.5)
    nothing = torch.full((3,), NO_TARGET)
    loss, found = head(torch.randn(3, 2), nothing, torch.tensor([True, False, True]))
    loss.backward()
    assert float(loss.detach()) == 0 and found.isnan()
    assert not head.projection.weight.grad.any()


def losses_of(model: MaskedPredictionModel, **data):
    torch.manual_seed(3)
    loss, stats, _ = model(**data)
    return loss, stats


def test_weight_nought_is_training_without_features_bit_for_bit():
    data = batch() | {"segment": torch.zeros(3, 10, dtype=torch.long)}
    plain, without = build(mask_length=3), build(mask_length=3, feature_weight=0.0)
    assert plain.state_dict().keys() == without.state_dict().keys()
    wanted, stats = losses_of(plain.eval(), **batch())
    loss, same = losses_of(without.eval(), **data)
    assert torch.equal(loss, wanted) and stats == same
    # With a weight, all other parts begin as they do without.
    weighted = build(mask_length=3, feature_weight=0.5).state_dict()
    for name, value in plain.state_dict().items():
        assert torch.equal(value, weighted[name])


def test_a_step_on_crops_reaches_the_encoder(targets):
    names = ("target", "other_target", "segment", "other_segment")
    tables = {"speech": "wav.scp", "other_speech": "other_wav.scp"}
    tables |= {name: f"{name}.scp" for name in names}
    of = {name: read_table(targets / table) for name, table in tables.items()}
    long = read_table(targets / "utt2num_samples")
    rows = []
    for utt in (SPOKEN, next(utt for utt in long if utt != SPOKEN)):
        row = {name: kaldiio.load_mat(table[utt]) for name, table in of.items()}
        for name in ("speech", "other_speech"):
            row[name] = row[name][1].astype(np.float32) / 32768
        rows.append((utt, row))
    collate = CropCollate(0.25, seed=0, augmentation=None, moving=False, paired=True)
    _, ready = collate(rows)
    assert ready["segment"].shape == ready["target"].shape
    ready["target"] %= 5  # clusters of the model
    assert (ready["segment"] != NO_TARGET).any()
    model = build(mask_length=3, feature_weight=0.5, masked_weight=0.5)
    loss, stats = losses_of(model, **ready)
    loss.backward(retain_graph=True)
    whole = gradients(model)
    # What features add to the loss is their weight's share, and it reaches all layers.
    model.feature_weight = 0.0
    rest, _ = losses_of(model, **ready)
    added = 0.5 * float(stats["loss_features"])
    assert added > 0 and 0 <= float(stats["acc_features"]) <= 1
    assert float(loss.detach()) == pytest.approx(float(rest.detach()) + added)
    model.zero_grad()
    rest.backward()
    for name, value in gradients(model).items():
        assert not torch.equal(value, whole[name]), name


def gradients(model):
    """Gradients of the encoder's layers and convolutions."""
    return {
        name: value.grad.clone()
        for name, value in model.hubert.named_parameters()
        if name.endswith("weight") and value.grad.any()
    }


def test_captions_tell_features_too_and_their_padding_does_not():
    captions = Captions({"a": 0, "b": 0}, np.zeros((1, 8, 8, 3), dtype=np.uint8))
    collate = CropCollate(0.25, 0, augmentation=None, moving=False, captions=captions)
    data = [caption("a", 4000), caption("b", 6000)]
    for _, row in data:
        row["segment"] = row["target"]
    _, ready = collate(data)
    assert torch.equal(ready["segment"], ready["target"])
    options = {"grounding_weight": 0.5, "picture_size": 8, "mask_length": 3}
    loss, stats = losses_of(build(feature_weight=0.5, **options).eval(), **ready)
    rest, _ = losses_of(build(**options).eval(), **ready)
    added = float((loss - rest).detach())
    assert added == pytest.approx(0.5 * float(stats["loss_features"]), rel=1e-3)
    assert 0 < added < 5


def test_segments_that_are_not_given_are_named():
    with pytest.raises(UserError, match="feature_weight needs the data segment"):
        build(feature_weight=0.5)(**batch())


def test_a_corpus_without_times_of_phones_is_refused(captioned, tmp_path, capsys):
    dump = captioned / "dump" / "demo"
    options = ["--dump", str(dump), "--langs", "tr", "--segments", "true"]
    with pytest.raises(SystemExit):
        hubert_targets.main([*options, "--outdir", str(tmp_path / "targets")])
    error = capsys.readouterr().err
    assert f"{dump} has no phones.ctm in train" in error
    assert "--feature_weight" in error
    assert not (tmp_path / "targets" / "kmeans.npy").exists()


def test_times_of_phones_may_be_of_more_than_is_trained_on(captioned):
    directory = captioned / "dump" / "demo" / "es" / "train"
    ((utt, found),) = segments_of_split(directory, ["es-f00-01"])
    assert utt == "es-f00-01" and (found == NO_TARGET).all()
    assert [*segments_of_split(directory.parent / "none", [])] == []


@pytest.mark.parametrize(
    ("ctm", "message"),
    [
        (CTM.replace("0.0500", "9.0"), "line 4: es-f00-00 .* ends at 9.100 s, after"),
        (f"{SPOKEN} 1 0.0 0.1 AH0\n", "features are known, but AH0: spell phones"),
    ],
)
def test_wrong_phones_are_refused(tmp_path, ctm, message):
    (tmp_path / "phones.ctm").write_text(ctm, encoding="utf-8")
    (tmp_path / "wav.scp").write_text(f"{SPOKEN} wav.ark:17\n")
    (tmp_path / "utt2num_samples").write_text(f"{SPOKEN} 4000\n")
    with pytest.raises(UserError, match=message):
        list(segments_of_split(tmp_path, [SPOKEN]))
