"""The search for the dynamic regime at the terminal, and the files it leaves."""

import csv
import io
import json
import math
import os
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest

from espnet2_cltm.bin.find_regime import get_parser, main
from tests.matrix.results_files import perf_rows, write_results

ROOT = Path(__file__).parents[2]
CONF = str(ROOT / "conf" / "languages.yaml")
GRID = (4, 8, 16, 32)
LANGS = ("ca", "es", "tr")
SEEDS = (42, 43, 44)


def perf(tested, seed, n):
    steepness = {"ca": 0.5, "es": 0.7, "tr": 0.6}[tested]
    score = 0.5 + 0.45 / (1 + math.exp(-(math.log(n) - 2.4) / steepness))
    return score + (hash_of(tested, seed, n) - 0.5) * 0.01


def hash_of(*parts):
    return math.sin(sum(ord(c) for c in str(parts)) * 12.9898) % 1


def results(path, grid=GRID, langs=LANGS, seeds=SEEDS):
    rows = [
        row
        for n in grid
        for row in perf_rows(
            langs,
            seeds,
            lambda kind, tested, donor, seed, n=n: perf(tested, seed, n),
            budget=n,
        )
        if row[2] == "single"
    ]
    return write_results(path, rows)


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    root = tmp_path_factory.mktemp("regime")
    path, outdir = results(root / "results.tsv"), root / "regime"
    with redirect_stdout(io.StringIO()) as out, redirect_stderr(io.StringIO()) as err:
        main(
            ["--results", str(path), "--outdir", str(outdir), "--languages_conf", CONF]
        )
    regime = json.loads((outdir / "regime.json").read_text())
    return outdir, regime, (out.getvalue(), err.getvalue())


def test_files_are_written_and_the_suggestion_printed(found):
    outdir, regime, (out, err) = found
    assert sorted(path.name for path in outdir.iterdir()) == [
        "learning_curves.tsv",
        "regime.json",
        "regime.pdf",
        "regime.png",
    ]
    assert regime["suggested_n"] in regime["regime"]
    assert regime["conclusion"] in out
    assert f"Suggested: N = {regime['suggested_n']} utterances per class" in out
    assert err == ""


def test_the_json_holds_all_that_is_drawn(found):
    _, regime, _ = found
    assert regime["settings"] == {
        "tau": 0.05,
        "z": 1.3,
        "epsilon": 0.05,
        "threshold": 1.0,
        "smoothing": 5.0,
        "drop_outliers": True,
    }
    assert regime["by_n"]["n"] == [4, 8, 16]
    assert len(regime["smoothed"]["n"]) == len(regime["smoothed"]["ci_min"]) == 200
    assert regime["languages"]["ca"]["name"] == "Catalan"
    for code in LANGS:
        language = regime["languages"][code]
        assert language["curve"]["n"] == list(GRID)
        expected = [sum(perf(code, seed, n) for seed in SEEDS) / 3 for n in GRID]
        assert language["curve"]["mean"] == pytest.approx(expected)
        gains = language["gains"]
        assert gains["n"] == [4, 8, 16]
        for k in range(3):
            assert gains["gain"][k] == pytest.approx(expected[k + 1] - expected[k])
            parts = [gains[name][k] for name in ("relative_gain", "noise", "slope")]
            assert gains["ci_min"][k] == min(parts)
            assert (gains["limit"][k] is None) == (gains["ci_min"][k] >= 1)
    medians = zip(
        *(regime["languages"][c]["gains"]["ci_min"] for c in LANGS), strict=True
    )
    assert regime["by_n"]["median"] == [sorted(values)[1] for values in medians]


def test_the_table_has_a_line_for_every_language_and_n(found):
    outdir, regime, _ = found
    with (outdir / "learning_curves.tsv").open() as lines:
        rows = list(csv.DictReader(lines, delimiter="\t"))
    assert [(row["language"], int(row["n"])) for row in rows] == [
        (code, n) for code in LANGS for n in GRID
    ]
    for row in rows:
        gains = regime["languages"][row["language"]]["gains"]
        if row["n"] == "32":
            assert row["gain"] == row["ci_min"] == row["n_paired"] == ""
        else:
            k = gains["n"].index(int(row["n"]))
            assert float(row["ci_min"]) == gains["ci_min"][k]
            assert float(row["gain_se"]) == gains["gain_se"][k]


@pytest.mark.slow
def test_the_same_results_give_the_same_bytes_under_any_hash_seed(tmp_path, found):
    here = os.environ.get("PYTHONHASHSEED")
    command = [sys.executable, ROOT / "local" / "find_regime.py"]
    command += ["--results", found[0].parent / "results.tsv", "--outdir", tmp_path]
    subprocess.run(
        [*command, "--languages_conf", CONF],
        env={"PYTHONPATH": str(ROOT), "PYTHONHASHSEED": "2" if here == "1" else "1"},
        check=True,
        capture_output=True,
    )
    written, other = (
        {path.name: path.read_bytes() for path in outdir.iterdir()}
        for outdir in (found[0], tmp_path)
    )
    assert written == other


def test_one_seed_leaves_null_where_there_is_no_error(tmp_path):
    path = results(tmp_path / "results.tsv", seeds=(42,))
    main(["--results", str(path), "--outdir", str(tmp_path), "--languages_conf", CONF])
    regime = json.loads((tmp_path / "regime.json").read_text())
    assert regime["languages"]["ca"]["gains"]["noise"] == [None] * 3
    assert regime["languages"]["ca"]["curve"]["se"] == [None] * 4
    assert "One seed gives no standard error" in regime["notes"][0]


@pytest.mark.parametrize(
    ("grid", "more", "message"),
    [
        (GRID, ("--task", "speaker"), "has no task 'speaker'; it has gender"),
        (GRID, ("--metric", "f2"), "has no metric 'f2' of task gender"),
        ((8,), (), "for N = 8 only"),
        ((8, 24), (), "N = 8 24, but no language has N and 2N"),
        (GRID, ("--languages_conf", "none.yaml"), "none.yaml cannot be read"),
    ],
    ids=lambda value: " ".join(map(str, value)) if isinstance(value, tuple) else "",
)
def test_what_cannot_be_done_is_one_sentence_and_leaves_nothing(
    tmp_path, capsys, grid, more, message
):
    path = results(tmp_path / "results.tsv", grid)
    outdir = tmp_path / "out"
    options = ["--results", str(path), "--outdir", str(outdir)]
    with pytest.raises(SystemExit) as status:
        main([*options, "--languages_conf", CONF, *more])
    assert status.value.code == 1
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
    assert not outdir.exists()


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--tau", "0"),
        ("--z", "-1"),
        ("--epsilon", "nan"),
        ("--threshold", "x"),
        ("--smoothing", "inf"),
        ("--drop_outliers", "maybe"),
    ],
)
def test_a_setting_out_of_range_is_refused(capsys, option, value):
    with pytest.raises(SystemExit):
        get_parser().parse_args(["--results", "r", "--outdir", "o", option, value])
    assert f"not '{value}'" in capsys.readouterr().err
