"""Learning curves out of results.tsv, whole and damaged."""

import numpy as np
import pytest

from espnet2_cltm.errors import UserError
from espnet2_cltm.matrix.regime_input import read_curves
from tests.matrix.results_files import perf_rows, write_results

LANGS = ("ca", "es")
SEEDS = (42, 43, 44)


def value(kind, tested, donor, seed, n):
    trained = {"single": n, "double": 2 * n, "pair": n}[kind]
    score = 0.5 + 0.05 * np.log2(trained) + seed % 3 * 0.01 + (tested == "es") * 0.1
    return score - 0.2 * (tested != donor)


def rows(n, kinds=("single",), seeds=SEEDS, **more):
    made = perf_rows(
        LANGS,
        seeds,
        lambda kind, tested, donor, seed: value(kind, tested, donor, seed, n),
        budget=n,
        **more,
    )
    return [row for row in made if row[2] in kinds]


def write(tmp_path, *parts):
    return write_results(
        tmp_path / "results.tsv", [row for part in parts for row in part]
    )


def test_curves_are_read_from_single_runs_tested_on_their_own_language(tmp_path):
    curves = read_curves(write(tmp_path, rows(8), rows(2), rows(4)))
    assert (curves.languages, curves.sizes, curves.seeds) == (LANGS, (2, 4, 8), SEEDS)
    for i, lang in enumerate(LANGS):
        for k, n in enumerate((2, 4, 8)):
            expected = [value("single", lang, lang, seed, n) for seed in SEEDS]
            assert curves.perf[i, k] == pytest.approx(expected)
    assert curves.source.budget is None and curves.source.notes == ()


def test_an_experiment_for_a_matrix_has_a_curve_of_n_and_2n(tmp_path):
    path = write(tmp_path, rows(6, ("single", "double", "pair")))
    curves = read_curves(path)
    assert curves.sizes == (6, 12)
    expected = [value("double", "es", "es", seed, 6) for seed in SEEDS]
    assert curves.perf[1, 1] == pytest.approx(expected)


def test_a_double_of_n_fills_in_for_the_single_of_2n_and_yields_to_it(tmp_path):
    odd = [[*row[:8], "0.9", row[9]] for row in rows(8, seeds=(42,))]
    path = write(tmp_path, rows(4, ("single", "double")), odd)
    curves = read_curves(path)
    assert curves.sizes == (4, 8)
    assert curves.perf[0, 1] == pytest.approx(
        [0.9, *(value("double", "ca", "ca", seed, 4) for seed in (43, 44))]
    )
    assert curves.source.notes == (
        "Single runs of N = 8 and double runs of half of it differ, though they are "
        "the same training; the single runs are taken.",
    )


def test_an_undefined_score_is_left_out_and_named(tmp_path):
    first, *others = rows(4)
    first = [*first[:8], "nan", first[9]]
    curves = read_curves(write(tmp_path, [first], others, rows(8)))
    assert np.isnan(curves.perf).sum() == 1
    assert curves.source.notes[0].startswith("N = 4: macro_f1 is undefined (nan) in 1")


def test_a_metric_where_low_is_better_is_turned_round(tmp_path):
    eer = dict(task="speaker", metric="eer")
    path = write(tmp_path, rows(4, **eer), rows(8, **eer))
    curves = read_curves(path, metric="eer")
    expected = [1 - value("single", "ca", "ca", seed, 4) for seed in SEEDS]
    assert curves.perf[0, 0] == pytest.approx(expected)


def test_curves_of_one_task_do_not_mix_with_another(tmp_path):
    speaker = dict(task="speaker", metric="roc_auc")
    path = write(tmp_path, rows(2), rows(4), rows(32, **speaker), rows(64, **speaker))
    assert read_curves(path, "gender").sizes == (2, 4)
    assert read_curves(path, "speaker").sizes == (32, 64)
    with pytest.raises(
        UserError, match=r"several tasks \(gender speaker\): choose one"
    ):
        read_curves(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty: run stages 4 and 5 first"),
        ("a\tb\n1\t2\n", "has an unknown header"),
        ("model_id,type,lang_src,lang_tgt,seed,f1\n", "does not tell N"),
    ],
)
def test_a_file_that_holds_no_curves_is_one_sentence(tmp_path, text, message):
    path = tmp_path / "results.tsv"
    path.write_text(text)
    with pytest.raises(UserError, match=message):
        read_curves(path)


def with_value(row, column, text):
    return [*row[:column], text, *row[column + 1 :]]


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ([[]], "has a header and no line of results"),
        ([rows(4)], r"for N = 4 only: .*--regime_budgets '4 8 16'"),
        ([rows(4), rows(12)], "N = 4 12, but no language has N and 2N with the same"),
        (
            [rows(4, seeds=(42,)), rows(8, seeds=(43,))],
            "N = 4 8, but no language has N and 2N with the same seed",
        ),
        (
            [rows(4, ("pair",))],
            "no single or double run that is tested on the language",
        ),
        (
            [rows(4), [with_value(row, 8, "nan") for row in rows(8)]],
            "for N = 4 only",
        ),
        (
            [[with_value(row, 8, "nan") for row in rows(n)] for n in (4, 8)],
            r"no value of gender in macro_f1, all are undefined",
        ),
        ([rows(4), rows(8), rows(8)], "the same result twice"),
        ([[with_value(row, 8, "71.3") for row in rows(4)]], "not percentages"),
        ([[with_value(row, 2, "sngle") for row in rows(4)]], "kind is 'sngle'"),
        ([[with_value(row, 4, "0") for row in rows(4)]], "budget is 0; N is 1 or more"),
        ([[with_value(row, 4, "x") for row in rows(4)]], "budget is 'x', not a whole"),
        ([rows(4), rows(8, metric="accuracy")], "has no metric 'macro_f1'"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_results_that_give_no_gain_are_one_sentence(tmp_path, parts, message):
    with pytest.raises(UserError, match=message) as caught:
        read_curves(write(tmp_path, *parts))
    assert "\n" not in str(caught.value)


def test_an_unknown_task_or_metric_is_named_with_those_there_are(tmp_path):
    path = write(tmp_path, rows(4), rows(8))
    with pytest.raises(UserError, match="has no task 'asr'; it has gender"):
        read_curves(path, "asr")
    with pytest.raises(UserError, match="no metric 'eer' of task gender; it has macro"):
        read_curves(path, metric="eer")
