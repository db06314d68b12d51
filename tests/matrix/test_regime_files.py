"""Only what find_regime writes is taken; anything else is told in one sentence."""

import copy
import json

import pytest

from espnet2_cltm.bin import find_regime
from espnet2_cltm.errors import UserError
from espnet2_cltm.matrix.regime_files import read_regime
from tests.matrix.results_files import perf_rows, write_results

CURVE = {2: 0.55, 4: 0.6, 8: 0.7, 16: 0.8}


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """regime.json of a search."""
    directory = tmp_path_factory.mktemp("regime")
    rows = [
        row
        for n, score in CURVE.items()
        for row in perf_rows(
            ("ca", "es"),
            (42, 43),
            lambda kind, tested, donor, seed, score=score: score + seed % 2 * 0.004,
            budget=n,
        )
        if row[2] == "single"
    ]
    results = write_results(directory / "results.tsv", rows)
    outdir = directory / "found"
    find_regime.main(["--results", str(results), "--outdir", str(outdir)])
    return outdir / "regime.json"


@pytest.fixture
def content(written):
    return copy.deepcopy(json.loads(written.read_text()))


def refusal(path, task="gender") -> str:
    with pytest.raises(UserError) as raised:
        read_regime(path, task)
    message = str(raised.value)
    assert str(path) in message
    assert "leave --regime out." in message
    assert "\n" not in message
    return message


def save(path, content) -> None:
    path.write_text(json.dumps(content))


def test_what_find_regime_writes_is_read(written, content):
    assert read_regime(written, "gender") == content


def test_another_task_is_refused(written):
    assert "is of task gender, the matrix of speaker" in refusal(written, "speaker")


def test_missing_file_and_directory_are_told(tmp_path):
    assert "cannot be read (No such file" in refusal(tmp_path / "regime.json")
    assert "cannot be read (Is a directory)" in refusal(tmp_path)


@pytest.mark.parametrize(
    "text",
    [b"", b'{"languages": '],
    ids=["empty", "cut off"],
)
def test_damaged_file_is_told(tmp_path, text):
    path = tmp_path / "regime.json"
    path.write_bytes(text)
    assert f"{path} is " in refusal(path)


@pytest.mark.parametrize("content", [[], 3, {}, {"task": "gender"}])
def test_other_json_is_told(tmp_path, content):
    path = tmp_path / "regime.json"
    save(path, content)
    assert "is not a regime.json" in refusal(path)


@pytest.mark.parametrize(
    ("place", "value", "reason"),
    [
        (("languages",), [], "languages is not a table"),
        (("suggested_n",), "16", "suggested_n is of another type"),
        (("advice",), [3], "advice is of another type"),
        (("settings", "threshold"), None, "settings.threshold is of another type"),
        (("by_n", "median"), [1.0], "by_n has lists of different lengths"),
        (("by_n", "n"), "2 4 8", "by_n.n is not such a list"),
        (("smoothed", "spans"), [[1]], "smoothed.spans is not such a list"),
        (("languages", "ca", "name"), 3, "languages.ca.name is of another type"),
        (("languages", "ca", "curve"), {}, "languages.ca.curve has no n"),
    ],
)
def test_part_that_is_damaged_is_named(tmp_path, content, place, value, reason):
    part = content
    for name in place[:-1]:
        part = part[name]
    part[place[-1]] = value
    path = tmp_path / "regime.json"
    save(path, content)
    assert f"is not a regime.json ({reason}" in refusal(path)
