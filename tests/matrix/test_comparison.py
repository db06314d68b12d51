from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import pearsonr, spearmanr

from espnet2_cltm.errors import UserError
from espnet2_cltm.matrix.comparison import Comparison, compare, read_compared
from espnet2_cltm.matrix.matrix_files import LabelledMatrix, write_matrix

CODES = tuple("abcdefgh")


def write(path: Path, values: np.ndarray, codes: tuple[str, ...] = CODES) -> str:
    write_matrix(path, "target", LabelledMatrix(codes, codes, values))
    return str(path)


def draw(seed: int, n: int = 8) -> np.ndarray:
    values = np.random.default_rng(seed).normal(0.5, 0.5, (n, n))
    np.fill_diagonal(values, 1.0)
    return values


def text(number: float) -> str:
    return "" if np.isnan(number) else repr(float(number))


def write_directory(
    directory: Path,
    raw: np.ndarray,
    identified: np.ndarray,
    low: np.ndarray,
    high: np.ndarray,
    kind: np.ndarray | None = None,
) -> str:
    """What stage 6 leaves, as far as a comparison reads it."""
    codes = CODES[: len(raw)]
    write(directory / "cltm.csv", np.where(identified, raw, np.nan), codes)
    kind = np.full(raw.shape, "bounded") if kind is None else kind
    header = ("target", "donor", "cltm", "fieller_kind", "fieller_low", "fieller_high")
    lines = ["\t".join(header)]
    for i, target in enumerate(codes):
        for j, donor in enumerate(codes):
            ends = (text(low[i, j]), text(high[i, j]))
            fields = (target, donor, text(raw[i, j]), kind[i, j], *ends)
            lines.append("\t".join(fields))
    (directory / "cells.tsv").write_text("\n".join(lines) + "\n")
    return str(directory)


def compared(a: str, b: str, permutations: int = 199) -> Comparison:
    return compare(read_compared(a), read_compared(b), permutations, seed=1)


def test_numbers_follow_their_definitions_over_the_cells_both_have(tmp_path):
    a, b = draw(1), draw(2)
    a[0, 3] = b[5, 1] = np.nan
    found = compared(write(tmp_path / "a.csv", a), write(tmp_path / "b.csv", b))
    both = np.isfinite(a) & np.isfinite(b) & ~np.eye(8, dtype=bool)
    x, y = a[both], b[both]
    numbers = found.agreement
    assert numbers.n_cells == len(x) == 54
    assert numbers.pearson == pytest.approx(pearsonr(x, y)[0])
    assert numbers.spearman == pytest.approx(spearmanr(x, y)[0])
    assert numbers.rmse == pytest.approx(np.linalg.norm(x - y) / np.sqrt(54))
    assert numbers.mean_difference == pytest.approx(y.mean() - x.mean())
    assert numbers.sign_agreement == pytest.approx(np.mean(x * y > 0))
    p, q = np.mean(x > 0), np.mean(y > 0)
    assert numbers.sign_agreement_expected == pytest.approx(p * q + (1 - p) * (1 - q))
    assert found.agreement_of_all is None
    assert found.interval_check is None


def test_order_of_languages_and_languages_of_one_only_do_not_matter(tmp_path):
    a, b = draw(1), draw(2)
    order = np.array([6, 2, 0, 7, 4, 1, 5, 3])
    shuffled = b[np.ix_(order, order)]
    codes = tuple(CODES[i] for i in order)
    wider = np.full((9, 9), 0.5)
    wider[:8, :8] = a
    first = compared(write(tmp_path / "a.csv", a), write(tmp_path / "b.csv", b))
    second = compared(
        write(tmp_path / "wide.csv", wider, (*CODES, "zz")),
        write(tmp_path / "shuffled.csv", shuffled, codes),
    )
    assert first.agreement == second.agreement
    pd.testing.assert_frame_equal(first.cells, second.cells)


def test_a_matrix_agrees_with_itself():
    found = compared("speaker_siamese", "speaker_siamese", 99)
    assert found.languages == tuple(sorted(found.languages))
    numbers = found.agreement
    assert numbers.n_cells == 44 * 43
    assert numbers.pearson == pytest.approx(1)
    assert numbers.spearman == pytest.approx(1)
    assert numbers.rmse == 0
    assert numbers.sign_agreement == 1
    assert numbers.pearson_mantel_p == numbers.spearman_mantel_p == 1 / 100


def test_a_matrix_and_its_transpose_differ_where_transfer_is_one_sided(tmp_path):
    a = draw(1)
    found = compared(write(tmp_path / "a.csv", a), write(tmp_path / "b.csv", a.T))
    assert found.agreement.pearson < 0.9
    largest = abs(found.differences["difference"].iloc[0])
    assert largest == pytest.approx(np.abs(a - a.T).max())


def test_largest_differences_come_first_and_name_the_cell(tmp_path):
    a = draw(1)
    b = a.copy()
    b[2, 5] -= 0.7
    b[4, 1] += 0.3
    found = compared(write(tmp_path / "a.csv", a), write(tmp_path / "b.csv", b))
    first, second, third = found.differences[:3].itertuples()
    assert (first.target, first.donor) == ("c", "f")
    assert first.difference == pytest.approx(-0.7)
    assert (second.target, second.donor) == ("e", "b")
    assert third.difference == 0


def test_targets_not_identified_are_left_out_and_both_versions_are_given(tmp_path):
    raw, b = draw(1), draw(2)
    raw[3] = 50.0
    raw[3, 3] = 1.0
    identified = np.ones((8, 8), dtype=bool)
    identified[3] = False
    a = write_directory(tmp_path / "a", raw, identified, raw - 0.3, raw + 0.3)
    found = compared(a, write(tmp_path / "b.csv", b))
    assert found.agreement.n_cells == 49
    assert found.agreement_of_all.n_cells == 56
    assert found.agreement_of_all.rmse > 10 > found.agreement.rmse
    of_d = found.cells["target"] == "d"
    assert found.cells["identified"].tolist() == (~of_d).tolist()
    assert "d" not in set(found.differences["target"])
    assert found.interval_check.n_cells == 49


def test_intervals_are_fieller_s_and_unbounded_ones_left_out(tmp_path):
    raw = draw(1)
    low, high = raw - 0.2, raw + 0.4
    kind = np.full((8, 8), "bounded", dtype=object)
    kind[0, 1:5] = "outside", "half-line", "whole line", ""
    low[0, 1], high[0, 1] = -3.0, 3.0  # the set is all but what lies between
    low[0, 2] = low[0, 3] = -np.inf
    high[0, 3] = np.inf
    low[0, 4] = high[0, 4] = np.nan
    everything = np.ones((8, 8), dtype=bool)
    a = write_directory(tmp_path / "a", raw, everything, low, high, kind)
    read = read_compared(a)
    assert read.intervals.startswith("Fieller")
    assert np.isnan(read.low[0, 1:5]).all() and np.isnan(read.high[0, 1:5]).all()
    np.testing.assert_array_equal(read.high[1:], high[1:])
    assert compared(a, a).interval_check.n_cells == 52


def test_a_repetition_lies_inside_the_intervals_and_an_unrelated_matrix_by_chance(
    tmp_path,
):
    generator = np.random.default_rng(5)
    truth = draw(1)
    everything = np.ones((8, 8), dtype=bool)
    raw = truth + generator.normal(0, 0.1, truth.shape)
    a = write_directory(tmp_path / "a", raw, everything, raw - 0.28, raw + 0.28)
    again = truth + generator.normal(0, 0.1, truth.shape)
    same = compared(a, write(tmp_path / "same.csv", again)).interval_check
    other = compared(a, write(tmp_path / "other.csv", draw(9))).interval_check
    assert same.share_inside > 0.85
    assert same.p_value == 1 / 200
    assert abs(other.share_inside - other.share_by_chance) < 0.12
    assert other.p_value > 0.05
    # Chance: about the width of the intervals against the spread of the values.
    assert 0.2 < other.share_by_chance < 0.6


def test_the_same_seed_gives_the_same_and_three_languages_are_enumerated(tmp_path):
    a = write(tmp_path / "a.csv", draw(1))
    b = write(tmp_path / "b.csv", draw(2))
    first, again = compared(a, b), compared(a, b)
    assert (first.agreement, first.exact) == (again.agreement, False)
    few = compared(write(tmp_path / "c.csv", draw(3, 3), CODES[:3]), b)
    assert few.exact
    assert few.permutations == 6


@pytest.mark.parametrize(
    ("codes", "said"),
    [
        (("x", "y", "z"), r"have 0 languages in common; a comparison needs"),
        (("a", "b", "z"), r"have 2 languages in common \(a b\); a comparison"),
    ],
)
def test_too_few_languages_in_common_is_told(tmp_path, codes, said):
    a = write(tmp_path / "a.csv", draw(1))
    b = write(tmp_path / "b.csv", draw(2, 3), codes)
    with pytest.raises(UserError, match=said):
        compared(a, b)


def test_too_few_cells_in_common_is_told(tmp_path):
    b = np.full((8, 8), np.nan)
    b[0, 1] = b[2, 1] = 0.5
    with pytest.raises(UserError, match=r"have 2 identified cells off the diag"):
        compared(write(tmp_path / "a.csv", draw(1)), write(tmp_path / "b.csv", b))


def test_matrix_that_does_not_vary_has_no_correlation(tmp_path):
    flat = write(tmp_path / "flat.csv", np.ones((8, 8)))
    found = compared(flat, write(tmp_path / "b.csv", draw(2))).agreement
    assert found.pearson is found.spearman is found.pearson_mantel_p is None
    assert found.rmse > 0


@pytest.mark.parametrize(
    ("make", "said"),
    [
        ("nothing", "published are gender_mhubert"),
        ("empty directory", "has no cltm.csv: give a directory that stage 6 wrote"),
        ("no column", "cells.tsv has no column fieller_low: build the matrix again"),
        ("another matrix", "do not belong together (a from b is 0.123 in one and"),
        ("a word", "cells.tsv, line 3: cltm is 'x', not a number"),
        ("twice", "the same cell twice (a b)"),
    ],
)
def test_what_cannot_be_compared_is_told(tmp_path, make, said):
    directory = tmp_path / "a"
    cells = directory / "cells.tsv"
    if make == "empty directory":
        directory.mkdir()
    elif make != "nothing":
        everything = np.ones((8, 8), dtype=bool)
        raw = draw(1)
        write_directory(directory, raw, everything, raw - 1, raw + 1)
        lines = cells.read_text().splitlines()
        fields = lines[2].split("\t")
        if make == "no column":
            lines[0] = lines[0].replace("fieller_low", "low")
        elif make == "another matrix":
            fields[2] = "0.123"
        elif make == "a word":
            fields[2] = "x"
        else:
            lines.append(lines[2])
        lines[2] = "\t".join(fields)
        cells.write_text("\n".join(lines) + "\n")
    with pytest.raises(UserError) as caught:
        read_compared(str(directory))
    assert said in str(caught.value)
