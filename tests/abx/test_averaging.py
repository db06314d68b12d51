"""Two errors on the same speakers, compared draw by draw."""

import numpy as np
import pandas as pd
import pytest

from espnet2_cltm.abx.averaging import (
    compare_errors,
    read_speaker_errors,
    write_speaker_errors,
)
from espnet2_cltm.errors import UserError

SPEAKERS = [f"s{number}" for number in range(8)]


def errors(of_speaker):
    rows = [
        ("a", "b", one, other, 2, of_speaker[one])
        for one in SPEAKERS
        for other in SPEAKERS
        if one != other
    ]
    names = ["label", "other", "speaker", "x_speaker", "cells", "error"]
    return pd.DataFrame(rows, columns=names)


def test_what_all_speakers_share_is_sure_however_they_differ():
    spread = dict(zip(SPEAKERS, np.linspace(0.05, 0.4, 8), strict=True))
    worse = {speaker: error + 0.02 for speaker, error in spread.items()}
    found = compare_errors(errors(worse), errors(spread), 200, 0)
    assert found.difference == pytest.approx(0.02)
    assert (found.low, found.high) == pytest.approx((0.02, 0.02))
    assert (found.pairs, found.speakers) == (1, 8)


def test_errors_are_read_as_they_were_written_and_need_common_speakers(tmp_path):
    path = tmp_path / "speakers/es.x.0.tsv.gz"
    ours = errors(dict.fromkeys(SPEAKERS, 1 / 3))
    write_speaker_errors(path, ours)
    pd.testing.assert_frame_equal(read_speaker_errors(path), ours)
    assert compare_errors(ours, ours.assign(label="q"), 0, 0) is None
    path.write_bytes(b"no table")
    with pytest.raises(UserError, match=r"es\.x\.0\.tsv\.gz cannot be read"):
        read_speaker_errors(path)
