"""What makes a data directory valid, and every place where one is not.

Takes directories as :mod:`espnet2_cltm.corpus.datadir` describes them, gives all
problems in the order of files and lines. Like Kaldi's ``validate_data_dir.sh``, but
it knows ``utt2gender``, goes on after the first problem and also compares the splits
of a language. Files other than those known here are not looked at.
"""

import itertools
import math
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from espnet2_cltm.corpus.datadir import GENDERS, SPLITS, audio_file

REQUIRED = ("wav.scp", "utt2spk", "spk2utt")
# These must name every utterance: Kaldi's tools drop what one of them does not name.
# utt2gender and spk2gender may be silent where a gender is not known.
COMPLETE = ("wav.scp", "utt2lang", "utt2dur", "text")
OPTIONAL = ("utt2gender", "spk2gender", "utt2lang", "utt2dur", "text")


@dataclass(frozen=True)
class Problem:
    """Something wrong in a data directory.

    Attributes:
        path: The file, or the directory where a file is missing.
        line: Line number from 1, or None where no single line is to blame.
        sentence: What is wrong.
    """

    path: Path
    line: int | None
    sentence: str

    def __str__(self) -> str:
        place = self.path if self.line is None else f"{self.path}:{self.line}"
        return f"{place}: {self.sentence}"


@dataclass(frozen=True)
class Table:
    """A file's values by key, in its order.

    Attributes:
        values: What follows the key.
        passed_over: Numbers of the lines that gave no entry.
    """

    values: dict[str, str]
    passed_over: frozenset[int] = frozenset()

    def line(self, key: str) -> int:
        """Number of the line of ``key``."""
        return self._lines[key]

    @cached_property
    def _lines(self) -> dict[str, int]:
        # Needed for problems alone, so that a valid table of a million lines is cheap.
        numbers = (n for n in itertools.count(1) if n not in self.passed_over)
        return dict(zip(self.values, numbers, strict=False))


def validate_data_dir(
    directory: Path | str, check_audio: bool = False, require_gender: bool = False
) -> list[Problem]:
    """Check one data directory.

    Args:
        directory: Holds ``wav.scp``, ``utt2spk`` and the other files.
        check_audio: Also check that the files in ``wav.scp`` exist (pipes are not
            run).
        require_gender: Also check that ``utt2gender`` names every utterance.

    Returns:
        All problems; none means valid.
    """
    directory = Path(directory)
    if not directory.is_dir():
        return [Problem(directory, None, "the directory is missing.")]
    problems: list[Problem] = []
    tables: dict[str, Table] = {}
    if (directory / "segments").exists():
        problems.append(
            Problem(
                directory / "segments",
                None,
                "segments are not supported; each line of wav.scp must be one "
                "utterance.",
            )
        )
    for name in (*REQUIRED, *OPTIONAL):
        path = directory / name
        if path.exists():
            tables[name], found = _read(path)
            problems += found
        elif name in REQUIRED or (require_gender and name == "utt2gender"):
            problems.append(Problem(path, None, "the file is missing."))
    for check in (
        _check_ids,
        _check_speakers,
        _check_genders,
        _check_languages,
        _check_durations,
    ):
        problems += check(directory, tables)
    if require_gender and {"utt2gender", "utt2spk"} <= tables.keys():
        problems += _check_named(directory, "utt2gender", tables)
    if check_audio:
        problems += _check_audio(directory, tables)
    return problems


def validate_splits(directories: Mapping[str, Path]) -> list[Problem]:
    """Check that no speaker is in two splits of one language.

    Args:
        directories: Data directories by split name; one without ``utt2spk`` is passed
            over, as :func:`validate_data_dir` reports it.

    Returns:
        A problem for each speaker of a split that an earlier one has.
    """
    problems = []
    home: dict[str, str] = {}
    for split, directory in directories.items():
        path = Path(directory) / "utt2spk"
        if not path.is_file():
            continue
        table, _ = _read(path)
        firsts: dict[str, str] = {}
        for utterance, speaker in table.values.items():
            firsts.setdefault(speaker, utterance)
        for speaker, utterance in firsts.items():
            if home.setdefault(speaker, split) != split:
                sentence = f"speaker {speaker} is also in {home[speaker]}."
                problems.append(Problem(path, table.line(utterance), sentence))
    return problems


def validate_language(
    directory: Path | str, check_audio: bool = False, require_gender: bool = False
) -> list[Problem]:
    """Check train, dev and test of a language, each alone and against each other."""
    directory = Path(directory)
    problems = []
    for split in SPLITS:
        problems += validate_data_dir(directory / split, check_audio, require_gender)
    return problems + validate_splits({split: directory / split for split in SPLITS})


def _read(path: Path) -> tuple[Table, list[Problem]]:
    """Read a table and check what holds for every file: bytes, order, unique ids."""
    values: dict[str, str] = {}
    problems: list[Problem] = []
    passed_over: set[int] = set()

    def report(line: int | None, sentence: str) -> None:
        problems.append(Problem(path, line, sentence))

    try:
        content = path.read_bytes()
    except OSError as error:
        return Table({}), [Problem(path, None, f"cannot be read ({error.strerror}).")]
    if not content:
        return Table({}), [Problem(path, None, "the file is empty.")]
    if not content.endswith(b"\n"):
        line = content.count(b"\n") + 1
        report(line, "the last line does not end with a line feed.")
    problems += _check_characters(path, content)
    # What is reported need not be stumbled over again.
    text = content.decode("utf-8", errors="replace")
    text = text.replace("\t", " ").replace("\r", "").replace("\0", "")
    repeated: dict[str, list[int]] = {}
    previous = ""
    for number, line in enumerate(text.removesuffix("\n").split("\n"), start=1):
        key, _, value = line.partition(" ")
        if not key or key in values:
            if key:
                repeated.setdefault(key, []).append(number)
            else:
                report(number, "the line has no id in front.")
            passed_over.add(number)
            continue
        # Code points sort as their UTF-8 bytes do, which is the C locale's order.
        if key < previous:
            report(number, f"{key} is not in the C locale's order after {previous}.")
        previous = key
        values[key] = value.strip()
        if not values[key] and path.name != "text":
            report(number, f"{key} has no value.")
    table = Table(values, frozenset(passed_over))
    for key, numbers in repeated.items():
        for number in numbers:
            report(number, f"{key} stands twice, first in line {table.line(key)}.")
    problems.sort(key=lambda problem: problem.line or 0)
    return table, problems


def _check_characters(path: Path, content: bytes) -> Iterator[Problem]:
    """Check that no line holds NUL, tab, CR, or something that is not UTF-8."""
    named = {b"\0": "NUL", b"\t": "tab", b"\r": "CR"}
    found = {
        character: name for character, name in named.items() if character in content
    }
    try:
        content.decode("utf-8")
        all_utf8 = True
    except UnicodeDecodeError:
        all_utf8 = False
    if all_utf8 and not found:
        return
    for number, line in enumerate(content.split(b"\n"), start=1):
        for character, name in found.items():
            if character in line:
                yield Problem(path, number, f"the line holds a {name} character.")
        try:
            line.decode("utf-8")
        except UnicodeDecodeError as error:
            yield Problem(path, number, f"the line is not UTF-8 ({error.reason}).")


def _check_ids(directory: Path, tables: Mapping[str, Table]) -> Iterator[Problem]:
    """Check that files name the same utterances, and no unknown ones."""
    if "utt2spk" not in tables:
        return
    for name in COMPLETE:
        if name in tables:
            yield from _check_named(directory, name, tables)
    for name in (*COMPLETE, "utt2gender"):
        table = tables.get(name, Table({}))
        for utterance in table.values:
            if utterance not in tables["utt2spk"].values:
                sentence = f"{utterance} is not in utt2spk."
                yield Problem(directory / name, table.line(utterance), sentence)


def _check_named(
    directory: Path, name: str, tables: Mapping[str, Table]
) -> Iterator[Problem]:
    for utterance in tables["utt2spk"].values:
        if utterance not in tables[name].values:
            line = tables["utt2spk"].line(utterance)
            yield Problem(directory / "utt2spk", line, f"{utterance} is not in {name}.")


def _check_speakers(directory: Path, tables: Mapping[str, Table]) -> Iterator[Problem]:
    """Check speaker ids, their order, and spk2utt against utt2spk."""
    utt2spk, path = tables.get("utt2spk", Table({})), directory / "utt2spk"
    utterances: dict[str, list[str]] = {}
    previous = ""
    for utterance, speaker in utt2spk.values.items():
        if not speaker:
            continue
        if " " in speaker:
            sentence = f"speaker '{speaker}' has white space."
            yield Problem(path, utt2spk.line(utterance), sentence)
        elif not utterance.startswith(f"{speaker}-"):
            yield Problem(
                path,
                utt2spk.line(utterance),
                f"{utterance} does not begin with its speaker's id and a dash, "
                f"'{speaker}-'.",
            )
        elif speaker < previous:
            yield Problem(
                path,
                utt2spk.line(utterance),
                f"speaker {speaker} is not in the C locale's order after {previous}; "
                "speaker ids of one length keep it.",
            )
        previous = speaker
        utterances.setdefault(speaker, []).append(utterance)
    if "spk2utt" in tables and "utt2spk" in tables:
        yield from _check_spk2utt(directory / "spk2utt", tables, utterances)


def _check_spk2utt(
    path: Path, tables: Mapping[str, Table], utterances: Mapping[str, list[str]]
) -> Iterator[Problem]:
    """Check that spk2utt is the inverse of utt2spk (``utterances`` by speaker)."""
    spk2utt, utt2spk = tables["spk2utt"], tables["utt2spk"].values
    for speaker, value in spk2utt.values.items():
        listed, belonging = value.split(), utterances.get(speaker, [])
        if listed == belonging:
            continue
        line = spk2utt.line(speaker)
        for utterance in sorted(set(listed) - set(belonging)):
            owner = f"{utt2spk[utterance]}'s" if utterance in utt2spk else "not there"
            sentence = f"{utterance} of {speaker} is {owner} in utt2spk."
            yield Problem(path, line, sentence)
        for utterance in sorted(set(belonging) - set(listed)):
            sentence = f"{utterance} of {speaker} in utt2spk is not listed."
            yield Problem(path, line, sentence)
        if len(listed) > len(set(listed)):
            yield Problem(path, line, f"an utterance of {speaker} stands twice.")
        elif set(listed) == set(belonging):
            sentence = f"utterances of {speaker} are not in the C locale's order."
            yield Problem(path, line, sentence)
    for speaker in sorted(utterances.keys() - spk2utt.values.keys()):
        yield Problem(path, None, f"speaker {speaker} of utt2spk is not there.")


def _check_genders(directory: Path, tables: Mapping[str, Table]) -> Iterator[Problem]:
    """Check m and f, and one gender a speaker in both files."""
    for name in ("utt2gender", "spk2gender"):
        table = tables.get(name, Table({}))
        for key, gender in table.values.items():
            if gender and gender not in GENDERS:
                sentence = f"gender of {key} is '{gender}', not m or f."
                yield Problem(directory / name, table.line(key), sentence)
    if "utt2spk" not in tables:
        return
    utt2spk = tables["utt2spk"].values
    speakers = set(utt2spk.values())
    by_speaker = tables.get("spk2gender", Table({}))
    by_utterance = tables.get("utt2gender", Table({}))
    path = directory / "spk2gender"
    for speaker in by_speaker.values:
        if speaker not in speakers:
            sentence = f"speaker {speaker} is not in utt2spk."
            yield Problem(path, by_speaker.line(speaker), sentence)
    stated = dict(by_speaker.values)
    first: dict[str, str] = {}
    for utterance, gender in by_utterance.values.items():
        speaker = utt2spk.get(utterance)
        if speaker is None:
            continue
        first.setdefault(speaker, utterance)
        other = stated.setdefault(speaker, gender)
        if other != gender:
            if speaker in by_speaker.values:
                where = f"spk2gender:{by_speaker.line(speaker)}"
            else:
                where = f"line {by_utterance.line(first[speaker])}"
            yield Problem(
                directory / "utt2gender",
                by_utterance.line(utterance),
                f"speaker {speaker} is {gender} here but {other} in {where}.",
            )
    if {"utt2gender", "spk2gender"} <= tables.keys():
        for speaker in sorted(first.keys() - by_speaker.values.keys()):
            sentence = f"speaker {speaker}, whose gender utt2gender has, is not there."
            yield Problem(path, None, sentence)


def _check_languages(directory: Path, tables: Mapping[str, Table]) -> Iterator[Problem]:
    """Check that a directory holds one language."""
    table = tables.get("utt2lang", Table({}))
    first = next(iter(table.values.values()), "")
    for utterance, lang in table.values.items():
        if lang != first:
            yield Problem(
                directory / "utt2lang",
                table.line(utterance),
                f"{utterance} is '{lang}' while the first line says '{first}'; a "
                "directory holds one language.",
            )


def _check_durations(directory: Path, tables: Mapping[str, Table]) -> Iterator[Problem]:
    """Check that durations are numbers above 0."""
    table = tables.get("utt2dur", Table({}))
    for utterance, value in table.values.items():
        try:
            duration = float(value)
        except ValueError:
            duration = math.nan
        if value and not 0 < duration < math.inf:
            yield Problem(
                directory / "utt2dur",
                table.line(utterance),
                f"duration of {utterance} is '{value}', not a number of seconds above "
                "0.",
            )


def _check_audio(directory: Path, tables: Mapping[str, Table]) -> Iterator[Problem]:
    """Check that the files of wav.scp exist."""
    table = tables.get("wav.scp", Table({}))
    for utterance, value in table.values.items():
        file = audio_file(value) if value else None
        if file is not None and not os.path.isfile(file):
            yield Problem(
                directory / "wav.scp",
                table.line(utterance),
                f"audio of {utterance}, {file}, does not exist.",
            )


def find_data_dirs(directory: Path | str) -> list[Path]:
    """Find the data directories at and below a directory.

    Args:
        directory: A data directory, a language's (``train``, ``dev``, ``test``), a
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


def group_splits(directories: Iterable[Path]) -> list[dict[str, Path]]:
    """Put together the directories that are splits of one language.

    Args:
        directories: Data directories; those named ``train``, ``dev`` and ``test`` in
            the same place belong together.

    Returns:
        For each language, its directories by split.
    """
    groups: dict[Path, dict[str, Path]] = {}
    for directory in directories:
        if directory.name in SPLITS:
            groups.setdefault(directory.parent, {})[directory.name] = directory
    return list(groups.values())
