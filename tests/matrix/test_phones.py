"""Inventories of phones and their distances: by hand, and by what espeak-ng says."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from espnet2_cltm.articulation import read_features
from espnet2_cltm.corpus.demo_drawing import names_of
from espnet2_cltm.corpus.espeak import Synthesiser
from espnet2_cltm.errors import UserError
from espnet2_cltm.matrix.matrix_files import PUBLISHED, read_published
from espnet2_cltm.matrix.phones import (
    PHONES,
    articulatory_distances,
    inventory,
    inventory_distance,
    read_phones,
)

ROOT = Path(__file__).parents[2]


def load_tool():
    path = ROOT / "tools" / "make_phones.py"
    spec = importlib.util.spec_from_file_location("make_phones", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_voicing_is_one_feature_of_22():
    assert inventory_distance(["p"], ["b"]) == pytest.approx(1 / 22)
    # The nearest of each, and of both directions the larger mean.
    assert inventory_distance(["p", "b"], ["b"]) == pytest.approx(1 / 44)
    assert inventory_distance(["a", "p"], ["a", "p"]) == 0


def test_rare_phones_are_left_out():
    assert inventory({"a": 1500, "p": 500, "θ": 1}) == ("a", "p")


def test_every_shipped_segment_has_features():
    features = read_features()
    used = {segment for counts in read_phones().values() for segment in counts}
    assert used == set(features)
    assert {len(values) for values in features.values()} == {22}
    assert read_phones()["zh-CN"] == read_phones()["cmn"]


def test_distances_of_published_languages():
    codes = read_published("gender_mhubert").rows
    found = articulatory_distances(codes)
    known = [code in read_phones() for code in codes]
    assert np.isfinite(found).sum() == sum(known) ** 2
    np.testing.assert_array_equal(found, found.T)
    assert np.nanmax(found) <= 1 and (np.diagonal(found)[known] == 0).all()
    place = codes.index
    assert found[place("es"), place("ca")] < found[place("es"), place("zh-CN")]
    assert len(PUBLISHED) == 6


def test_languages_without_phones_are_named():
    found = articulatory_distances(["es", "ca", "dv"])
    assert np.isnan(found[2]).all() and np.isfinite(found[0, 1])
    with pytest.raises(UserError, match=r"The phones of dv xx are not known"):
        articulatory_distances(["es", "dv", "xx"])


def test_attribution_of_the_tables():
    text = (PHONES.parent / "README.md").read_text(encoding="utf-8")
    for needed in ("PanPhon", "MIT", "Mortensen", "make_phones", "espeak-ng", "CLDR"):
        assert needed in text


def test_halves_of_a_languages_words_have_nearer_inventories_than_others(
    tmp_path, monkeypatch
):
    """What the tool does with all words, done with each half of them."""
    monkeypatch.chdir(tmp_path)
    tool = load_tool()
    speaker = Synthesiser(tmp_path)
    inventories = {}
    for code in ("ar", "cmn", "de", "es", "fi", "ka", "sw", "tr"):
        names = names_of(code)[:1000]
        for half in (0, 1):
            monkeypatch.setattr(tool, "names_of", lambda _, n=names, h=half: n[h::2])
            counts = tool.count_phones(speaker, code, read_features())
            inventories[code, half] = inventory(counts)
    for code, half in inventories:
        own = inventory_distance(inventories[code, 0], inventories[code, 1])
        for other, other_half in inventories:
            if other != code:
                pair = (inventories[code, half], inventories[other, other_half])
                assert own < inventory_distance(*pair), (code, other)
