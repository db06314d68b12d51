"""Learning curves out of results.tsv, whole and damaged."""

import statistics

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from espnet2_cltm.errors import UserError
from espnet2_cltm.matrix.regime import (
    LearningCurves,
    RegimeSettings,
    find_regime,
    gain_indices,
    limiting_index,
    read_curves,
    smoothed_curve,
)
from espnet2_cltm.matrix.regime_files import (
    regime_advice,
    regime_conclusion,
    regime_notes,
)
from espnet2_cltm.matrix.scores import ResultsSource
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
    with pytest.raises(UserError, match=r"\(gender speaker\): choose one .*--task"):
        read_curves(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty: "),
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
        ([[]], "has a header and no line after it"),
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
        ([[with_value(row, 8, "71.3") for row in rows(4)]], "not a fraction"),
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


SOURCE = ResultsSource("results.tsv", "0" * 64, "gender", "macro_f1")


def curves(perf, sizes=(4, 8, 16, 32)) -> LearningCurves:
    perf = np.asarray(perf, dtype=float)
    n, _, s = perf.shape
    languages = tuple(f"l{k:02d}" for k in range(n))
    return LearningCurves(SOURCE, languages, sizes, tuple(range(42, 42 + s)), perf)


def rising(medians, sizes, n_languages=3, seeds=4):
    """Curves whose gain from N to 2N gives the medians wanted.

    Perf is below ln 2 and equal in all seeds: the slope is the smallest index.
    """
    perf = np.full((n_languages, len(sizes), seeds), 0.3)
    for k, wanted in enumerate(medians):
        perf[:, k + 1] = perf[:, k] + 0.05 * np.log(2) * wanted
    return curves(perf, sizes)


def test_indices_are_the_formulas_written_out():
    rng = np.random.default_rng(0)
    made = curves(np.sort(rng.uniform(0.4, 0.9, (3, 4, 5)), axis=1))
    settings = RegimeSettings(tau=0.04, z=1.5, epsilon=0.03)
    indices = gain_indices(made, settings)
    assert indices.budgets == (4, 8, 16)
    for i in range(3):
        for k in range(3):
            pairs = zip(made.perf[i, k], made.perf[i, k + 1], strict=True)
            d = [double - single for single, double in pairs]
            gain = statistics.mean(d)
            error = statistics.stdev(d) / 5**0.5
            expected = (
                gain / (0.04 * statistics.mean(made.perf[i, k])),
                gain / (1.5 * error),
                gain / 0.6931471805599453 / 0.03,
            )
            found = (
                indices.relative_gain[i, k],
                indices.noise[i, k],
                indices.slope[i, k],
            )
            assert found == pytest.approx(expected)
            assert indices.ci_min[i, k] == pytest.approx(min(expected))


def test_the_error_of_the_gain_is_that_of_paired_differences():
    # Seeds differ by 0.1, gains by nothing but 0.001: unpaired, all would be noise.
    seeds = np.array([0.5, 0.6, 0.7, 0.8])
    perf = np.stack([seeds, seeds + 0.1 + np.array([0.001, -0.001, 0.001, -0.001])])
    indices = gain_indices(curves(perf[None], (4, 8)), RegimeSettings())
    assert indices.gain_se[0, 0] == pytest.approx(0.001 * (4 / 3) ** 0.5 / 2)


def test_a_gain_that_is_not_positive_has_ci_min_zero():
    indices = gain_indices(
        curves([[[0.6, 0.6], [0.5, 0.52]], [[0.6, 0.7], [0.6, 0.7]]], (4, 8)),
        RegimeSettings(),
    )
    assert indices.ci_min[:, 0].tolist() == [0, 0]
    assert indices.noise[1, 0] == 0  # 0/0, no gain
    assert limiting_index(indices, 1.0)[:, 0].tolist() == ["no_gain", "no_gain"]


def test_seeds_count_only_where_both_sizes_have_them():
    nan = np.nan
    perf = [[[0.5, 0.6, nan], [0.7, nan, 0.9]], [[nan] * 3, [0.5] * 3]]
    indices = gain_indices(curves(perf, (4, 8)), RegimeSettings())
    assert indices.n_seeds[:, 0].tolist() == [1, 0]
    assert indices.gain[0, 0] == pytest.approx(0.2)
    assert np.isnan(indices.ci_min[1, 0])


def test_one_seed_leaves_out_the_noise_index_and_says_so():
    made = curves([[[0.5], [0.6]], [[0.5], [0.55]]], (4, 8))
    regime = find_regime(made, RegimeSettings())
    assert np.isnan(regime.indices.noise).all()
    assert regime.indices.ci_min[0, 0] == pytest.approx(0.1 / np.log(2) / 0.05)
    (note,) = regime_notes(made, regime)
    assert note.startswith("One seed gives no standard error: the noise index")


def test_a_score_of_zero_or_below_makes_any_gain_large():
    perf = [[[0.0, 0.0], [0.2, 0.3]], [[-0.2, -0.2], [0.2, 0.3]]]
    indices = gain_indices(curves(perf, (4, 8)), RegimeSettings())
    assert np.isinf(indices.relative_gain).all()
    assert (indices.ci_min > 1).all()


def test_the_regime_is_where_the_median_reaches_the_threshold():
    made = rising([0.6, 1.4, 2.5, 1.2, 0.8], (2, 4, 8, 16, 32, 64))
    regime = find_regime(made, RegimeSettings())
    assert regime.median == pytest.approx([0.6, 1.4, 2.5, 1.2, 0.8])
    assert regime.is_in_regime.tolist() == [False, True, True, True, False]
    assert regime.suggested == regime.best == 8
    ((low, high),) = regime.spans
    assert 2 < low < 4 and 16 < high < 32
    assert regime_conclusion(made, regime) == (
        "Suggested: N = 8 utterances per class (median of CI_min 2.50; 3 of 3 "
        "languages reach 1). In the dynamic regime: N = 4 8 16."
    )


def test_the_median_over_languages_resists_one_that_is_far_off():
    made = rising([1.4, 1.2], (4, 8, 16), n_languages=5)
    made.perf[0, 1] = 0.9
    regime = find_regime(made, RegimeSettings())
    assert regime.median[0] == pytest.approx(1.4)
    assert regime.median[1] == pytest.approx(1.2)
    assert regime.n_reaching.tolist() == [5, 4]


@pytest.mark.parametrize(
    ("smoothing", "suggested"), [(0.0, 10), (25.0, 13)], ids=["raw", "smoothed"]
)
def test_smoothing_prefers_a_broad_maximum_to_a_narrow_one(smoothing, suggested):
    medians = {9: 1.1, 10: 2.1, 11: 1.0, 12: 1.9, 13: 2.0, 14: 1.9, 15: 1.8}
    sizes = tuple(sorted([*medians, *(2 * n for n in medians)]))
    perf = np.full((2, len(sizes), 2), 0.3)
    for n, median in medians.items():
        perf[:, sizes.index(2 * n)] += 0.05 * np.log(2) * median
    regime = find_regime(curves(perf, sizes), RegimeSettings(smoothing=smoothing))
    assert regime.median == pytest.approx(list(medians.values()))
    assert (regime.suggested, regime.best) == (suggested, 10)


def test_the_smoothed_curve_is_a_normalised_gaussian_over_log_n():
    n, values = np.array([4, 16]), np.array([1.0, 3.0])
    curve_n, curve = smoothed_curve(n, values, 5.0)
    assert len(curve) == 200
    assert np.log(curve_n[100]) == pytest.approx(
        np.log(4) + 100 / 199 * np.log(4), rel=1e-12
    )
    line = np.linspace(1, 3, 200)
    weights = np.exp(-0.5 * (np.arange(-20, 21) / 5) ** 2)
    weights /= weights.sum()
    for k in (40, 100, 150):
        assert curve[k] == pytest.approx((weights * line[k - 20 : k + 21]).sum())


@settings(deadline=None)
@given(
    st.lists(st.floats(min_value=0, max_value=9), min_size=1, max_size=12),
    st.floats(min_value=0, max_value=60),
)
def test_the_smoothed_curve_stays_within_the_medians(medians, smoothing):
    n = 2 ** np.arange(len(medians))
    curve_n, curve = smoothed_curve(n, np.array(medians), smoothing)
    assert min(medians) - 1e-9 <= curve.min()
    assert curve.max() <= max(medians) + 1e-9
    assert (np.diff(curve_n) > 0).all()


def test_an_n_that_stands_out_is_dropped_from_a_large_grid_only():
    sizes = tuple(range(4, 13)) + tuple(range(14, 25, 2))
    doubles = [n for n in sizes if 2 * n in sizes]
    assert len(doubles) == 9
    perf = np.empty((3, len(sizes), 3))
    for k, n in enumerate(sizes):
        perf[:, k] = 0.3 * n**0.09
    perf[:, sizes.index(24)] = 0.9
    large = curves(perf, sizes)
    regime = find_regime(large, RegimeSettings())
    assert np.flatnonzero(regime.is_outlier).tolist() == [doubles.index(12)]
    assert regime.suggested != 12 and not regime.is_in_regime[doubles.index(12)]
    assert "N = 12: the median of CI_min lies beyond" in regime_notes(large, regime)[-1]
    kept = find_regime(large, RegimeSettings(drop_outliers=False))
    assert kept.suggested == 12

    small = [k for k, n in enumerate(sizes) if n in (4, 6, 8, 12, 24)]
    regime = find_regime(curves(perf[:, small], (4, 6, 8, 12, 24)), RegimeSettings())
    assert regime.suggested == 12 and not regime.is_outlier.any()


def test_no_n_in_the_regime_is_said_with_the_index_that_is_in_the_way():
    made = rising([0.5, 0.8, 0.3], (4, 8, 16, 32))
    regime = find_regime(made, RegimeSettings())
    assert regime.suggested is None and regime.spans == ()
    assert regime_conclusion(made, regime) == (
        "No N of the grid is in the dynamic regime: the median of CI_min is highest at "
        "N = 8 (0.80), below 1."
    )
    first, second = regime_advice(made, regime)
    assert first == "At N = 8, of 3 languages this keeps CI_min below 1: slope in 3."
    assert second.startswith("The gain is too small to be divided by")


def test_a_gain_lost_in_noise_asks_for_so_many_more_seeds():
    d = 0.1
    # SE = 0.2 / 2, so the index is 0.1 / (1.3 * 0.1) = 1 / 1.3: 4 * 1.69 = 6.8 seeds.
    offsets = 0.2 * np.array([1, -1, 1, -1]) * (3 / 4) ** 0.5
    perf = np.stack([np.full(4, 0.5), 0.5 + d + offsets])
    made = curves(np.stack([perf, perf]), (4, 8))
    regime = find_regime(made, RegimeSettings())
    assert regime.indices.noise[:, 0] == pytest.approx(1 / 1.3)
    assert "take more seeds (about 7 in place of 4)" in regime_advice(made, regime)[1]


def test_flat_curves_are_no_gain():
    made = curves(np.full((2, 3, 3), 0.7), (4, 8, 16))
    regime = find_regime(made, RegimeSettings())
    assert regime_advice(made, regime)[0].endswith("no gain in 2.")
    assert regime_advice(made, regime)[1].startswith("Twice the data does not help")


@pytest.mark.parametrize(
    ("medians", "sentence"),
    [
        ([2.0, 1.5, 1.2], "N = 4 is the smallest of the grid: smaller N may be better"),
        ([1.2, 1.5, 2.0], "N = 16 is the largest of the grid with its double"),
    ],
)
def test_a_suggestion_at_the_edge_of_the_grid_says_so(medians, sentence):
    made = rising(medians, (4, 8, 16, 32))
    assert any(
        sentence in text
        for text in regime_advice(made, find_regime(made, RegimeSettings()))
    )


def test_a_curve_that_ends_early_counts_where_it_is_and_is_named():
    made = rising([1.2, 1.5, 2.0], (4, 8, 16, 32))
    made.perf[1, 3] = np.nan
    regime = find_regime(made, RegimeSettings())
    assert regime.n_languages.tolist() == [3, 3, 2]
    assert regime_notes(made, regime) == (
        "l01 has gains up to N = 8 only: larger N rest on the other languages.",
    )
