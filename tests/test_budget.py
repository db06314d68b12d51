"""N of seconds is a number that is not mixed up with one of utterances."""

import copy

import pytest
import yaml

from espnet2_cltm.budget import Seconds, read_budget


def test_seconds_are_told_from_utterances():
    assert Seconds(120) != 120 and not 120 == Seconds(120)  # noqa: SIM300, SIM201
    assert Seconds(120) == Seconds(120) and len({Seconds(120), 120}) == 2
    assert 2 * Seconds(60) == Seconds(60) * 2 == Seconds(120)
    assert f"n{Seconds(120)}" == "n120s"
    assert copy.deepcopy(Seconds(5)) == Seconds(5)


@pytest.mark.parametrize("n", [0, 7, Seconds(120)])
def test_text_is_read_back(n):
    read = read_budget(str(n))
    assert read == n and type(read) is type(n)
    assert read_budget(str(yaml.safe_load(yaml.safe_dump({"n": n}))["n"])) == n


@pytest.mark.parametrize("text", ["", "s", "-1", "1.5", "12 s", "12m", "1²"])
def test_other_texts_are_refused(text):
    with pytest.raises(ValueError, match="is not a number"):
        read_budget(text)
