import csv
import json
import re
from pathlib import Path

import numpy as np
import pytest

from espnet2_cltm.bin import build_matrix
from espnet2_cltm.bin.build_matrix import get_parser, main
from espnet2_cltm.matrix.matrix_files import LabelledMatrix, read_published
from espnet2_cltm.report import heatmaps
from espnet2_cltm.report.drawing import write_figures
from espnet2_cltm.results_format import COST_COLUMNS
from tests.matrix.matrix_reader import read_matrix
from tests.matrix.results_files import perf_rows, write_results

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
LANGUAGES = ("ca", "es", "tr")
CONF = str(ROOT / "conf" / "languages.yaml")


def perf(kind: str, tested: str, donor: str, seed: int) -> float:
    base = {"ca": 0.70, "es": 0.60, "tr": 0.65}[tested] + (seed % 3) * 0.001
    if kind == "single":
        return base - (0 if tested == donor else 0.1)
    if kind == "double":
        # Turkish gains nothing from more Turkish.
        return base + (0.0 if tested == "tr" else 0.1) + (seed % 2) * 0.002
    return base + {"ca": 0.08, "es": 0.05, "tr": -0.02}[donor]


@pytest.fixture
def drawn():
    """Asked for by tests that look at figures."""


@pytest.fixture(autouse=True)
def others_draw_nothing(request, monkeypatch):
    """Leave out the figures, which take two seconds, where no test looks at them."""
    if "drawn" not in request.fixturenames:
        monkeypatch.setattr(build_matrix, "write_figures", lambda *_: [])


def run(tmp_path, rows, *options) -> Path:
    results = write_results(tmp_path / "results.tsv", rows)
    outdir = tmp_path / "cltm"
    options = ("--languages_conf", CONF, *options)
    main(["--results", str(results), "--outdir", str(outdir), *options])
    return outdir


@pytest.fixture
def rows():
    return perf_rows(LANGUAGES, (42, 43, 44, 45), perf)


def test_all_files_are_written_and_agree(tmp_path, rows, capsys, drawn):
    outdir = run(tmp_path, rows)
    assert sorted(path.name for path in outdir.iterdir()) == [
        "cells.tsv",
        "cltm.csv",
        "gains.pdf",
        "gains.png",
        "heatmap.pdf",
        "heatmap.png",
        "rankings.pdf",
        "rankings.png",
        "relative_gain.csv",
        "report.html",
        "summary.json",
        "zero_shot.csv",
        "zero_shot.pdf",
        "zero_shot.png",
    ]
    cltm = read_matrix(outdir / "cltm.csv")
    assert cltm.rows == cltm.columns == LANGUAGES
    # ca from es and from tr; doubles add 0.1 and 0.001 on average.
    np.testing.assert_allclose(cltm.values[0], [1, 0.05 / 0.101, -0.02 / 0.101])
    assert np.isnan(cltm.values[2]).all()
    gain = read_matrix(outdir / "relative_gain.csv").values
    assert gain[2, 0] == pytest.approx(0.08 / 0.65075)
    zero_shot = read_matrix(outdir / "zero_shot.csv")
    assert zero_shot.values[0, 1] == pytest.approx(0.50075)

    with (outdir / "cells.tsv").open() as file:
        cells = {
            (line["target"], line["donor"]): line
            for line in csv.DictReader(file, delimiter="\t")
        }
    assert len(cells) == 9
    assert cells["ca", "es"]["identified"] == "yes"
    assert float(cells["ca", "es"]["cltm"]) == cltm.values[0, 1]
    assert cells["tr", "ca"]["identified"] == "no"
    assert float(cells["tr", "ca"]["cltm"]) > 1  # the raw estimate stays here
    assert "not clearly positive" in cells["tr", "ca"]["reason"]

    # ca from es: pair - single is the same in every seed, doubles add 0.1 or 0.102.
    self_gain = np.array([0.1, 0.102, 0.1, 0.102])
    half_width = 3.182446 * self_gain.std(ddof=1) / 2
    cell = cells["ca", "es"]
    assert cell["fieller_kind"] == "bounded"
    assert float(cell["fieller_low"]) == pytest.approx(0.05 / (0.101 + half_width))
    assert float(cell["fieller_high"]) == pytest.approx(0.05 / (0.101 - half_width))
    assert 0.4900 < float(cell["bootstrap_low"]) < 0.05 / 0.101
    assert 0.5001 > float(cell["bootstrap_high"]) > 0.05 / 0.101
    assert float(cell["q_one"]) < 0.01
    assert cells["tr", "ca"]["fieller_kind"] == "outside"
    assert (cells["tr", "ca"]["q_one"], cells["tr", "ca"]["bootstrap_low"]) == (
        "",
        "-inf",
    )
    assert cells["ca", "ca"]["fieller_kind"] == ""
    assert (cells["ca", "es"]["verdict"], cells["ca", "tr"]["verdict"]) == (
        "helps",
        "harms",
    )
    assert cells["tr", "ca"]["verdict"] == "helps"  # though not identified
    assert cells["tr", "tr"]["verdict"] == "unclear"

    summary = json.loads((outdir / "summary.json").read_text())
    assert summary["confidence"] == 0.95
    assert summary["bootstrap"] == {"resamples": 10_000, "seed": 0}
    assert summary["counts"]["donors_help"] == 4
    assert summary["counts"]["donors_harm"] == 2
    assert summary["counts"]["own_data_helps"] == 2
    assert summary["counts"]["cells_below_one"] == 4
    assert summary["counts"]["cells"] == 6
    assert summary["counts"]["cells_identified"] == 4
    assert summary["identified_targets"]["n_cells"] == 4
    assert summary["all_targets"]["n_cells"] == 6
    mean = summary["identified_targets"]["properties"]["mean_off_diagonal"]
    assert mean["low"] < mean["value"] < mean["high"]
    assert (mean["method"], mean["resamples"]) == ("noise_corrected", 10_000)
    first = summary["strongest_positive"][0]
    assert (first["target"], first["donor"]) == ("es", "ca")
    assert first["low"] < first["cltm"] < first["high"]
    assert summary["identified_targets"]["square_languages"] == ["ca", "es"]
    donor = summary["all_targets"]["strengths"]["ca"]["outgoing_mean"]
    assert donor["rank_low"] <= donor["rank"] <= donor["rank_high"]
    target = summary["identified_targets"]["strengths"]["tr"]["incoming_mean"]
    assert (target["value"], target["note"]) == (None, "no cell")
    assert summary["targets"]["ca"]["best_donor"] == "es"
    assert summary["targets"]["tr"]["best_donor"] is None
    assert summary["targets"]["es"]["single"] == pytest.approx(0.60075)
    assert len(summary["results_sha256"]) == 64

    printed = capsys.readouterr().out
    assert "macro F1, N = 60 utterances per class, 4 seeds, 3 languages" in printed
    assert "CLTM[i,j] = (Perf(i+j) - Perf(i)) / (Perf(i+i) - Perf(i))" in printed
    assert "Not identified, 1 of 3 targets: tr (self-gain +0.0010" in printed
    assert "tr Turkish †" in printed
    assert "Of 6 pairs, 4 help, 2 harm and 0 are unclear" in printed
    assert "Of 3 targets, it helps 2 (ca, es) and is unclear for 1" in printed
    assert "Known for 2 of 3 targets" in printed
    assert "Of 4 cells, 0 are above 1 and 4 below 1" in printed
    assert "macro F1, on average: 0.651 on N of the target's own;" in printed
    assert f"open {outdir / 'report.html'}" in printed
    note = summary["all_targets"]["properties"]["relative_asymmetry"]["coverage_note"]
    assert "in only 57% of the simulated matrices" in note
    assert len(printed.splitlines()) <= 25


def test_building_twice_gives_the_same_bytes(tmp_path, rows):
    first = run(tmp_path, rows)
    before = {path.name: path.read_bytes() for path in first.iterdir()}
    run(tmp_path, rows)
    assert {path.name: path.read_bytes() for path in first.iterdir()} == before


def test_each_strategy_has_a_matrix_and_one_report_compares_them(
    tmp_path, rows, capsys, drawn, monkeypatch
):
    def draw_comparison(outdir, figures, report):
        wanted = [figure for figure in figures if figure.name == "strategies"]
        return write_figures(outdir, wanted, report)

    monkeypatch.setattr(build_matrix, "write_figures", draw_comparison)
    lora = [[f"{r[0]}.lora", *r[1:8], str(float(r[8]) - 0.1), r[9]] for r in rows]
    both = [[*r, "equal", s] for s, of in (("full", rows), ("lora", lora)) for r in of]
    unfinished = [[f"{r[0]}.llrd", *r[1:], "equal", "llrd"] for r in rows[:1]]
    costs = [[r[0], *["2"] * len(COST_COLUMNS)] for r in both]
    lines = ["\t".join(line) for line in [("run", *COST_COLUMNS), *costs]]
    (tmp_path / "costs.tsv").write_text("\n".join(dict.fromkeys(lines)) + "\n")
    outdir = run(tmp_path, [*both, *unfinished], "--resamples", "50")
    of_lora = json.loads((outdir / "lora" / "summary.json").read_text())
    of_full = json.loads((outdir / "summary.json").read_text())
    assert (of_full["strategy"], of_lora["strategy"]) == ("full", "lora")
    assert of_lora["mean_single"] == pytest.approx(of_full["mean_single"] - 0.1)
    assert not (outdir / "llrd").exists()
    assert "llrd is left out" in capsys.readouterr().err
    compared = (outdir / "strategies.tsv").read_text().splitlines()
    assert [line.split("\t")[1] for line in compared[1:]] == ["full", "lora"]
    assert (outdir / "strategies.png").exists()
    page = (outdir / "report.html").read_text()
    assert 'id="strategy"' in page
    assert 'href="lora/report.html"' in page
    assert 'id="strategy"' not in (outdir / "lora" / "report.html").read_text()
    run(tmp_path, both, "--resamples", "50", "--strategy", "lora")
    again = json.loads((outdir / "summary.json").read_text())
    assert again["strategy"] == "lora"
    assert not (outdir / "strategies.tsv").exists()


def test_options_of_the_intervals_reach_them(tmp_path, rows):
    def cell(*options):
        lines = (run(tmp_path, rows, *options) / "cells.tsv").read_text().splitlines()
        names, values = lines[0].split("\t"), lines[2].split("\t")
        return dict(zip(names, values, strict=True))

    first = cell("--resamples", "300")
    wider = cell("--resamples", "300", "--confidence", "0.99")
    assert float(wider["fieller_low"]) < float(first["fieller_low"])
    assert (wider["p_gain"], wider["cltm"]) == (first["p_gain"], first["cltm"])
    other = cell("--resamples", "20", "--bootstrap_seed", "3", "--confidence", "0.2")
    summary = json.loads((tmp_path / "cltm" / "summary.json").read_text())
    assert summary["bootstrap"] == {"resamples": 20, "seed": 3}
    assert other["bootstrap_low"] > first["bootstrap_low"]


@pytest.mark.parametrize("level", ["0", "1", "95", "nan", "high"])
def test_level_that_is_none_is_refused(tmp_path, rows, capsys, level):
    with pytest.raises(SystemExit):
        run(tmp_path, rows, "--confidence", level)
    assert (
        f"takes a level between 0 and 1, such as 0.95, not '{level}'"
        in capsys.readouterr().err
    )


def test_means_and_variances_give_intervals_but_no_bootstrap(tmp_path, capsys):
    lines = ["model_id,type,lang_src,lang_tgt,seed_count,f1_mean,f1_var"]
    for i, j in (("ca", "es"), ("es", "ca")):
        lines += [
            f"m,single,{i},,10,0.7,0.0004",
            f"m,dual,{i},{i},10,0.8,0.0004",
            f"m,dual,{i},{j},10,0.78,0.0004",
        ]
    results = tmp_path / "aggregated.csv"
    results.write_text("\n".join(lines) + "\n")
    outdir = tmp_path / "cltm"
    options = ["--outdir", str(outdir), "--languages_conf", CONF]
    main(["--results", str(results), *options])
    summary = json.loads((outdir / "summary.json").read_text())
    assert summary["bootstrap"] is None
    assert summary["counts"]["donors_help"] == 2
    mean = summary["identified_targets"]["properties"]["mean_off_diagonal"]
    assert mean["value"] == pytest.approx(0.8)
    assert mean["note"] == "no seeds: the file holds means and variances"
    with (outdir / "cells.tsv").open() as file:
        cell = list(csv.DictReader(file, delimiter="\t"))[1]
    assert float(cell["fieller_low"]) < 0.8 < float(cell["fieller_high"])
    assert cell["bootstrap_low"] == cell["bootstrap_high"] == ""


def test_task_may_be_named_where_the_file_has_only_that_one(tmp_path, rows):
    without = run(tmp_path, rows)
    before = {path.name: path.read_bytes() for path in without.iterdir()}
    named = run(tmp_path, rows, "--task", "gender")
    after = {path.name: path.read_bytes() for path in named.iterdir()}
    # The report names the command.
    assert after.pop("report.html") != before.pop("report.html")
    assert after == before


def test_few_cells_are_predicted_without_an_error_of_prediction(tmp_path, capsys):
    languages = ("ca", "de", "es", "gl")
    perfs = {"single": 0.6, "double": 0.7, "pair": 0.65}
    rows = perf_rows(
        languages,
        (42, 43, 44),
        lambda kind, tested, donor, seed: perfs[kind] + seed % 3 * 0.001,
    )
    outdir = run(tmp_path, [row for row in rows if row[3] != "ca+de"])
    assert len((outdir / "predicted.tsv").read_text().splitlines()) == 3
    assert json.loads((outdir / "summary.json").read_text())["prediction_error"] is None
    capsys.readouterr()
    run(tmp_path, [row for row in rows if row[3] not in ("ca+de", "ca+es")])
    assert not (outdir / "predicted.tsv").exists()
    assert "4 cells that were not measured are not predicted" in capsys.readouterr().out


def test_names_may_hold_what_matplotlib_takes_for_mathematics(tmp_path, rows, drawn):
    odd = tmp_path / "odd.yaml"
    odd.write_text("ca: {name: 'Ca$x_{$', family: '$\\frac{$'}\n")
    assert (run(tmp_path, rows, "--languages_conf", str(odd)) / "heatmap.pdf").exists()


def test_task_that_the_file_lacks_is_refused(tmp_path, rows, capsys):
    with pytest.raises(SystemExit):
        run(tmp_path, rows, "--task", "speaker")
    assert "has no task 'speaker'; it has gender" in capsys.readouterr().err
    assert not (tmp_path / "cltm").exists()


def test_unfinished_experiment_is_built_and_told(tmp_path, rows, capsys):
    done = [row for row in rows if row[3] != "ca+es"]
    done = [row for row in done if not (row[2] == "double" and row[3] == "es")]
    outdir = run(tmp_path, done)
    printed = capsys.readouterr().out
    assert "Not available, 3 of 6 cells: 2 cells (no double run of es)" in printed
    assert "ca from es (no pair run ca+es tested on ca)" in printed
    summary = json.loads((outdir / "summary.json").read_text())
    assert summary["counts"]["cells_estimated"] == 3


def test_one_seed_is_built_and_told(tmp_path, rows, capsys):
    run(tmp_path, [row for row in rows if row[5] == "43"])
    printed = capsys.readouterr().out
    assert "One seed: no standard errors" in printed
    assert ", 1 seed, " in printed
    summary = json.loads((tmp_path / "cltm" / "summary.json").read_text())
    rfd = summary["identified_targets"]["properties"]["rfd"]
    assert (rfd["low"], rfd["note"]) == (None, "needs 3 seeds")
    assert "Does a donor help? Not tested" in printed
    assert not re.search(r"\[[-\d]", printed)


def test_unlisted_language_is_no_error(tmp_path, capsys):
    rows = perf_rows(LANGUAGES, (42, 43), perf)
    rows = [[field.replace("tr", "xx") for field in row] for row in rows]
    run(tmp_path, rows)
    printed = capsys.readouterr().out
    assert "Without name and family: xx; add a line 'xx: {name: ..." in printed


@pytest.mark.parametrize(
    ("kept", "sentence"),
    [
        (lambda row: row[2] != "single", "no single run of ca"),
        (lambda row: row[2] != "pair", "no pair run ca+es tested on ca"),
        (lambda row: row[3] == "ca", "has runs of one language only (ca)"),
    ],
)
def test_results_that_give_no_cell_are_refused_and_nothing_is_written(
    tmp_path, rows, capsys, kept, sentence
):
    with pytest.raises(SystemExit) as raised:
        run(tmp_path, [row for row in rows if kept(row)])
    assert raised.value.code == 1
    message = capsys.readouterr().err
    assert sentence in message
    assert message.count("\n") == 1
    assert not (tmp_path / "cltm").exists()


@pytest.mark.parametrize(
    ("content", "options", "sentence"),
    [
        (lambda rows: [], (), "has a header and no line"),
        (lambda rows: [*rows, rows[3]], (), "lines 5 and 74: the same result"),
        (
            lambda rows: [[*row[:8], "nan", "9"] for row in rows],
            (),
            "macro_f1 is undefined for the single run of ca",
        ),
        (
            lambda rows: [[*rows[0][:8], "o.7", "9"], *rows[1:]],
            (),
            "line 2: value is 'o.7', not a number",
        ),
        (
            lambda rows: rows,
            ("--metric", "f0"),
            "no metric 'f0' of task gender; it has macro_f1",
        ),
        (
            lambda rows: [[*row[:7], "loss", *row[8:]] for row in rows],
            ("--metric", "loss"),
            "metric 'loss' is not known",
        ),
        (
            lambda rows: [
                row for row in rows if (row[2], row[6]) != ("single", row[3])
            ],
            (),
            "no single run of ca",
        ),
        (
            lambda rows: [row for row in rows if row[2] != "double"][:1],
            (),
            "one language",
        ),
    ],
)
def test_bad_results_are_told_in_one_sentence_and_nothing_is_written(
    tmp_path, rows, capsys, content, options, sentence
):
    with pytest.raises(SystemExit) as raised:
        run(tmp_path, content(rows), *options)
    assert raised.value.code == 1
    message = capsys.readouterr().err
    assert sentence in message
    assert message.count("\n") == 1
    assert "results.tsv" in message
    assert not (tmp_path / "cltm").exists()


def test_empty_file_is_told_in_one_sentence(tmp_path, capsys):
    results = tmp_path / "results.tsv"
    results.touch()
    outdir = ["--outdir", str(tmp_path / "cltm"), "--languages_conf", CONF]
    with pytest.raises(SystemExit):
        main(["--results", str(results), *outdir])
    message = capsys.readouterr().err
    assert f"{results} is empty" in message
    assert message.count("\n") == 1
    assert not (tmp_path / "cltm").exists()


def test_missing_doubles_leave_gains_but_no_ratio(tmp_path, rows, capsys):
    outdir = run(tmp_path, [row for row in rows if row[2] != "double"])
    assert "2 cells (no double run of ca)" in capsys.readouterr().out
    summary = json.loads((outdir / "summary.json").read_text())
    for targets in ("identified_targets", "all_targets"):
        assert summary[targets]["n_cells"] == 0
        assert summary[targets]["properties"]["rfd"]["note"] == "no cell"
    assert np.isfinite(read_matrix(outdir / "relative_gain.csv").values[0, 1])


def test_missing_singles_of_one_language_take_its_row_only(tmp_path, rows, capsys):
    outdir = run(tmp_path, [row for row in rows if row[2:4] != ["single", "es"]])
    assert "2 cells (no single run of es)" in capsys.readouterr().out
    summary = json.loads((outdir / "summary.json").read_text())
    assert summary["all_targets"]["square_languages"] == ["ca", "tr"]
    assert summary["all_targets"]["n_cells"] == 4


def test_undefined_value_is_left_out_of_the_numbers_and_told(tmp_path, rows, capsys):
    for row in rows:
        if row[2] == "pair" and row[3] == "ca+es" and row[6] == "ca":
            row[8] = "nan"
    outdir = run(tmp_path, rows)
    assert "macro_f1 is undefined for the pair run ca+es" in capsys.readouterr().out
    summary = json.loads((outdir / "summary.json").read_text())
    assert summary["identified_targets"]["n_cells"] == 3
    assert summary["counts"]["results_undefined"] == 4


def test_languages_that_differ_between_runs_leave_cells_empty(tmp_path, rows, capsys):
    # de has single and double runs only, as where one file has a language more.
    more = [
        ["de" if field == "ca" else field for field in row]
        for row in rows
        if row[3] == "ca" and row[6] == "ca"
    ]
    outdir = run(tmp_path, rows + more)
    assert "no pair run ca+de tested on ca" in capsys.readouterr().out
    summary = json.loads((outdir / "summary.json").read_text())
    assert summary["n_languages"] == 4
    assert summary["identified_targets"]["n_cells"] == 4
    strength = summary["identified_targets"]["strengths"]["de"]["outgoing_mean"]
    assert strength["note"] == "no cell"


def test_directory_that_cannot_be_written_is_named(tmp_path, rows, capsys):
    (tmp_path / "cltm").write_text("a file is in the way")
    with pytest.raises(SystemExit):
        run(tmp_path, rows)
    assert "cannot be written" in capsys.readouterr().err


@pytest.fixture
def speaker_rows():
    return [
        row
        for metric in ("roc_auc", "eer", "eer_hull", "min_dcf_p0.01")
        for row in perf_rows(
            LANGUAGES,
            (42, 43, 44, 45),
            lambda *run, m=metric: perf(*run) if m == "roc_auc" else 1 - perf(*run),
            metric,
            task="speaker",
            budget=24,
        )
    ]


def across(languages, tested, seed, value):
    kind = "pair" if "+" in languages else "single"
    return [
        *(f"{kind}_{languages}_24_{seed}", "speaker", kind, languages, "24", str(seed)),
        *(tested, "roc_auc", repr(value), "90"),
    ]


def test_speaker_task_is_called_by_its_name_metric_and_budget(
    tmp_path, rows, speaker_rows, capsys
):
    outdir = run(tmp_path, rows + speaker_rows, "--task", "speaker")
    printed = capsys.readouterr().out
    assert "Cross-lingual transfer matrix, speaker verification\n" in printed
    assert "ROC AUC, N = 24 utterances, 4 seeds, 3 languages" in printed
    assert "ROC AUC, on average: 0.6" in printed
    assert "Cross-language trials" not in printed
    summary = json.loads((outdir / "summary.json").read_text())
    assert (summary["task"], summary["metric"]) == ("speaker", "roc_auc")
    assert summary["budget"] == 24


@pytest.mark.parametrize(
    ("metric", "label"),
    [("eer", "1 - EER"), ("min_dcf_p0.01", "1 - minDCF (p_target 0.01)")],
)
def test_lower_is_better_metric_gives_the_matrix_of_its_complement(
    tmp_path, speaker_rows, capsys, metric, label
):
    of_auc = read_matrix(run(tmp_path, speaker_rows) / "cltm.csv").values
    capsys.readouterr()
    outdir = run(tmp_path, speaker_rows, "--task", "speaker", "--metric", metric)
    np.testing.assert_allclose(read_matrix(outdir / "cltm.csv").values, of_auc)
    printed = capsys.readouterr().out
    assert f"{label}, N = 24 utterances, 4 seeds" in printed
    assert f"{label}, on average: " in printed


def test_heatmap_of_speaker_verification_says_what_it_shows(
    tmp_path, speaker_rows, monkeypatch
):
    drawn = []
    monkeypatch.setattr(heatmaps, "draw_grid", drawn.append)

    def draw_one(outdir, figures, report):
        heatmaps.draw_transfer(report)
        return []

    monkeypatch.setattr(build_matrix, "write_figures", draw_one)
    run(tmp_path, speaker_rows, "--metric", "min_dcf_p0.01")
    (grid,) = drawn
    assert grid.title == "Cross-lingual transfer matrix, speaker verification"
    assert grid.subtitle == (
        "1 - minDCF (p_target 0.01), N = 24 utterances, 4 seeds, 3 languages"
    )


def test_metric_of_another_task_is_refused_with_those_of_the_task(
    tmp_path, rows, speaker_rows, capsys
):
    options = ("--task", "speaker", "--metric", "macro_f1")
    with pytest.raises(SystemExit):
        run(tmp_path, rows + speaker_rows, *options)
    assert capsys.readouterr().err.endswith(
        "results.tsv has no metric 'macro_f1' of task speaker; it has eer "
        "eer_hull "
        "min_dcf_p0.01 roc_auc: choose one with --metric.\n"
    )
    assert not (tmp_path / "cltm").exists()


def test_cross_language_trials_get_a_file_and_a_line_of_their_own(
    tmp_path, speaker_rows, capsys
):
    before = run(tmp_path, speaker_rows)
    matrix = (before / "cltm.csv").read_bytes(), (before / "cells.tsv").read_bytes()
    assert not (before / "cross_language.csv").exists()
    capsys.readouterr()
    more = [
        across("ca+es", "ca~es", 42, 0.75),
        across("ca+es", "ca~es", 43, 0.5),
        across("tr", "ca~es", 42, 0.5),
        across("tr", "ca~tr", 42, 0.25),
    ]
    outdir = run(tmp_path, speaker_rows + more)
    assert (outdir / "cross_language.csv").read_text() == (
        "kind,languages,ca~es,ca~tr\nsingle,tr,0.5,0.25\npair,ca+es,0.625,\n"
    )
    assert (
        "\nCross-language trials, not part of the matrix (ca~es; ca~tr): mean ROC AUC "
        "of singles 0.375, pairs 0.625; see cross_language.csv\n"
    ) in capsys.readouterr().out
    summary = json.loads((outdir / "summary.json").read_text())
    assert summary["counts"]["cross_language_sets"] == 2
    now = (outdir / "cltm.csv").read_bytes(), (outdir / "cells.tsv").read_bytes()
    assert now == matrix


def test_stale_file_of_cross_language_trials_is_removed(tmp_path, speaker_rows, capsys):
    outdir = run(tmp_path, [*speaker_rows, across("ca", "ca~es", 42, 0.75)])
    assert (outdir / "cross_language.csv").exists()
    run(tmp_path, speaker_rows)
    assert not (outdir / "cross_language.csv").exists()


def test_stale_file_that_cannot_be_removed_is_named(tmp_path, speaker_rows, capsys):
    (tmp_path / "cltm" / "cross_language.csv").mkdir(parents=True)
    with pytest.raises(SystemExit):
        run(tmp_path, speaker_rows)
    assert "cross_language.csv cannot be written" in capsys.readouterr().err


def test_options_are_named_as_documented():
    args = get_parser().parse_args(["--results", "r", "--outdir", "o"])
    assert (args.metric, args.task, args.budget) == (None, None, None)
    assert args.languages_conf == Path("conf/languages.yaml")


def test_a_published_matrix_is_drawn_and_described(tmp_path, capsys, drawn):
    main(["--matrix", "asr_mhubert", "--task", "asr", "--outdir", str(tmp_path)])
    printed = capsys.readouterr().out
    assert "Known for 9 of 9 targets" in printed
    assert "the matrix comes without scores" in printed
    published = read_published("asr_mhubert")
    found = LabelledMatrix(**vars(read_matrix(tmp_path / "cltm.csv")))
    codes = sorted(published.rows)
    np.testing.assert_array_equal(found.square(codes), published.square(codes))
    assert (tmp_path / "heatmap.png").exists()
    assert not (tmp_path / "gains.png").exists()


@pytest.mark.parametrize("rows", [None, "donors"])
def test_a_matrix_whose_lines_may_be_donors_is_asked_about(tmp_path, capsys, rows):
    path = tmp_path / "m.csv"
    path.write_text("donor,ca,es\nca,1,0.4\nes,0.7,1\n")
    options = ["--matrix", str(path), "--task", "gender", "--outdir", str(tmp_path)]
    if rows is None:
        with pytest.raises(SystemExit):
            main(options)
        assert "--rows targets or --rows donors" in capsys.readouterr().err
        return
    main([*options, "--rows", rows])
    assert read_matrix(tmp_path / "cltm.csv").values[0, 1] == 0.7


def test_a_matrix_alone_has_no_runs_to_be_missed(tmp_path, capsys):
    path = tmp_path / "m.csv"
    options = ["--matrix", str(path), "--task", "gender", "--outdir", str(tmp_path)]
    path.write_text("target,ca,es\nde,0.1,0.2\n")
    main(options)
    assert "Known for 1 of 3 targets: 0.15" in capsys.readouterr().out
    path.write_text("target,ca,es\nca,1,\nes,,1\n")
    with pytest.raises(SystemExit):
        main(options)
    told = capsys.readouterr().err
    assert f"{path} has no value of a target" in told and "stages" not in told


def test_a_synthetic_donor_is_not_counted_as_a_target(tmp_path, capsys):
    worth = {"single": 0.5, "double": 0.8, "pair": 0.6}

    def perf(kind, tested, donor, seed):
        return worth[kind] + 0.01 * (seed % 2)

    rows = [
        row
        for row in perf_rows(["es", "es@tts", "sw"], [1, 2, 3, 4], perf)
        if row[6] != "es@tts" and not (row[2] == "double" and row[3] == "es@tts")
    ]
    path = write_results(tmp_path / "results.tsv", rows)
    main(["--results", str(path), "--outdir", str(tmp_path / "out")])
    counts = json.loads((tmp_path / "out" / "summary.json").read_text())["counts"]
    assert (counts["cells"], counts["cells_estimated"]) == (4, 4)
    printed = capsys.readouterr().out
    assert "Known for 2 of 2 targets" in printed
    assert "without single or double runs" not in printed
    assert "es@tts" in printed and "\nes@tts" not in printed  # no row of dots
