import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from espnet2_cltm.matrix.decomposition import decompose
from espnet2_cltm.matrix.languages import describe, language_distances, read_languages
from espnet2_cltm.matrix.matrix_files import read_published
from espnet2_cltm.matrix.origin import find_origin, origin_sentences
from tests.matrix.test_decomposition import independent_noise

ROOT = Path(__file__).parents[2]
KNOWN = read_languages(ROOT / "conf" / "languages.yaml")
FEW = {"n_permutations": 199, "shuffles": 19}


def origin_of(cells, codes, errors=None):
    languages = list(describe(codes, KNOWN).values())
    noise = None if errors is None else independent_noise(errors)
    return find_origin(cells, noise, languages, language_distances(codes), **FEW)


@pytest.fixture(scope="module")
def published():
    matrix = read_published("asr_mhubert")
    return matrix, origin_of(matrix.values, matrix.rows)


def test_origin_has_all_tests_and_shares_that_sum_to_one(published):
    _, origin = published
    assert len(origin.relatedness) == 14  # seven relations, two statistics
    parts = origin.decomposition
    shares = parts.target_share + parts.donor_share + parts.pair_share
    assert shares == pytest.approx(1.0)
    assert parts.noise is None and parts.noise_share is None


def test_mhubert_asr_clusters_by_how_languages_of_little_data_transfer(published):
    matrix, origin = published
    assert sorted(origin.clusters.order) == sorted(matrix.rows)
    assert {frozenset(group) for group in origin.clusters.members} == {
        frozenset({"mhr", "ug", "be"}),
        frozenset(matrix.rows) - {"mhr", "ug", "be"},
    }


def test_origin_is_ready_for_json(published):
    _, origin = published
    text = json.dumps(asdict(origin), allow_nan=False)
    assert json.loads(text)["relatedness"][0]["relation"] == "same_family"


def test_noise_is_taken_out_where_standard_errors_are_known():
    matrix = read_published("asr_mhubert")
    errors = np.full(matrix.values.shape, 0.1)
    found = origin_of(matrix.values, matrix.rows, errors)
    expected = decompose(matrix.values, independent_noise(errors))
    assert found.decomposition.pair == expected.pair
    assert found.decomposition.noise == pytest.approx(0.01)
    assert 0 < found.decomposition.noise_share < 1
    assert "noise taken out" in origin_sentences(found)[0]


def test_lines_tell_shares_tests_and_clusters(published):
    _, origin = published
    text = "\n".join(origin_sentences(origin))
    assert "Where transfer comes from: targets " in text
    assert "noise counting as pairs (no standard errors)" in text
    assert "clusters of languages by transfer" in text
    assert "adjusted Rand index" in text
    assert all(len(line) < 500 for line in origin_sentences(origin))


@pytest.mark.parametrize("n", [1, 2, 3])
def test_few_languages_give_sentences_with_reasons(n):
    cells = np.arange(n * n, dtype=float).reshape(n, n) ** 2
    found = origin_of(cells, ("es", "tr", "sw")[:n])
    json.dumps(asdict(found), allow_nan=False)
    assert "No clusters of languages: 0 of" in origin_sentences(found)[-1]
    if n < 3:
        assert "too few cells" in origin_sentences(found)[0]
        assert "Relatedness: too few languages to tell" in origin_sentences(found)[1]


def test_matrix_without_a_cell_gives_sentences_with_reasons():
    found = origin_of(np.full((5, 5), np.nan), ("es", "tr", "sw", "xx", "ca"))
    json.dumps(asdict(found), allow_nan=False)
    assert found.decomposition is None
    assert found.clusters.order == ("es", "tr", "sw", "xx", "ca")
    assert all(test.reason for test in found.relatedness)


def test_same_seed_gives_the_same_origin(published):
    matrix, origin = published
    assert origin_of(matrix.values, matrix.rows) == origin
