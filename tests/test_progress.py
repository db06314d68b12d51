"""Progress in a log file: whole lines, no carriage returns, none of what is quick."""

import io
import sys

import tqdm.std

from espnet2_cltm.progress import progress


def test_every_state_is_a_line_of_its_own_in_a_log_file(monkeypatch):
    log = io.StringIO()
    monkeypatch.setattr(sys, "stderr", log)
    clock = [1000.0]
    monkeypatch.setattr(tqdm.std, "time", lambda: clock[0])
    for n in progress(range(3), description="Decoding", unit="utt"):
        assert log.getvalue().count("\n") == n
        clock[0] += 11
    lines = log.getvalue().splitlines()
    assert "\r" not in log.getvalue() and all(lines)
    assert lines[0].startswith("Decoding:  33%") and "3/3" in lines[-1]


def test_what_takes_under_a_second_shows_nothing(monkeypatch):
    log = io.StringIO()
    monkeypatch.setattr(sys, "stderr", log)
    assert list(progress(range(3), description="Decoding", unit="utt")) == [0, 1, 2]
    assert log.getvalue() == ""
