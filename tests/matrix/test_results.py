import numpy as np
import pytest

from espnet2_cltm.budget import Seconds
from espnet2_cltm.errors import UserError
from espnet2_cltm.matrix.estimates import cell_moments, estimate
from espnet2_cltm.matrix.pool_results import read_all_runs
from espnet2_cltm.matrix.results import (
    Choice,
    read_every_metric,
    read_published_steps,
    read_scores,
    read_strategies_of,
)
from espnet2_cltm.matrix.scores import AggregatedScores, zero_shot_means
from espnet2_cltm.results_format import RESULT_COLUMNS
from tests.matrix.results_files import perf_rows, write_results

LANGUAGES = ("ca", "es", "nan")  # nan: Min Nan, a code that must not become NaN
SEEDS = (43, 42)


def perf(kind: str, tested: str, donor: str, seed: int) -> float:
    base = {"ca": 0.70, "es": 0.60, "nan": 0.50}[tested] + (seed - 42) * 0.01
    if kind == "single":
        return base - (0 if tested == donor else 0.2 + ord(donor[0]) / 10_000)
    if kind == "double":
        return base + 0.1
    return base + {"ca": 0.08, "es": 0.05, "nan": 0.02}[donor]


def rows_of(**changes) -> list[list[str]]:
    rows = perf_rows(LANGUAGES, SEEDS, perf)
    for column, value in changes.items():
        rows[4][RESULT_COLUMNS.index(column)] = value
    return rows


def test_header_of_a_results_file_is_the_documented_one():
    assert " ".join(RESULT_COLUMNS) == (
        "run task kind languages budget seed test_language metric value n_test steps "
        "strategy size method shots"
    )


def test_results_file_gives_single_double_pair_and_zero_shot_scores(tmp_path):
    scores = read_scores(write_results(tmp_path / "results.tsv", rows_of()))
    assert scores.languages == scores.test_languages == LANGUAGES
    assert scores.seeds == (42, 43)
    np.testing.assert_allclose(scores.single[:, 0], [0.7, 0.6, 0.5])
    np.testing.assert_allclose(scores.double[:, 1], [0.81, 0.71, 0.61])
    # Rows are targets, columns donors: es helps ca by 0.05, ca helps es by 0.08.
    assert scores.pair[0, 1, 0] == pytest.approx(0.75)
    assert scores.pair[1, 0, 0] == pytest.approx(0.68)
    assert scores.source.budget == 60
    tested, zero_shot = zero_shot_means(scores)
    assert tested == LANGUAGES
    # Trained on es, tested on ca.
    assert zero_shot[1, 0] == pytest.approx(0.705 - 0.2 - ord("e") / 10_000)


def test_order_of_lines_does_not_matter(tmp_path):
    rows = rows_of()
    first = read_scores(write_results(tmp_path / "a.tsv", rows))
    second = read_scores(write_results(tmp_path / "b.tsv", rows[::-1]))
    np.testing.assert_array_equal(first.pair, second.pair)
    np.testing.assert_array_equal(first.zero_shot, second.zero_shot)


def test_single_runs_may_be_tested_on_languages_that_nothing_was_trained_on(tmp_path):
    rows = rows_of()
    extra = rows[0].copy()
    extra[RESULT_COLUMNS.index("test_language")] = "tr"
    scores = read_scores(write_results(tmp_path / "r.tsv", [*rows, extra]))
    assert scores.languages == LANGUAGES
    assert scores.test_languages == (*LANGUAGES, "tr")
    assert np.isnan(scores.zero_shot[1, 3]).all()


def test_undefined_value_is_left_out_and_told(tmp_path):
    rows = rows_of()
    for row in rows:
        if row[2] == "pair" and row[3] == "ca+es" and row[6] == "ca":
            row[8] = "nan"
    scores = read_scores(write_results(tmp_path / "r.tsv", rows))
    assert np.isnan(scores.pair[0, 1]).all()
    assert scores.source.undefined == {("pair", "ca", "es"): 2}
    assert "macro_f1 is undefined (nan) in 2 results" in scores.source.notes[0]
    assert "pair_ca+es_60_43 on ca" in scores.source.notes[0]


def test_negative_perf_is_told(tmp_path):
    rows = perf_rows(
        ["ca", "es"],
        [42],
        lambda kind, tested, donor, seed: 1.25 if tested == "es" else 0.5,
        metric="cer",
        task="asr",
    )
    (note,) = read_scores(write_results(tmp_path / "results.tsv", rows)).source.notes
    assert note.startswith("Perf(i) of es is not above 0")


def test_other_metric_is_taken_on_request(tmp_path):
    rows = rows_of() + perf_rows(LANGUAGES, SEEDS, lambda *_: 0.5, "accuracy")
    path = write_results(tmp_path / "r.tsv", rows)
    assert read_scores(path).source.metric == "macro_f1"
    scores = read_scores(path, Choice(metric="accuracy"))
    np.testing.assert_array_equal(scores.single, 0.5)


@pytest.mark.parametrize("metric", ["eer", "min_dcf_p0.01", "min_dcf_p0.05"])
def test_lower_is_better_metric_enters_as_one_minus_its_value(tmp_path, metric):
    rows = perf_rows(LANGUAGES, SEEDS, lambda *_: 0.2, metric, task="speaker")
    path = write_results(tmp_path / "r.tsv", rows)
    np.testing.assert_allclose(read_scores(path, Choice(metric=metric)).single, 0.8)


# A file of two tasks


def two_tasks(tmp_path):
    rows = perf_rows(LANGUAGES, SEEDS, perf)
    for metric, value in (("roc_auc", 0.8), ("eer", 0.3), ("min_dcf_p0.01", 0.9)):
        rows += perf_rows(
            LANGUAGES, SEEDS, lambda *_, v=value: v, metric, task="speaker", budget=24
        )
    return write_results(tmp_path / "r.tsv", rows)


def test_task_brings_its_own_default_metric_and_budget(tmp_path):
    path = two_tasks(tmp_path)
    for task, metric, budget in (
        ("gender", "macro_f1", 60),
        ("speaker", "roc_auc", 24),
    ):
        source = read_scores(path, Choice(task=task)).source
        assert (source.task, source.metric, source.budget) == (task, metric, budget)


@pytest.mark.parametrize(
    ("choice", "sentence"),
    [
        (
            Choice(),
            r"several values of task \(gender speaker\): choose one with --task",
        ),
        (
            Choice("speaker", "macro_f1"),
            "no metric 'macro_f1' of task speaker; it has eer_hull min_dcf_p0.01 "
            "roc_auc: choose one with --metric",
        ),
        (
            Choice("gender", "eer"),
            "no metric 'eer' of task gender; it has macro_f1: choose",
        ),
        (
            Choice("speaker", budget=60),
            "no budget '60' of task speaker; it has 24",
        ),
    ],
)
def test_what_only_the_other_task_has_is_refused(tmp_path, choice, sentence):
    with pytest.raises(UserError, match=sentence):
        read_scores(two_tasks(tmp_path), choice)


def test_several_budgets_of_one_task_do_not_touch_the_other(tmp_path):
    rows = perf_rows(LANGUAGES, SEEDS, perf)
    for budget in (24, 48):
        rows += perf_rows(
            LANGUAGES, SEEDS, perf, "roc_auc", task="speaker", budget=budget
        )
    path = write_results(tmp_path / "r.tsv", rows)
    assert read_scores(path, Choice("gender")).source.budget == 60
    with pytest.raises(
        UserError, match=r"budget of task speaker \(24 48\): .*--budget"
    ):
        read_scores(path, Choice("speaker"))
    assert read_scores(path, Choice("speaker", budget=48)).source.budget == 48


# Cross-language trials


def test_seconds_are_another_budget_than_utterances(tmp_path):
    rows = [
        row
        for n in (60, Seconds(60))
        for row in perf_rows(LANGUAGES, SEEDS, perf, "cer", task="asr", budget=n)
    ]
    path = write_results(tmp_path / "results.tsv", rows)
    with pytest.raises(UserError, match=r"budget of task asr \(60 60s\)"):
        read_scores(path)
    sources = [read_scores(path, Choice(budget=n)).source for n in (60, Seconds(60))]
    texts = [source.budget_text for source in sources]
    assert texts == ["N = 60 utterances", "N = 60 seconds"]
    runs = read_all_runs(path, sources[1])
    assert {*runs["budget"]} == {60, Seconds(60)}


def test_matrix_of_phones_is_of_their_rate(tmp_path):
    rows = perf_rows(LANGUAGES, SEEDS, perf, "per", task="asr")
    path = write_results(tmp_path / "results.tsv", rows)
    assert read_scores(path).source.metric == "per"


def across(kind, languages, tested, seed, value, metric="roc_auc"):
    name = f"{kind}_{languages}_60_{seed}"
    return [
        *(name, "speaker", kind, languages, "60", str(seed)),
        *(tested, metric, str(value), "90"),
    ]


def speaker_rows():
    return perf_rows(LANGUAGES, SEEDS, perf, "roc_auc", task="speaker")


def test_cross_language_results_are_kept_apart_from_the_matrix(tmp_path):
    rows = speaker_rows()
    without = read_scores(write_results(tmp_path / "a.tsv", rows))
    assert without.cross_language is None
    more = [
        across("pair", "ca+es", "ca~es", 42, 0.7),
        across("pair", "ca+es", "ca~es", 43, 0.8),
        across("single", "nan", "es~zh-CN", 43, 0.6),
        across("single", "es", "ca~es", 43, 0.55),
        across("double", "es", "ca~es", 42, 0.5),
        across("double", "es", "es~zh-CN", 42, "nan"),
        across("single", "es", "ca~es", 42, 0.1, "eer"),
    ]
    for lines in (more, more[::-1]):
        scores = read_scores(write_results(tmp_path / "b.tsv", [*lines, *rows]))
        for name in ("zero_shot", "double", "pair"):
            np.testing.assert_array_equal(getattr(scores, name), getattr(without, name))
        assert scores.languages == scores.test_languages == LANGUAGES
        assert scores.cross_language.sets == ("ca~es", "es~zh-CN")
        assert scores.cross_language.runs == (
            ("single", "es"),
            ("single", "nan"),
            ("double", "es"),
            ("pair", "ca+es"),
        )
        np.testing.assert_array_equal(
            scores.cross_language.perf,
            [[0.55, np.nan], [np.nan, 0.6], [0.5, np.nan], [0.75, np.nan]],
        )
    assert "undefined (nan) in 1 result, tested on es~zh-CN" in scores.source.notes[0]


def test_cross_language_results_of_another_metric_are_left_out(tmp_path):
    rows = [*speaker_rows(), across("single", "ca", "ca~es", 42, 0.1, "eer")]
    scores = read_scores(write_results(tmp_path / "r.tsv", rows))
    assert scores.cross_language is None


def test_cross_language_eer_enters_as_one_minus_its_value(tmp_path):
    rows = perf_rows(LANGUAGES, SEEDS, lambda *_: 0.2, "eer", task="speaker")
    rows.append(across("single", "ca", "ca~es", 42, 0.25, "eer"))
    scores = read_scores(write_results(tmp_path / "r.tsv", rows), Choice(metric="eer"))
    assert scores.cross_language.perf.tolist() == [[0.75]]


@pytest.mark.parametrize(
    "tested", ["es~ca", "ca~ca", "ca~", "~ca", "~", "ca~es~nan", "ca~e s", "ca~es+nan"]
)
def test_cross_language_set_that_is_not_two_sorted_codes_is_refused(tmp_path, tested):
    rows = [*speaker_rows(), across("single", "ca", tested, 42, 0.5)]
    path = write_results(tmp_path / "r.tsv", rows)
    with pytest.raises(UserError) as raised:
        read_scores(path)
    assert str(raised.value) == (
        f"{path}, line {len(rows) + 1}: test_language is '{tested}'; cross-language "
        "trials are named by two sorted codes, such as ca~es."
    )


def test_cross_language_result_given_twice_is_refused(tmp_path):
    line = across("single", "ca", "ca~es", 42, 0.5)
    path = write_results(tmp_path / "r.tsv", [*speaker_rows(), line, line])
    with pytest.raises(UserError, match="the same result twice"):
        read_scores(path)


def test_results_on_cross_language_trials_alone_are_no_matrix(tmp_path):
    rows = [across("pair", "ca+es", "ca~es", 42, 0.7)]
    path = write_results(tmp_path / "r.tsv", rows)
    with pytest.raises(UserError) as raised:
        read_scores(path)
    assert str(raised.value) == (
        f"{path} has no roc_auc of task speaker for N = 60 but on cross-language "
        "trials: run stages 4 and 5 to their end first."
    )


def test_tilde_is_no_part_of_a_language_code(tmp_path):
    path = write_results(tmp_path / "r.tsv", rows_of(languages="ca+e~s"))
    with pytest.raises(UserError, match=r"languages is 'ca\+e~s' in a pair run"):
        read_scores(path)


def test_values_are_read_to_the_last_bit(tmp_path):
    values = np.random.default_rng(0).random(len(rows_of()))
    rows = [
        [*row[:8], repr(float(v)), "9"]
        for row, v in zip(rows_of(), values, strict=True)
    ]
    scores = read_scores(write_results(tmp_path / "r.tsv", rows))
    kept = [*scores.zero_shot.ravel(), *scores.double.ravel()]
    kept += [value for value in scores.pair.ravel() if np.isfinite(value)]
    assert sorted(kept) == sorted(values)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"value": "0,7"}, "line 6: value is '0,7', not a number"),
        ({"value": "1_0"}, "line 6: value is '1_0', not a number"),
        ({"value": "inf"}, "line 6: value is 'inf', not a number"),
        ({"value": ""}, "line 6: value is '', not a number"),
        ({"value": "71.5"}, "line 6: value is '71.5', not a fraction from 0 to 1"),
        ({"value": "-0.1"}, "line 6: value is '-0.1', not a fraction from 0"),
        (
            {"kind": "triple"},
            "line 6: kind is 'triple'; known are single, double, pair",
        ),
        ({"seed": "4x"}, "line 6: seed is '4x', not a whole number"),
        ({"n_test": ""}, "line 6: n_test is '', not a whole number"),
        ({"languages": "es+ca"}, "line 6: languages is 'es+ca' in a pair run"),
        ({"languages": "ca"}, "line 6: languages is 'ca' in a pair run"),
        ({"test_language": "c a"}, "line 6: test_language is 'c a', not a language"),
        ({"task": "speaker"}, "several values of task (gender speaker): choose one"),
        ({"budget": "120"}, "of task gender (60 120): choose one with --budget"),
    ],
)
def test_mistake_in_a_line_is_named_with_the_line(tmp_path, changes, sentence):
    path = write_results(tmp_path / "r.tsv", rows_of(**changes))
    with pytest.raises(UserError) as raised:
        read_scores(path)
    assert str(path) in str(raised.value)
    assert sentence in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("renamed", [False, True])
def test_duplicated_result_is_refused_whatever_its_run_is_called(tmp_path, renamed):
    rows = rows_of()
    copy = rows[2].copy()
    if renamed:
        copy[0] = "another"
    path = write_results(tmp_path / "r.tsv", [*rows, copy])
    with pytest.raises(
        UserError, match=f"lines 4 and {len(rows) + 2}: the same result"
    ):
        read_scores(path)


@pytest.mark.parametrize(
    ("choice", "sentence"),
    [
        (Choice(metric="f0"), "no metric 'f0' of task gender; it has macro_f1"),
        (Choice(task="speaker"), "no task 'speaker'; it has gender"),
        (Choice(budget=7), "no budget '7' of task gender; it has 60"),
    ],
)
def test_what_the_file_does_not_hold_is_refused_with_what_it_holds(
    tmp_path, choice, sentence
):
    path = write_results(tmp_path / "r.tsv", rows_of())
    with pytest.raises(UserError, match=sentence):
        read_scores(path, choice)


def of_task(task: str, metric: str = "macro_f1") -> list[list[str]]:
    rows = perf_rows(LANGUAGES, SEEDS, perf, metric)
    for row in rows:
        row[1] = task
    return rows


def test_metrics_of_a_task_come_in_the_order_of_its_declaration(tmp_path):
    metrics = ("recall_sad", "recall_angry", "accuracy", "loss", "macro_f1")
    rows = [row for metric in metrics for row in of_task("emotion", metric)]
    for row in rows:
        row[0] += row[7]
    found = read_every_metric(write_results(tmp_path / "r.tsv", rows))
    assert [scores.source.metric for scores in found] == [
        "macro_f1",
        "accuracy",
        "recall_angry",
        "recall_sad",
    ]
    assert found[0].source.metric_title == "macro F1"
    assert found[0].source.budget_text == "N = 60 utterances per class"


def test_unknown_task_and_metric_are_refused(tmp_path):
    path = write_results(tmp_path / "r.tsv", of_task("mood"))
    with pytest.raises(UserError, match=r"line 2: unknown task 'mood'; .* gender"):
        read_scores(path)
    source = read_scores(path, Choice(metric="macro_f1")).source
    assert (source.task_title, source.metric_title) == ("mood", "macro F1")
    path = write_results(tmp_path / "m.tsv", perf_rows(LANGUAGES, SEEDS, perf, "loss"))
    with pytest.raises(UserError, match="metric 'loss' is not known to be better"):
        read_scores(path, Choice(metric="loss"))


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "is empty"),
        (b"\n\n", "is empty"),
        (b"a\tb\n1\t2\n", "unknown header \\(a b\\); expected are tab-separated run"),
        (b"target,ca\nca,1\n", "unknown header \\(target ca\\)"),
        ("\t".join(RESULT_COLUMNS).encode() + b"\n", "has a header and no line"),
        (b"run\ttask\n\xe7\t1\n", "not UTF-8 text"),
        (
            "\t".join(RESULT_COLUMNS).encode() + b"\n" + b"x\t" * 15 + b"x\n",
            "is not a table",
        ),
    ],
)
def test_file_that_is_no_table_of_results_is_refused(tmp_path, content, sentence):
    path = tmp_path / "r.tsv"
    path.write_bytes(content)
    with pytest.raises(UserError, match=sentence):
        read_scores(path)


def test_absent_file_and_directory_are_refused(tmp_path):
    with pytest.raises(UserError, match=r"r\.tsv cannot be read"):
        read_scores(tmp_path / "r.tsv")
    with pytest.raises(UserError, match="cannot be read"):
        read_scores(tmp_path)


# The published framework's files

FRAMEWORK_SEEDS = """model_id,type,lang_src,lang_tgt,seed,f1
ca,single,ca,,42,0.70
ca,single,ca,,43,0.72
es,single,es,,42,0.60
es,single,es,,43,0.60
ca_ca,dual,ca,ca,42,0.80
ca_ca,dual,ca,ca,43,0.82
es_es,dual,es,es,42,0.70
es_es,dual,es,es,43,0.72
ca_es,dual,ca,es,42,0.75
ca_es,dual,ca,es,43,0.79
es_ca,dual,es,ca,42,0.60
es_ca,dual,es,ca,43,0.64
"""

FRAMEWORK_AGGREGATED = """model_id,type,lang_src,lang_tgt,seed_count,f1_mean,f1_var
ca,single,ca,,2,0.71,0.0002
es,single,es,,2,0.60,0.0
ca_ca,dual,ca,ca,2,0.81,0.0002
es_es,dual,es,es,2,0.71,0.0002
ca_es,dual,ca,es,2,0.77,0.0008
es_ca,dual,es,ca,2,0.62,0.0008
"""

FRAMEWORK_CLTM = [[1, 0.06 / 0.10], [0.02 / 0.11, 1]]


def write(path, text):
    path.write_text(text)
    return path


def test_framework_files_give_the_same_matrix_in_either_form(tmp_path):
    for text in (FRAMEWORK_SEEDS, FRAMEWORK_AGGREGATED):
        scores = read_scores(write(tmp_path / "matrix.csv", text))
        assert (scores.source.task, scores.source.metric) == ("gender", "macro_f1")
        moments = cell_moments(scores)
        matrix = estimate(moments, level=0.5)
        np.testing.assert_allclose(matrix.raw_cltm, FRAMEWORK_CLTM, rtol=1e-9)
        np.testing.assert_array_equal(matrix.n_seeds, 2)


def test_aggregated_standard_errors_take_runs_as_independent(tmp_path):
    scores = read_scores(write(tmp_path / "matrix.csv", FRAMEWORK_AGGREGATED))
    assert isinstance(scores, AggregatedScores)
    assert "as independent" in scores.source.notes[0]
    matrix = estimate(cell_moments(scores))
    assert matrix.self_gain_se[0, 1] == pytest.approx(np.sqrt(0.0002 / 2 * 2))
    r, s, d, p = 0.6, 0.0001, 0.0001, 0.0004
    expected = np.sqrt((r - 1) ** 2 * s + r**2 * d + p) / 0.10
    assert matrix.raw_cltm_se[0, 1] == pytest.approx(expected)


def test_aggregated_identification_is_welchs_test(tmp_path):
    scores = read_scores(write(tmp_path / "matrix.csv", FRAMEWORK_AGGREGATED))
    from scipy import stats

    p = stats.ttest_ind_from_stats(
        0.81,
        np.sqrt(0.0002),
        2,
        0.71,
        np.sqrt(0.0002),
        2,
        equal_var=False,
        alternative="greater",
    ).pvalue
    for level, expected in ((p * 1.01, True), (p * 0.99, False)):
        assert estimate(cell_moments(scores), level).target_identified[0] == expected


def test_framework_wer_enters_as_one_minus_wer(tmp_path):
    text = FRAMEWORK_SEEDS.replace(",f1\n", ",wer\n").replace("0.70\n", "1.70\n")
    scores = read_scores(write(tmp_path / "matrix.csv", text))
    assert scores.source.metric == "utt_wer"
    assert scores.single[0, 0] == pytest.approx(-0.7)


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        (
            "ca_es,dual",
            "ca_es,bilingual",
            "type is 'bilingual'; known are single, dual",
        ),
        ("es_ca,dual,es,ca,42", "es_ca,dual,es,ca,43", "the same run twice"),
        (",0.75\n", ",75\n", "f1 is '75', not a fraction from 0 to 1"),
        ("es_ca,dual,es,ca", "es_ca,dual,es,", "lang_tgt is '', not a language"),
    ],
)
def test_mistake_in_a_framework_file_is_named(tmp_path, old, new, sentence):
    path = write(tmp_path / "matrix.csv", FRAMEWORK_SEEDS.replace(old, new))
    with pytest.raises(UserError, match=sentence):
        read_scores(path)


def test_framework_file_of_another_task_is_refused(tmp_path):
    path = write(tmp_path / "matrix.csv", FRAMEWORK_SEEDS)
    with pytest.raises(UserError, match="no task 'speaker'"):
        read_scores(path, Choice(task="speaker"))


# Optimiser steps


def with_steps(rows, steps):
    return [[*row, steps] for row in rows]


def test_matrix_is_of_equal_steps_where_a_file_has_both_designs(tmp_path):
    equal = with_steps(rows_of(), "equal")
    lower = perf_rows(LANGUAGES, SEEDS, lambda *run: perf(*run) - 0.1)
    published = [r for r in with_steps(lower, "data") if r[2] != "pair"]
    for row in published:
        row[0] += "_data"
    path = write_results(tmp_path / "both.tsv", [*equal, *published])
    alone = read_scores(write_results(tmp_path / "equal.tsv", equal))
    both = read_scores(path)
    assert both.source.steps == alone.source.steps == "equal"
    np.testing.assert_array_equal(both.single, alone.single)
    np.testing.assert_array_equal(both.pair, alone.pair)
    other = read_published_steps(path)
    np.testing.assert_allclose(other.double, alone.double - 0.1)
    assert read_published_steps(tmp_path / "equal.tsv") is None


def test_results_without_the_column_are_of_the_published_design(tmp_path):
    scores = read_scores(write_results(tmp_path / "old.tsv", rows_of()))
    assert scores.source.steps == "data"


@pytest.mark.parametrize("swapped", [False, True])
def test_a_table_of_the_framework_that_looks_transposed_is_asked_about(
    tmp_path, swapped
):
    base = {"ca": 0.5, "de": 0.6, "en": 0.7, "es": 0.8}
    lines = ["model_id,type,lang_src,lang_tgt,seed,f1"]
    for target, single in base.items():
        lines += [f"m,single,{target},,42,{single}"]
        for donor in base:
            source, other = (donor, target) if swapped else (target, donor)
            lines.append(f"m,dual,{source},{other},42,{single + 0.1}")
    path = tmp_path / "framework.csv"
    path.write_text("\n".join(lines) + "\n")
    if swapped:
        with pytest.raises(UserError, match=r"lang_src .* --rows targets or --rows"):
            read_scores(path)
    scores = read_scores(path, Choice(rows="donors") if swapped else Choice())
    assert scores.pair[0, 1] == pytest.approx(0.6)


def test_a_matrix_is_of_one_strategy(tmp_path):
    rows = perf_rows(["ca", "es"], [1, 2], lambda *_: 0.5)
    lora = [[row[0], *row[1:8], "0.7", row[9], "data", "lora"] for row in rows]
    full = [[*row, "data", "full"] for row in rows]  # of shared runs: the same names
    path = write_results(tmp_path / "r.tsv", [*lora, *full])
    assert read_strategies_of(path, None) == ["full", "lora"]
    for strategy, value in ((None, 0.5), ("lora", 0.7)):
        scores = read_scores(path, Choice(strategy=strategy))
        assert scores.source.strategy == (strategy or "full")
        assert (scores.single == value).all()
    with pytest.raises(UserError, match="no strategy 'llrd' of task gender; it has"):
        read_scores(path, Choice(strategy="llrd"))
