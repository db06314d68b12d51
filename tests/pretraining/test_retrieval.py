"""Recall at k: by hand, against chance, and of a model that was trained."""

import csv

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from espnet2_cltm.bin import retrieval as command
from espnet2_cltm.pretraining.retrieval import (
    KNOWN,
    NEW,
    PICTURES,
    Caption,
    chance,
    measure,
    recall,
    summary,
)


def test_recall_counts_queries_with_a_right_one_among_the_nearest():
    similarity = np.array([[3.0, 2.0, 1.0], [1.0, 2.0, 3.0], [1.0, 3.0, 2.0]])
    right = np.array([[1, 0, 0], [1, 1, 0], [0, 0, 1]], dtype=bool)
    assert recall(similarity, right, 1) == pytest.approx(1 / 3)
    assert recall(similarity, right, 2) == 1
    # Vectors that are all the same find nothing.
    assert recall(np.zeros((3, 3)), right, 1) == 0


@settings(max_examples=20)
@given(st.integers(1, 6), st.integers(1, 6), st.integers(0, 1000))
def test_chance_is_what_random_orders_find(n_right, n_wrong, seed):
    random = np.random.default_rng(seed)
    n_candidates, trials = n_right + n_wrong, 3000
    right = np.zeros((trials, n_candidates), dtype=bool)
    right[:, :n_right] = True
    for rank in (1, 5, 10):
        wanted = recall(random.random(right.shape), right, rank)
        found = chance(np.array([n_right]), n_candidates, rank)
        assert found == pytest.approx(wanted, abs=0.05)


def caption(utt, lang, picture):
    return Caption(utt, lang, "a.ark:5", 16000, picture)


def test_known_and_new_pictures_and_languages_are_asked_apart():
    axes = np.eye(4)
    vectors_of = {"dog": axes[0], "cat": axes[1], "bus": axes[2]}
    captions = [
        caption("1", "es", "dog"),
        caption("2", "es", "cat"),
        caption("3", "es", "dog"),
        caption("4", "tr", "cat"),
        caption("5", "tr", "bus"),
    ]
    # Of Spanish all are right, of Turkish the cat is taken for a dog.
    vectors = np.stack([axes[n] for n in (0, 1, 0, 0, 2)]) + 1e-3
    rows = measure(captions, vectors, vectors_of, frozenset({"dog", "cat"}))
    table = {(r["shown"], r["queries"], r["candidates"]): r for r in rows}
    assert table.keys() == {
        (KNOWN, "es", PICTURES),
        (KNOWN, PICTURES, "es"),
        (KNOWN, "tr", PICTURES),
        (KNOWN, PICTURES, "tr"),
        (KNOWN, "es", "es"),  # the dog has two voices
        (KNOWN, "es", "tr"),
        (KNOWN, "tr", "es"),
        (NEW, "tr", PICTURES),
        (NEW, PICTURES, "tr"),
    }
    es = table[KNOWN, "es", PICTURES]
    assert (es["n_queries"], es["n_candidates"], es["recall@1"]) == (3, 2, 1)
    assert es["chance@1"] == 0.5 and es["chance@5"] == 1
    assert table[KNOWN, "tr", PICTURES]["recall@1"] == 0
    within = table[KNOWN, "es", "es"]
    assert (within["n_queries"], within["n_candidates"]) == (2, 2)
    assert within["recall@1"] == 1 and within["chance@1"] == 0.5
    # Both languages' cats: the Turkish one lies where dogs do.
    assert table[KNOWN, "tr", "es"]["recall@1"] == 0
    assert table[KNOWN, PICTURES, "es"]["chance@1"] == pytest.approx(
        (1 / 3 + 2 / 3) / 2
    )
    text = summary(rows)
    assert "known pictures, speech to pictures: R@10 100.0%" in text
    assert "new pictures, pictures to speech" in text


def test_a_grounded_training_is_measured(captioned, grounded, tmp_path, capsys):
    exp, _ = grounded
    options = [
        *("--train_config", str(exp / "config.yaml")),
        *("--model_file", str(exp / "latest.pth")),
        *("--dump", str(captioned / "dump" / "demo"), "--splits", "train dev"),
        *("--outfile", str(tmp_path / "retrieval.tsv")),
    ]
    command.main(options)
    assert "known pictures, speech to pictures: R@10" in capsys.readouterr().out
    first = (tmp_path / "retrieval.tsv").read_bytes()
    rows = list(csv.DictReader(first.decode().splitlines(), delimiter="\t"))
    asked = {(row["shown"], row["queries"], row["candidates"]) for row in rows}
    assert {(KNOWN, "es", "tr"), (KNOWN, "tr", PICTURES)} <= asked
    for row in rows:
        assert 0 <= float(row["recall@1"]) <= float(row["recall@5"]) <= 1
    command.main(options)
    assert (tmp_path / "retrieval.tsv").read_bytes() == first
    capsys.readouterr()
    # Neither is test, which has no picture, nor a training without pictures.
    for change, message in (
        (["--splits", "test"], "has no caption of a picture in test"),
        (["--train_config", str(tmp_path / "plain.yaml")], "training without pictures"),
    ):
        config = yaml.safe_load((exp / "config.yaml").read_text())
        config["model_conf"]["grounding_weight"] = 0.0
        (tmp_path / "plain.yaml").write_text(yaml.safe_dump(config))
        with pytest.raises(SystemExit):
            command.main([*options, *change])
        assert message in capsys.readouterr().err
