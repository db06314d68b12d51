"""Times of phones: read whole or refused with the line, from stage 1 to stage 2."""

import pytest

from espnet2_cltm.corpus.datadir import Utterance, write_data_dir
from espnet2_cltm.corpus.phones import (
    CTM,
    Phone,
    ctm_lines,
    find_faults,
    read_phones,
    runs_of_speech,
)
from espnet2_cltm.corpus.validate import validate_data_dir
from espnet2_cltm.errors import UserError

KNOWN = {"s-1": 1.0, "s-2": 0.5}


def read(tmp_path, *lines):
    path = tmp_path / CTM
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return read_phones(path, KNOWN, KNOWN)


def test_lines_are_read_with_and_without_a_confidence(tmp_path):
    found = read(
        tmp_path,
        ";; by an aligner",
        "s-1 1 0 0.10 a",
        "s-2 A 0.200 0.1 t͡ʃ 0.98",
        "s-1 1 0.1 0.9 SIL",
    )
    assert found == {
        "s-1": [Phone(0, 0.1, "a"), Phone(0.1, 0.9, "SIL")],
        "s-2": [Phone(0.2, 0.1, "t͡ʃ")],
    }


def test_without_a_file_nothing_is_known(tmp_path):
    assert read_phones(tmp_path / CTM, KNOWN, KNOWN) == {}


def test_what_is_written_is_read(tmp_path):
    phones = [Phone(0.0123, 0.05, "ʃ"), Phone(0.0623, 0.1, "a")]
    (tmp_path / CTM).write_text(ctm_lines("s-1", phones), encoding="utf-8")
    assert read_phones(tmp_path / CTM, KNOWN, KNOWN) == {"s-1": phones}


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("s-1 1 0.1 0.2", r"line 2: 's-1 1 0\.1 0\.2' is not the time of a phone"),
        ("s-1 1 x 0.2 a", "line 2: .* is not the time of a phone"),
        ("s-1 1 0.1 0 a", "line 2: s-1 has a phone .* lasts 0 s"),
        ("s-1 1 -0.1 0.2 a", "line 2: s-1 has a phone from -0.1 s"),
        ("s-1 1 nan 0.2 a", "line 2: s-1 has a phone from nan s"),
        ("s-3 1 0.1 0.2 a", "line 2: the directory has no utterance s-3"),
        ("s-1 1 0.0 0.2 a", "line 2: s-1 has a phone from 0.0 s, before"),
        ("s-2 1 0.4 0.2 a", r"line 2: s-2 .* ends at 0\.600 s, .* ends at 0\.500 s"),
    ],
)
def test_a_wrong_line_is_named(tmp_path, line, why):
    with pytest.raises(UserError, match=f"{CTM}, {why}.*: .*\\."):
        read(tmp_path, "s-1 1 0 0.1 b", line)
    faults = list(find_faults(tmp_path / CTM, KNOWN, KNOWN))
    assert [fault.line for fault in faults] == [2]


def test_the_last_phone_may_end_a_frame_behind_the_audio(tmp_path):
    assert read(tmp_path, "s-2 1 0.4 0.12 a")


def test_silence_and_gaps_part_runs():
    phones = [
        *(Phone(0.0, 0.1, "a"), Phone(0.1, 0.1, "b"), Phone(0.2, 0.1, "sil")),
        *(Phone(0.3, 0.1, "c"), Phone(0.405, 0.1, "d"), Phone(0.6, 0.1, "e")),
    ]
    runs = [[p.symbol for p in run] for run in runs_of_speech(phones, 0.02)]
    assert runs == [["a", "b"], ["c", "d"], ["e"]]


def test_a_directory_gets_the_phones_of_its_utterances_and_loses_old_ones(tmp_path):
    rows = [Utterance("s-1", "s", "a.wav", duration=1.0)]
    phones = {"s-1": [Phone(0.5, 0.25, "a")], "s-9": [Phone(0, 1, "b")]}
    write_data_dir(tmp_path, rows, phones)
    assert (tmp_path / CTM).read_text() == "s-1 1 0.5000 0.2500 a\n"
    assert validate_data_dir(tmp_path) == []
    write_data_dir(tmp_path, rows)
    assert not (tmp_path / CTM).exists()


def test_validation_reports_every_wrong_line(tmp_path):
    rows = [Utterance("s-1", "s", "a.wav", duration=1.0)]
    write_data_dir(tmp_path, rows)
    (tmp_path / CTM).write_text("s-1 1 0.9 0.2 a\ns-2 1 0 1 a\ns-1 1 0 0.1 a\n")
    found = validate_data_dir(tmp_path)
    assert [(problem.path.name, problem.line) for problem in found] == [
        (CTM, 1),
        (CTM, 2),
    ]
