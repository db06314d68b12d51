from pathlib import Path

import pytest

from espnet2_cltm.corpus.datadir import Utterance, read_data_dir, write_data_dir
from espnet2_cltm.corpus.validate import (
    find_data_dirs,
    validate_data_dir,
    validate_language,
    validate_splits,
)


@pytest.fixture
def data(tmp_path) -> Path:
    write_data_dir(
        tmp_path,
        [
            Utterance(
                f"{s}-{n}", s, f"{tmp_path}/{s}{n}.wav", {"gender": g}, "ca", 1.5, "hi"
            )
            for s, g in (("s1", "f"), ("s2", "m"))
            for n in (1, 2)
        ],
    )
    return tmp_path


def problems(directory: Path, **options) -> list[str]:
    found = [str(problem) for problem in validate_data_dir(directory, **options)]
    return [problem.replace(f"{directory}/", "") for problem in found]


def test_a_good_directory_has_no_problem(data):
    assert problems(data) == []
    assert problems(data, require_labels=["gender"]) == []


# File, its text, the problems that this gives.
CASES = {
    "order": (
        "utt2lang",
        "s1-1 ca\ns2-1 ca\ns1-2 ca\ns2-2 ca\n",
        ["utt2lang:3: s1-2 is not in the C locale's order after s2-1."],
    ),
    "twice": (
        "utt2lang",
        "s1-1 ca\ns1-1 ca\ns1-2 ca\ns2-1 ca\ns2-2 ca\n",
        ["utt2lang:2: s1-1 appears twice, first in line 1."],
    ),
    "missing and unknown": (
        "wav.scp",
        "s1-1 a\ns1-2 a\ns1-3 a\ns2-1 a\n",
        ["utt2spk:4: s2-2 is not in wav.scp.", "wav.scp:3: s1-3 is not in utt2spk."],
    ),
    "partial text": (
        "text",
        "s1-1 hi\ns1-2\ns2-1 hi\n",
        ["utt2spk:4: s2-2 is not in text."],
    ),
    "spk2utt": (
        "spk2utt",
        "s1 s1-1 s2-1\ns2 s2-1 s2-2 s2-2\ns3 s3-1\n",
        [
            f"spk2utt:{n}: utterances of {s} are not those of utt2spk, each once and "
            f"in the C locale's order{odd}."
            for n, s, odd in (
                (1, "s1", ": s1-2 s2-1"),
                (2, "s2", ""),
                (3, "s3", ": s3-1"),
            )
        ],
    ),
    "spk2utt order and speaker": (
        "spk2utt",
        "s1 s1-2 s1-1\n",
        [
            "spk2utt:1: utterances of s1 are not those of utt2spk, each once and in "
            "the C locale's order.",
            "spk2utt: utterances of s2 are not those of utt2spk, each once and in the "
            "C locale's order: s2-1 s2-2.",
        ],
    ),
    "genders": (
        "utt2gender",
        "s1-1 female\ns1-2 f\ns2-1 f\ns2-2 m\ns9-1 m\n",
        [
            "utt2gender:5: s9-1 is not in utt2spk.",
            "utt2gender:1: gender of s1-1 is 'female', not m or f.",
            "utt2gender:1: speaker s1 is female here but f in spk2gender:1.",
            "utt2gender:3: speaker s2 is f here but m in spk2gender:2.",
        ],
    ),
    "speakers' genders": (
        "spk2gender",
        "s2 x\ns3 m\n",
        [
            "spk2gender:1: gender of s2 is 'x', not m or f.",
            "spk2gender:2: speaker s3 is not in utt2spk.",
            "utt2gender:3: speaker s2 is m here but x in spk2gender:1.",
            "utt2gender:4: speaker s2 is m here but x in spk2gender:1.",
            "spk2gender: speaker s1, whose gender utt2gender has, is not there.",
        ],
    ),
    "languages": (
        "utt2lang",
        "s1-1 ca\ns1-2 ca\ns2-1 es\ns2-2 ca\n",
        [
            "utt2lang:3: s2-1 is 'es' while the first line says 'ca'; a directory "
            "holds one language."
        ],
    ),
    "durations": (
        "utt2dur",
        "s1-1 0\ns1-2 -1\ns2-1 nan\ns2-2 1,5\n",
        [
            f"utt2dur:{line}: duration of {utt} is '{value}', not a number of seconds "
            "above 0."
            for line, utt, value in (
                (1, "s1-1", "0"),
                (2, "s1-2", "-1"),
                (3, "s2-1", "nan"),
                (4, "s2-2", "1,5"),
            )
        ],
    ),
    "characters": (
        "wav.scp",
        "s1-1 a\r\ns1-2\ta\ns2-1 a\0b\ns2-2 a",
        [
            "wav.scp:1: the line holds a CR character.",
            "wav.scp:2: the line holds a tab character.",
            "wav.scp:3: the line holds a NUL character.",
            "wav.scp:4: the last line does not end with a line feed.",
        ],
    ),
    "byte order mark": (
        "utt2lang",
        "\ufeffs1-1 ca\ns1-2 ca\ns2-1 ca\ns2-2 ca\n",
        ["utt2lang:1: the file begins with a byte order mark."],
    ),
    "no value, no id": (
        "wav.scp",
        "s1-1 a\n\ns1-2\ns2-1 a\n b\ns2-2 a\n",
        [
            "wav.scp:2: the line has no id in front.",
            "wav.scp:3: s1-2 has no value.",
            "wav.scp:5: the line has no id in front.",
        ],
    ),
    "empty": (
        "utt2lang",
        "",
        ["utt2lang: the file is empty."]
        + [
            f"utt2spk:{line}: {utt} is not in utt2lang."
            for line, utt in enumerate(("s1-1", "s1-2", "s2-1", "s2-2"), start=1)
        ],
    ),
}


@pytest.mark.parametrize("case", sorted(CASES))
def test_each_fault_is_named_with_its_line(data, case):
    name, text, expected = CASES[case]
    (data / name).write_bytes(text.encode())
    assert problems(data) == expected


def test_all_problems_are_reported_at_once(data):
    for case in ("order", "durations", "speakers' genders"):
        name, text, _ = CASES[case]
        (data / name).write_text(text)
    expected = [line for c in ("order", "durations") for line in CASES[c][2]]
    assert set(expected + CASES["speakers' genders"][2]) == set(problems(data))


def test_text_that_is_not_utf8_is_named(data):
    (data / "text").write_bytes(b"s1-1 caf\xe9\ns1-2 hi\ns2-1 hi\ns2-2 hi\n")
    assert problems(data) == ["text:1: the line is not UTF-8 (unexpected end of data)."]


def test_missing_files_are_named(data):
    for name in ("spk2utt", "utt2gender", "spk2gender"):
        (data / name).unlink()
    assert problems(data) == []
    assert problems(data, require_labels=["gender"]) == [
        "utt2gender: the file is missing.",
    ]
    (data / "utt2spk").unlink()
    assert problems(data) == ["utt2spk: the file is missing."]
    assert [str(p) for p in validate_data_dir(data / "nowhere")] == [
        f"{data}/nowhere: the directory is missing."
    ]


def test_an_unknown_gender_is_a_problem_only_on_request(data):
    (data / "utt2gender").write_text("s1-1 f\ns2-1 m\ns2-2 m\n")
    assert problems(data) == []
    assert problems(data, require_labels=["gender"]) == [
        "utt2spk:2: s1-2 is not in utt2gender."
    ]
    assert problems(data, require_labels=["age"]) == ["utt2age: the file is missing."]


def test_a_table_of_any_label_is_checked(data):
    (data / "utt2age").write_text("s1-2 teens\ns1-1 teens\ns9-1 teens\n")
    assert problems(data) == [
        "utt2age:2: s1-1 is not in the C locale's order after s1-2.",
        "utt2age:3: s9-1 is not in utt2spk.",
    ]
    (data / "utt2age").rename(data / "utt2age.old")
    assert problems(data) == []


def test_a_speaker_of_two_genders_is_named_without_spk2gender_too(data):
    (data / "spk2gender").unlink()
    (data / "utt2gender").write_text("s1-1 f\ns1-2 m\ns2-1 m\ns2-2 m\n")
    assert problems(data) == ["utt2gender:2: speaker s1 is m here but f in line 1."]


def test_utterances_begin_with_their_speaker(tmp_path):
    write_data_dir(
        tmp_path,
        [Utterance("s1_1", "s1", "a.wav"), Utterance("s2-1", "s2", "a.wav")],
    )
    assert problems(tmp_path) == [
        "utt2spk:1: s1_1 does not begin with its speaker's id and a dash, 's1-'."
    ]


def test_speakers_stand_in_order_too(tmp_path):
    write_data_dir(
        tmp_path,
        [Utterance("s1-2-1", "s1-2", "a.wav"), Utterance("s1-x", "s1", "a.wav")],
    )
    assert problems(tmp_path) == [
        "utt2spk:2: speaker s1 is not in the C locale's order after s1-2; speaker ids "
        "of one length keep it."
    ]


def test_a_speaker_id_has_no_white_space(data):
    (data / "utt2spk").write_text("s1-1 s1\ns1-2 s1\ns2-1 s2\ns2-2 s2 x\n")
    assert "utt2spk:4: speaker 's2 x' has white space." in problems(data)


def test_segments_name_recordings_of_wav_scp(data):
    (data / "wav.scp").write_text("rec a.wav\n")
    utts = ("s1-1", "s1-2", "s2-1", "s2-2")
    right = [f"{utt} rec {n} {n + 1.5}\n" for n, utt in enumerate(utts)]
    (data / "segments").write_text("".join(right))
    assert problems(data) == []
    assert len(read_data_dir(data)) == 4
    wrong = [right[0], "s1-2 tape 0 1\n", "s2-1 rec 5 3\n"]
    (data / "segments").write_text("".join(wrong))
    assert problems(data) == [
        "segments:2: recording tape is not in wav.scp.",
        "segments:3: s2-1 has 'rec 5 3', not a recording, a start and an end in "
        "seconds.",
        "utt2spk:4: s2-2 is not in segments.",
    ]


def test_a_directory_written_by_hand_needs_no_order(tmp_path):
    (tmp_path / "wav.scp").write_text("b b.wav\na a.wav\n")
    (tmp_path / "utt2spk").write_text("b anna\na zoe\n")
    assert problems(tmp_path) == []
    (tmp_path / "spk2utt").write_text("anna b\nzoe a\n")
    assert "wav.scp:2: a is not in the C locale's order after b." in problems(tmp_path)


def test_audio_is_looked_for_on_request(data):
    for name in ("s11", "s12", "s21"):
        (data / f"{name}.wav").touch()
    assert problems(data) == []
    assert problems(data, check_audio=True) == [
        f"wav.scp:4: audio of s2-2, {data}/s22.wav, does not exist.".replace(
            f"{data}/", ""
        )
    ]
    (data / "wav.scp").write_text(
        f"s1-1 cat /nowhere |\ns1-2 {data}/s11.wav:12\ns2-1 /no.ark:5\n"
        f"s2-2 {data}/s11.wav\n"
    )
    assert problems(data, check_audio=True) == [
        "wav.scp:3: audio of s2-1, /no.ark, does not exist."
    ]


def test_splits_that_share_a_speaker_are_named(tmp_path):
    for split, speakers in (("train", "ab"), ("dev", "bc"), ("test", "ca")):
        rows = [Utterance(f"{s}-1", s, "a.wav", {"gender": "f"}) for s in speakers]
        write_data_dir(tmp_path / split, rows)
    expected = [
        f"{tmp_path}/dev/utt2spk:1: speaker b is also in train.",
        f"{tmp_path}/test/utt2spk:1: speaker a is also in train.",
        f"{tmp_path}/test/utt2spk:2: speaker c is also in dev.",
    ]
    others = tmp_path / "other/test"
    write_data_dir(others, [Utterance("a-1", "a", "a.wav")])
    splits = [tmp_path / split for split in ("train", "dev", "test")]
    found = validate_splits([*splits, others, tmp_path])
    assert [str(problem) for problem in found] == expected
    assert [str(problem) for problem in validate_language(tmp_path)] == expected


def test_data_directories_are_found_below_a_directory(data, tmp_path):
    root = tmp_path / "all"
    for lang in ("ca", "es"):
        for split in ("train", "dev", "test"):
            (root / "common_voice" / lang / split).mkdir(parents=True)
    (root / "common_voice/es/test").rmdir()
    expected = [
        root / "common_voice" / lang / split
        for lang in ("ca", "es")
        for split in ("train", "dev", "test")
    ]
    assert find_data_dirs(root) == expected
    assert find_data_dirs(data) == [data]
    assert find_data_dirs(tmp_path / "nowhere") == []


def test_a_file_of_many_repeated_lines_does_not_take_for_ever(data):
    lines = [f"s1-{number:06d} ca\n" for number in range(30_000)] * 2
    (data / "utt2lang").write_text("".join(lines))
    twice = [line for line in problems(data) if "appears twice" in line]
    assert len(twice) == 30_000
    assert twice[-1] == "utt2lang:60000: s1-029999 appears twice, first in line 30000."
