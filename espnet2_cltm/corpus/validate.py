"""What makes a data directory valid, and every place where one is not.

Takes directories as :mod:`espnet2_cltm.corpus.datadir` describes them, returns all
problems in the order of files and lines. Like Kaldi's ``validate_data_dir.sh``, but it
knows labels, goes on after the first problem and also compares the splits of a
language. A directory with ``spk2utt`` is one of Kaldi's and keeps Kaldi's order of
lines and ids; without, it is as a user writes it by hand, which stage 1 puts in order.
Other files are not looked at.
"""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from espnet2_cltm.corpus.allowed_words import GENDERS
from espnet2_cltm.corpus.audio_places import audio_file, parse_segment
from espnet2_cltm.corpus.checked_table import CheckedTable, Problem
from espnet2_cltm.corpus.datadir import (
    IMAGES,
    SPLITS,
    label_tables,
    parse_duration,
)
from espnet2_cltm.corpus.phones import CTM, find_faults
from espnet2_cltm.corpus.pictures import read_picture
from espnet2_cltm.errors import UserError

REQUIRED = ("wav.scp", "utt2spk")
# These must name every utterance: Kaldi's tools drop what one of them does not name.
# Tables of labels may be silent where a label is not known.
COMPLETE = ("wav.scp", "segments", "utt2lang", "utt2dur", "text")


def validate_data_dir(
    directory: Path | str, check_audio: bool = False, require_labels: Sequence[str] = ()
) -> list[Problem]:
    """Check one data directory.

    Args:
        directory: Directory that holds ``wav.scp``, ``utt2spk`` and the other files.
        check_audio: Whether the files in ``wav.scp`` must exist (pipes are not run),
            and pictures be such.
        require_labels: Labels whose table must name every utterance.

    Returns:
        All problems; none means valid.
    """
    directory = Path(directory)
    if not directory.is_dir():
        return [Problem(directory, None, "the directory is missing.")]
    return list(_DataDir(directory).check(check_audio, require_labels))


def validate_splits(directories: Iterable[Path]) -> list[Problem]:
    """Check that no speaker is in two splits of one language.

    Args:
        directories: Data directories; those named ``train``, ``dev`` and ``test`` in
            the same place belong together. One without ``utt2spk`` is passed over, as
            :func:`validate_data_dir` reports it.

    Returns:
        A problem for each speaker of a split that an earlier one has.
    """
    problems = []
    home: dict[tuple[Path, str], str] = {}
    for directory in directories:
        language, split = directory.parent, directory.name
        path = directory / "utt2spk"
        if split not in SPLITS or not path.is_file():
            continue
        table = CheckedTable(path)
        firsts: dict[str, str] = {}
        for utterance, speaker in table.values.items():
            firsts.setdefault(speaker, utterance)
        for speaker, utterance in firsts.items():
            if (first := home.setdefault((language, speaker), split)) != split:
                sentence = f"speaker {speaker} is also in {first}."
                problems.append(Problem(path, table.line(utterance), sentence))
    return problems


def contradictory_genders(directory: Path | str) -> list[Problem]:
    """Check only that no speaker has two genders."""
    only = ("utt2spk", "utt2gender", "spk2gender")
    return list(_DataDir(Path(directory), only).contradictions())


def validate_language(
    directory: Path | str, check_audio: bool = False, require_labels: Sequence[str] = ()
) -> list[Problem]:
    """Check train, dev and test of a language, each alone and against each other."""
    splits = [Path(directory) / split for split in SPLITS]
    problems = []
    for split in splits:
        problems += validate_data_dir(split, check_audio, require_labels)
    return problems + validate_splits(splits)


class _DataDir:
    """The tables of a directory, or some of them."""

    def __init__(self, directory: Path, only: Sequence[str] = ()):
        self._directory = directory
        self._labels = label_tables(directory, "utt2")
        names = (*REQUIRED, "spk2utt", *COMPLETE[1:], IMAGES)
        paths = [directory / name for name in names]
        paths += self._labels.values()
        paths += label_tables(directory, "spk2").values()
        self._is_kaldis = (directory / "spk2utt").exists()
        words: dict[str, str] = {}
        self._tables = {
            path.name: CheckedTable(path, self._is_kaldis, words)
            for path in paths
            if path.exists() and (not only or path.name in only)
        }

    def check(
        self, check_audio: bool, require_labels: Sequence[str]
    ) -> Iterator[Problem]:
        required = [f"utt2{label}" for label in require_labels]
        for table in self._tables.values():
            yield from table.problems
        for name in (*REQUIRED, *required):
            if name not in self._tables:
                yield self._problem(name, "the file is missing.")
        yield from self._check_segments()
        yield from self._check_ids()
        yield from self._check_speakers()
        yield from self._check_spk2utt()
        yield from self._check_genders()
        yield from self._check_languages()
        yield from self._check_durations()
        yield from self._check_phones()
        for name in required:
            yield from self._check_named(name)
        if check_audio:
            yield from self._check_audio()
            yield from self._check_pictures()

    def _problem(self, name: str, sentence: str, key: str | None = None) -> Problem:
        """Make a problem of a file, or of the line of a key in it."""
        line = None if key is None else self._tables[name].line(key)
        return Problem(self._directory / name, line, sentence)

    def _values(self, name: str) -> Mapping[str, str]:
        return self._tables[name].values if name in self._tables else {}

    def _check_ids(self) -> Iterator[Problem]:
        """Check that files name the same utterances, and no unknown ones."""
        known = self._values("utt2spk")
        if "utt2spk" not in self._tables:
            return
        # Where there are segments, wav.scp names their recordings.
        complete = COMPLETE[1:] if "segments" in self._tables else COMPLETE
        for name in complete:
            yield from self._check_named(name)
        labels = (f"utt2{label}" for label in self._labels)
        for name in (*complete, IMAGES, *labels):
            if self._values(name).keys() <= known.keys():
                continue
            for utterance in self._values(name):
                if utterance not in known:
                    sentence = f"{utterance} is not in utt2spk."
                    yield self._problem(name, sentence, utterance)

    def _check_segments(self) -> Iterator[Problem]:
        """Check that segments are parts of recordings in wav.scp."""
        for utterance, value in self._values("segments").items():
            segment = parse_segment(value)
            sentence = None
            if value and segment is None:
                sentence = (
                    f"{utterance} has '{value}', not a recording, a start and an end "
                    "in seconds."
                )
            elif segment and segment.recording not in self._values("wav.scp"):
                sentence = f"recording {segment.recording} is not in wav.scp."
            if sentence:
                yield self._problem("segments", sentence, utterance)

    def _check_named(self, name: str) -> Iterator[Problem]:
        known, named = self._values("utt2spk"), self._values(name)
        if name not in self._tables or known.keys() <= named.keys():
            return
        for utterance in known:
            if utterance not in named:
                sentence = f"{utterance} is not in {name}."
                yield self._problem("utt2spk", sentence, utterance)

    def _check_speakers(self) -> Iterator[Problem]:
        """Check speaker ids and their order."""
        previous = ""
        for utterance, speaker in self._values("utt2spk").items():
            if not speaker:
                continue
            sentence = None
            if " " in speaker:
                sentence = f"speaker '{speaker}' has white space."
            elif self._is_kaldis and not utterance.startswith(f"{speaker}-"):
                sentence = (
                    f"{utterance} does not begin with its speaker's id and a dash, "
                    f"'{speaker}-'."
                )
            elif self._is_kaldis and speaker < previous:
                sentence = (
                    f"speaker {speaker} is not in the C locale's order after "
                    f"{previous}; speaker ids of one length keep it."
                )
            if sentence:
                yield self._problem("utt2spk", sentence, utterance)
            previous = speaker

    def _check_spk2utt(self) -> Iterator[Problem]:
        """Check that spk2utt is the inverse of utt2spk."""
        if not {"spk2utt", "utt2spk"} <= self._tables.keys():
            return
        utt2spk, spk2utt = self._values("utt2spk"), self._values("spk2utt")
        utterances: dict[str, list[str]] = {}
        for utterance, speaker in utt2spk.items():
            if speaker:
                utterances.setdefault(speaker, []).append(utterance)
        for speaker in sorted({*utterances, *spk2utt}):
            listed = spk2utt.get(speaker, "").split()
            belonging = utterances.get(speaker, [])
            if listed != belonging:
                odd = " ".join(sorted(set(listed) ^ set(belonging)))
                sentence = (
                    f"utterances of {speaker} are not those of utt2spk, each once and "
                    f"in the C locale's order{f': {odd}' if odd else ''}."
                )
                key = speaker if speaker in spk2utt else None
                yield self._problem("spk2utt", sentence, key)

    def _check_genders(self) -> Iterator[Problem]:
        """Check m and f, and that both files name the same speakers."""
        for name in ("utt2gender", "spk2gender"):
            for key, gender in self._values(name).items():
                if gender and gender not in GENDERS:
                    sentence = f"gender of {key} is '{gender}', not m or f."
                    yield self._problem(name, sentence, key)
        utt2spk = self._values("utt2spk")
        speakers, by_speaker = set(utt2spk.values()), self._values("spk2gender")
        for speaker in by_speaker:
            if speakers and speaker not in speakers:
                sentence = f"speaker {speaker} is not in utt2spk."
                yield self._problem("spk2gender", sentence, speaker)
        yield from self.contradictions()
        if "spk2gender" in self._tables:
            spoken = {utt2spk.get(utt, "") for utt in self._values("utt2gender")} - {""}
            for speaker in sorted(spoken - by_speaker.keys()):
                yield self._problem(
                    "spk2gender",
                    f"speaker {speaker}, whose gender utt2gender has, is not there.",
                )

    def contradictions(self) -> Iterator[Problem]:
        """Check that each speaker has one gender in both files."""
        # What states a speaker's gender first: the gender, the file and its key.
        stated = {
            speaker: (gender, "spk2gender", speaker)
            for speaker, gender in self._values("spk2gender").items()
        }
        for utterance, gender in self._values("utt2gender").items():
            speaker = self._values("utt2spk").get(utterance)
            if speaker is None:
                continue
            here = (gender, "utt2gender", utterance)
            other, name, key = stated.setdefault(speaker, here)
            if other != gender:
                line = self._tables[name].line(key)
                where = f"line {line}" if name == "utt2gender" else f"{name}:{line}"
                sentence = f"speaker {speaker} is {gender} here but {other} in {where}."
                yield self._problem("utt2gender", sentence, utterance)

    def _check_languages(self) -> Iterator[Problem]:
        """Check that a directory holds one language."""
        languages = self._values("utt2lang")
        first = next(iter(languages.values()), "")
        for utterance, lang in languages.items():
            if lang != first:
                sentence = (
                    f"{utterance} is '{lang}' while the first line says '{first}'; a "
                    "directory holds one language."
                )
                yield self._problem("utt2lang", sentence, utterance)

    def _check_durations(self) -> Iterator[Problem]:
        """Check that durations are numbers above 0."""
        for utterance, value in self._values("utt2dur").items():
            if value and parse_duration(value) is None:
                sentence = (
                    f"duration of {utterance} is '{value}', not a number of seconds "
                    "above 0."
                )
                yield self._problem("utt2dur", sentence, utterance)

    def _check_phones(self) -> Iterator[Problem]:
        """Check the times of phones."""
        path = self._directory / CTM
        if not path.exists():
            return
        durations = self._values("utt2dur").items()
        seconds = {u: s for u, d in durations if (s := parse_duration(d)) is not None}
        try:
            for fault in find_faults(path, self._values("utt2spk"), seconds):
                yield Problem(path, fault.line, f"{fault.why}.")
        except UserError as error:
            yield Problem(path, None, str(error))

    def _check_audio(self) -> Iterator[Problem]:
        """Check that the files of wav.scp exist."""
        for name, value in self._values("wav.scp").items():
            file = audio_file(value) if value else None
            if file is not None and not os.path.isfile(file):
                sentence = f"audio of {name}, {file}, does not exist."
                yield self._problem("wav.scp", sentence, name)

    def _check_pictures(self) -> Iterator[Problem]:
        """Check that the files of image.scp can be read."""
        faults: dict[str, str] = {"": ""}  # without a value it is reported already
        for utterance, file in self._values(IMAGES).items():
            if file not in faults:
                try:
                    read_picture(file, size=1)
                    faults[file] = ""
                except UserError as error:
                    faults[file] = str(error)
            if faults[file]:
                yield self._problem(IMAGES, faults[file], utterance)


def find_data_dirs(directory: Path | str) -> list[Path]:
    """Find the data directories at and below a directory.

    Args:
        directory: Data directory, a language's (``train``, ``dev``, ``test``), a
            corpus's, or one above.

    Returns:
        Data directories, sorted. A language that has some of the three splits counts
        as having all, so that a missing one is reported.
    """
    directory = Path(directory)
    if any((directory / name).is_file() for name in ("wav.scp", "utt2spk")):
        return [directory]
    if any((directory / split).is_dir() for split in SPLITS):
        return [directory / split for split in SPLITS]
    found: list[Path] = []
    if directory.is_dir():
        for entry in sorted(directory.iterdir()):
            if entry.is_dir():
                found += find_data_dirs(entry)
    return found
