"""The table of published matrices says what the shipped matrices hold."""

import re

import numpy as np
import pytest

from espnet2_cltm.matrix.matrix_files import read_published
from tests.docs.markdown import ROOT

ROWS = re.findall(
    r"^\| `(\w+)` \|[^|]*\|(.+)\|$",
    (ROOT / "docs" / "published.md").read_text(encoding="utf-8"),
    re.MULTILINE,
)


@pytest.mark.parametrize(("name", "numbers"), ROWS)
def test_numbers_of_a_published_matrix(name, numbers):
    values = read_published(name).values
    n = len(values)
    cells = values[~np.eye(n, dtype=bool)]
    expected = [
        n,
        cells.mean(),
        (cells > 0).mean(),
        (cells > 1).mean(),
        np.linalg.norm(values - 1) / n,
        np.linalg.norm(values - values.T) / np.linalg.norm(values),
        cells.min(),
        cells.max(),
    ]
    shown = numbers.replace("\u2212", "-").replace(",", "|").split("|")
    for text, value in zip(shown, expected, strict=True):
        decimals = len(text.strip().partition(".")[2])
        assert float(text) == pytest.approx(value, abs=10**-decimals)


def test_all_six_are_listed():
    assert len(ROWS) == 6
