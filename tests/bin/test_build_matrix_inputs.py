"""Files beside the results: each mistake is one sentence, and nothing is written."""

import json

import pytest

from espnet2_cltm.bin.build_matrix import main
from tests.matrix.results_files import write_results
from tests.report.reports import CONF, nine_languages

HEADER = "language_a\tlanguage_b\tgeographic\tgenetic\tsyntactic\tphonological\t"


@pytest.fixture(scope="module")
def rows():
    return nine_languages()


def refusal(tmp_path, rows, capsys, *options) -> str:
    """Build, which has to be refused; gives the message."""
    results = write_results(tmp_path / "results.tsv", rows)
    outdir = tmp_path / "cltm"
    fixed = ["--results", results, "--outdir", outdir, "--languages_conf", CONF]
    with pytest.raises(SystemExit) as raised:
        main([*map(str, fixed), *map(str, options)])
    assert raised.value.code == 1
    message = capsys.readouterr().err.splitlines()[-1]
    assert ": error: " in message
    assert not outdir.exists()
    return message


def test_regime_that_is_not_there(tmp_path, rows, capsys):
    path = tmp_path / "regime.json"
    message = refusal(tmp_path, rows, capsys, "--regime", path)
    assert f"{path} cannot be read (No such file or directory)" in message
    assert message.endswith("or leave --regime out.")


def test_regime_that_is_damaged(tmp_path, rows, capsys):
    path = tmp_path / "regime.json"
    path.write_text('{"languages": {')
    message = refusal(tmp_path, rows, capsys, "--regime", path)
    assert f"{path} is damaged (Expecting property name" in message
    path.write_text(json.dumps({"task": "gender"}))
    message = refusal(tmp_path, rows, capsys, "--regime", path)
    assert f"{path} is not a regime.json (it has no metric_label)" in message


def test_distances_that_are_not_there(tmp_path, rows, capsys):
    path = tmp_path / "distances.tsv"
    message = refusal(tmp_path, rows, capsys, "--distances", path)
    assert f"{path} cannot be read" in message
    assert "table of distances" in message


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("", "is empty: "),
        ("a,b\n1,2\n", "has no column language_a"),
        (
            HEADER + "inventory\nca\tes\t0.1\tfar\t0\t0\t0\n",
            "line 2: genetic is 'far', not a number",
        ),
        (
            HEADER + "inventory\nca\tes\t1.5\t0\t0\t0\t0\n",
            "line 2: geographic is '1.5', not a fraction from 0 to 1",
        ),
        (
            HEADER + "inventory\nca\tca\t0\t0\t0\t0\t0\n",
            "line 2: a pair of ca with itself",
        ),
    ],
)
def test_distances_that_are_damaged(tmp_path, rows, capsys, content, sentence):
    path = tmp_path / "distances.tsv"
    path.write_text(content)
    message = refusal(tmp_path, rows, capsys, "--distances", path)
    assert str(path) in message
    assert sentence in message


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("corpus: [demo\n", "line 2"),
        ("", "the settings of an experiment"),
        ("train_config: 3\n", "train_config"),
    ],
)
def test_settings_of_the_experiment_that_are_damaged(
    tmp_path, rows, capsys, content, reason
):
    path = tmp_path / "experiment.yaml"
    path.write_text(content)
    message = refusal(tmp_path, rows, capsys)
    assert str(path) in message
    assert reason in message
