"""Kinds of options: what a text is read as, and what is refused."""

import pytest

from espnet2_cltm.options import MAX_SEED, SEEDS


@pytest.mark.parametrize(
    ("text", "seeds"),
    [
        ("43 42", (42, 43)),
        ("42-45", (42, 43, 44, 45)),
        ("7 1-3 5-5", (1, 2, 3, 5, 7)),
        (f"{MAX_SEED - 1}-{MAX_SEED}", (MAX_SEED - 1, MAX_SEED)),
    ],
)
def test_seeds_are_numbers_and_ranges(text, seeds):
    assert SEEDS.read(text) == seeds


@pytest.mark.parametrize(
    "text", ["3-1", "1-", "-1", "1-2-3", "1-3 2", "a-b", f"1-{MAX_SEED}", "1,2", "1 1"]
)
def test_seeds_that_are_none_are_refused(text):
    with pytest.raises(ValueError):
        SEEDS.read(text)
