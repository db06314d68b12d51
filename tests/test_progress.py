"""Progress in a log file: whole lines, no carriage returns."""

import io
import sys

from espnet2_cltm.progress import progress


def test_every_state_is_a_line_of_its_own_in_a_log_file(monkeypatch):
    log = io.StringIO()
    monkeypatch.setattr(sys, "stderr", log)
    assert list(progress(range(3), description="Decoding", unit="utt")) == [0, 1, 2]
    lines = log.getvalue().splitlines()
    assert "\r" not in log.getvalue() and all(lines)
    assert lines[0].startswith("Decoding:   0%") and "3/3" in lines[-1]
