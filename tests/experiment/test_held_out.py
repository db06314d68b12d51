"""Scores without groups of test speakers."""

import math

import numpy as np
import pytest

from espnet2_cltm.corpus.utterance_list import (
    ListedUtterance,
    read_utterance_list,
    write_utterance_list,
)
from espnet2_cltm.experiment.drawn import MOST_GROUPS, by_speakers
from espnet2_cltm.label.inference import LabelPrediction, write_predictions
from espnet2_cltm.label.testing import score as score_labels
from espnet2_cltm.registry import find_task
from espnet2_cltm.speaker.testing import score as score_trials
from espnet2_cltm.speaker.trials import TrialList
from espnet2_cltm.task import TestSet


def utterances(n_speakers: int, of_one: int = 2) -> list[ListedUtterance]:
    """Utterances of women and men in turn."""
    return [
        ListedUtterance(f"s{k:02d}-{take}", "fm"[k % 2], 16_000, "a.ark:1", f"s{k:02d}")
        for k in range(n_speakers)
        for take in range(of_one)
    ]


@pytest.mark.parametrize(("n_speakers", "n_groups"), [(3, 0), (4, 4), (60, 25)])
def test_speakers_are_dealt_out_to_groups_that_hold_all_utterances(
    n_speakers, n_groups
):
    listed = utterances(n_speakers)
    groups = by_speakers(TestSet("es", listed)).groups
    assert len(groups) == n_groups <= MOST_GROUPS
    if groups:
        assert sorted(utt for group in groups for utt in group) == sorted(
            u.utt for u in listed
        )
        sizes = {len(group) for group in groups}
        assert max(sizes) - min(sizes) <= 2  # one speaker


def test_lists_of_an_older_version_tell_no_speakers(tmp_path):
    path = tmp_path / "test.tsv"
    write_utterance_list(path, utterances(4))
    assert read_utterance_list(path) == utterances(4)
    lines = path.read_text().splitlines()
    path.write_text("".join(line.rsplit("\t", 1)[0] + "\n" for line in lines))
    assert not by_speakers(TestSet("es", read_utterance_list(path))).groups


def test_labels_are_scored_without_each_speaker(tmp_path):
    listed = utterances(4)
    wrong = {"s00-0", "s01-1"}
    predictions = tmp_path / "es.tsv"
    sure = {"f": 0.5, "m": 0.5}
    other = {"f": "m", "m": "f"}
    write_predictions(
        predictions,
        [
            LabelPrediction(u.utt, other[u.label] if u.utt in wrong else u.label, sure)
            for u in listed
        ],
    )
    options = {"classes": ["f", "m"]}
    spec = find_task("gender")
    scores = score_labels(
        spec, options, by_speakers(TestSet("es", listed)), predictions
    )
    assert scores.n_test == 8
    assert scores.held_out.keys() == scores.metrics.keys()
    assert scores.metrics["accuracy"] == 0.75
    assert scores.held_out["accuracy"] == pytest.approx([5 / 6, 5 / 6, 4 / 6, 4 / 6])
    alone = TestSet("es", listed)
    assert not score_labels(spec, options, alone, predictions).held_out


def test_trials_are_scored_without_all_of_a_speaker_s(tmp_path):
    listed = utterances(4)
    pairs = [
        (a.utt, b.utt, a.speaker == b.speaker)
        for k, a in enumerate(listed)
        for b in listed[:k]
    ]
    enrol, test, is_target = zip(*pairs, strict=True)
    trials = TrialList.from_pairs(enrol, test, is_target)
    drawn = np.random.default_rng(0).normal(size=len(pairs)).astype(np.float32)
    np.save(tmp_path / "es.npy", drawn)
    test_set = by_speakers(TestSet("es", listed, trials))
    spec = find_task("speaker")
    scores = score_trials(spec, {}, test_set, tmp_path / "es.npy")
    kept = np.array([not {a[:3], b[:3]} & {"s02"} for a, b, _ in pairs])
    expected = [
        drawn[kept & np.array(is_target)][:, None]
        > drawn[kept & ~np.array(is_target)][None, :]
    ]
    assert scores.held_out["roc_auc"][2] == pytest.approx(np.mean(expected))
    assert math.isnan(scores.held_out["min_dcf_p0.01"][0])
