import csv
import io
import json
import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from espnet2_cltm.bin.build_matrix import main as build_matrix
from espnet2_cltm.bin.recommend import get_parser, main
from espnet2_cltm.matrix.matrix_files import read_published
from espnet2_cltm.matrix.prediction_model import ModelSettings
from tests.matrix.results_files import perf_rows, write_results

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
CODES = ("ca", "es", "eu", "tr")


def perf(kind: str, tested: str, donor: str, seed: int) -> float:
    base = {"ca": 0.70, "es": 0.60, "tr": 0.65, "eu": 0.6}[tested] + seed % 3 * 0.001
    if kind == "single":
        return base
    noise = np.random.default_rng((seed, *map(ord, kind + tested + donor))).normal()
    if kind == "double":
        # Turkish gains nothing from more Turkish.
        return base + (0.0 if tested == "tr" else 0.1) + (seed % 2) * 0.002
    gain = {"ca": 0.08, "es": 0.05, "tr": -0.02, "eu": 0.01}[donor]
    return base + gain + 0.002 * noise


@pytest.fixture(autouse=True)
def fast(monkeypatch):
    """Few draws of the model, and no figure, which no test looks at."""
    few = partial(ModelSettings, burn_in=20, draws=60)
    monkeypatch.setattr("espnet2_cltm.bin.recommend.ModelSettings", few)
    figures = "espnet2_cltm.bin.build_matrix.write_figures"
    monkeypatch.setattr(figures, lambda *_: [])


@pytest.fixture
def results(tmp_path) -> Path:
    rows = perf_rows(CODES, (42, 43, 44, 45), perf)
    return write_results(tmp_path / "results.tsv", rows)


def said(capsys, *options: str) -> str:
    main(list(map(str, options)))
    return capsys.readouterr().out


def refused(capsys, *options: str) -> str:
    with pytest.raises(SystemExit) as caught:
        main(list(map(str, options)))
    assert caught.value.code == 1
    message = capsys.readouterr().err.splitlines()
    assert len(message) == 1
    return message[0]


def test_measured_donors_are_ranked_with_certainty(results, capsys):
    found = json.loads(
        said(
            capsys, "--results", results, "--target", "eu", "--k", 1, "--format", "json"
        )
    )
    assert [donor["donor"] for donor in found["donors"]] == ["ca", "es", "tr"]
    best, second, _ = found["donors"]
    assert best["measured"] and best["among_best"] > 0.99
    assert (best["rank_low"], best["rank_high"]) == (1, 1)
    assert best["low"] < best["estimate"] < best["high"]
    assert best["like_best"] and not second["like_best"]
    assert found["cross_validation"] is None
    assert found["quantity"] == "cltm"


def test_a_directory_of_stage_6_gives_what_its_results_give(results, tmp_path, capsys):
    outdir = tmp_path / "cltm"
    conf = ROOT / "conf" / "languages.yaml"
    main_options = ["--results", results, "--outdir", outdir, "--languages_conf", conf]
    build_matrix(list(map(str, main_options)))
    capsys.readouterr()
    for target in ("eu", "tr"):
        common = ("--target", target, "--format", "tsv")
        from_results = said(capsys, "--results", results, *common)
        assert said(capsys, "--matrix", outdir, *common) == from_results


def test_a_target_that_is_not_identified_is_said_to_be_and_still_ranked(
    results, capsys
):
    text = said(capsys, "--results", results, "--target", "tr")
    assert "Target tr is not identified: self-gain" in text
    assert "by Perf(i+j) - Perf(i)" in text
    lines = [line.split() for line in text.splitlines() if "measured  " in line]
    assert [line[line.index("measured") - 4] for line in lines] == ["ca", "es", "eu"]


@pytest.fixture
def without_doubles_of_eu(results, tmp_path) -> Path:
    lines = results.read_text().splitlines(keepends=True)
    left = [line for line in lines if line.split("\t")[2:4] != ["double", "eu"]]
    assert len(left) == len(lines) - 4
    path = tmp_path / "without_doubles_of_eu.tsv"
    path.write_text("".join(left))
    return path


def test_a_target_without_double_runs_is_not_said_to_gain_nothing(
    without_doubles_of_eu, tmp_path, capsys
):
    options = ("--results", without_doubles_of_eu, "--target", "eu")
    text = said(capsys, *options)
    assert "Target eu has no self-gain: no double run of eu." in text
    assert "not identified" not in text and "did not clearly help" not in text
    assert "by Perf(i+j) - Perf(i)" in text
    found = json.loads(said(capsys, *options, "--format", "json"))
    assert found["not_identified"] is None
    assert found["no_self_gain"] == "no double run of eu"
    assert [donor["donor"] for donor in found["donors"]] == ["ca", "es", "tr"]
    # The directory that stage 6 makes of it knows as much.
    conf = ROOT / "conf" / "languages.yaml"
    outdir = tmp_path / "cltm"
    build = [*options[:2], "--outdir", outdir, "--languages_conf", conf]
    build_matrix(list(map(str, build)))
    capsys.readouterr()
    of_directory = said(capsys, "--matrix", outdir, "--target", "eu")
    assert of_directory.splitlines()[1:] == text.splitlines()[1:]


def test_a_target_of_which_no_run_was_made_is_predicted(tmp_path, capsys):
    codes = ("ca", "es", "eu", "gl", "pt")

    def perf_of_five(kind: str, tested: str, donor: str, seed: int) -> float:
        return perf(
            kind, *({"gl": "ca", "pt": "es"}.get(c, c) for c in (tested, donor)), seed
        )

    rows = [
        row
        for row in perf_rows(codes, (42, 43, 44), perf_of_five)
        if row[6] != "pt"  # only a donor
    ]
    path = write_results(tmp_path / "donor_only.tsv", rows)
    text = said(capsys, "--results", path, "--target", "pt")
    assert "Target pt has no self-gain: no single run of pt." in text
    assert "4 donors: 0 measured, 4 predicted" in text
    assert "No cell of pt was measured" in text


def test_one_seed_is_said_to_give_no_standard_errors(tmp_path, capsys):
    rows = perf_rows(CODES, (42,), perf)
    path = write_results(tmp_path / "one_seed.tsv", rows)
    text = said(capsys, "--results", path, "--target", "eu")
    assert "3 of 3 measured donors rest on one seed, which gives no standard" in text
    assert "run more seeds" in text
    assert "give results.tsv" not in text


def test_donors_of_the_same_value_share_a_rank(capsys):
    published = read_published("gender_mhubert")
    row = published.values[published.rows.index("gl")]
    others = np.array(published.columns) != "gl"
    best = {c for c, x in zip(published.columns, row, strict=True) if x == 1.0} - {"gl"}
    assert len(best) == 6
    options = ("--matrix", "gender_mhubert", "--target", "gl")
    text = said(capsys, *options, "--k", 2)
    lines = [line.split() for line in text.splitlines() if "measured  " in line]
    assert [line[0] for line in lines] == ["1="] * 6
    assert {line[1] for line in lines} == best
    assert "(6 at 1=)" in text
    table = said(capsys, *options, "--format", "tsv")
    for donor in csv.DictReader(io.StringIO(table), delimiter="\t"):
        value = float(donor["estimate"])
        assert int(donor["rank"]) == 1 + (row[others] > value).sum()
        assert donor["tied"] == ("yes" if (row[others] == value).sum() > 1 else "no")


def test_tied_exact_donors_are_as_likely_among_the_best(tmp_path, capsys):
    """Those that stand first are not preferred by the simulation."""
    published = read_published("asr_mhubert")
    holes = published.values.copy()
    holes[0, 1:5] = np.nan
    holes[0, 5:8] = 9.0  # far above any prediction
    lines = [",".join(("target", *published.columns))]
    for code, row in zip(published.rows, holes, strict=True):
        lines.append(",".join((code, *("" if np.isnan(x) else str(x) for x in row))))
    path = tmp_path / "cltm.csv"
    path.write_text("\n".join(lines) + "\n")
    options = ("--matrix", path, "--target", published.rows[0], "--k", 1)
    found = json.loads(said(capsys, *options, "--format", "json"))
    tied = [donor for donor in found["donors"] if donor["tied"]]
    assert [donor["rank"] for donor in tied] == [1, 1, 1]
    assert len({donor["among_best"] for donor in tied}) == 1
    assert tied[0]["among_best"] > 0.9
    assert {(donor["rank_low"], donor["rank_high"]) for donor in tied} == {(1, 1)}


def test_missing_cells_are_predicted_and_said_to_be(tmp_path, capsys):
    published = read_published("asr_mhubert")
    holes = published.values.copy()
    holes[0, 1:5] = np.nan
    lines = [",".join(("target", *published.columns))]
    for code, row in zip(published.rows, holes, strict=True):
        lines.append(",".join((code, *("" if np.isnan(x) else str(x) for x in row))))
    path = tmp_path / "cltm.csv"
    path.write_text("\n".join(lines) + "\n")
    options = ("--matrix", path, "--target", published.rows[0])
    text = said(capsys, *options, "--k", 8)
    assert "8 donors: 4 measured, 4 predicted" in text
    assert "Measured cells count as exact" in text
    assert "RMSE" in text and "Pearson r" in text and "95% interval" in text
    table = said(capsys, *options, "--format", "tsv")
    rows = list(csv.DictReader(io.StringIO(table), delimiter="\t"))
    assert [int(row["rank"]) for row in rows] == list(range(1, 9))
    assert {r["donor"] for r in rows if r["source"] == "predicted"} == set(
        published.columns[1:5]
    )
    assert all(float(r["low"]) < float(r["high"]) for r in rows if r["low"])
    assert said(capsys, *options, "--format", "tsv") == table


def test_a_language_without_runs_is_predicted_by_its_distances(capsys):
    text = said(capsys, "--matrix", "asr_mhubert", "--target", "mt", "--k", 2)
    assert "9 donors: 0 measured, 9 predicted" in text
    assert "No cell of mt was measured" in text
    assert "measured targets, all their runs left out in 9 parts, are" in text


def test_a_matrix_without_errors_says_that_ranks_are_not_known(capsys, monkeypatch):
    def fit(*args, **options):
        raise AssertionError("nothing is missing, and yet a model is fitted")

    monkeypatch.setattr("espnet2_cltm.bin.recommend.predict_pairs", fit)
    text = said(capsys, "--matrix", "gender_mhubert", "--target", "gl")
    assert "53 donors: 53 measured, 0 predicted" in text
    assert "uncertainty of the ranks is not known" in text


def test_a_file_is_written_instead_of_printing(results, tmp_path, capsys):
    out = tmp_path / "new" / "donors.json"
    printed = said(
        capsys, "--results", results, "--target", "eu", "--format", "json", "--out", out
    )
    assert printed == f"Written to {out}\n"
    assert json.loads(out.read_text())["target"] == "eu"


def test_every_mistake_is_one_sentence(results, tmp_path, capsys):
    message = refused(capsys, "--results", results, "--target", "xx")
    assert "target 'xx' is not in" in message and "ca es eu tr" in message
    message = refused(capsys, "--matrix", "no_such", "--target", "ca")
    assert "no_such is not a directory of stage 6" in message
    message = refused(
        capsys, "--matrix", "asr_mhubert", "--target", "ca", "--budget", 5
    )
    assert "--budget chooses from --results" in message
    message = refused(capsys, "--results", tmp_path / "none.tsv", "--target", "ca")
    assert "none.tsv cannot be read" in message
    message = refused(capsys, "--results", results, "--target", "gl")
    assert "gives no donor for gl" in message and "run pairs with gl first" in message
    with pytest.raises(SystemExit) as caught:
        main(["--matrix", "asr_mhubert", "--target", "ca", "--k", "0"])
    assert caught.value.code == 2
    assert "--k" in capsys.readouterr().err


def test_target_and_one_source_are_needed():
    for options in (["--matrix", "a"], ["--matrix", "a", "--results", "b"]):
        with pytest.raises(SystemExit):
            get_parser().parse_args(options)


def test_a_closed_pipe_ends_the_command_without_a_trace():
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [
            *(sys.executable, "-m", "espnet2_cltm.bin.recommend"),
            *("--matrix", "gender_mhubert", "--target", "gl"),
        ],
        stdout=writer,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (141, "")
