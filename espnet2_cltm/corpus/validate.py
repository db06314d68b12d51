"""What makes a data directory valid, and every place where one is not.

Takes directories as :mod:`espnet2_cltm.corpus.datadir` describes them, gives all
problems in the order of files and lines. Like Kaldi's ``validate_data_dir.sh``, but
it knows ``utt2gender``, goes on after the first problem and also compares the splits
of a language. Files other than those known here are not looked at.
"""

import math
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from espnet2_cltm.corpus.datadir import GENDERS, SPLITS
from espnet2_cltm.corpus.kaldi import audio_file

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


@dataclass(frozen=True, slots=True)
class Entry:
    """Value of a key and the line where it stands."""

    value: str
    line: int


Table = Mapping[str, Entry]


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
        first_lines: dict[str, int] = {}
        for entry in table.values():
            first_lines.setdefault(entry.value, entry.line)
        for speaker, line in first_lines.items():
            if speaker in home:
                problems.append(
                    Problem(
                        path, line, f"speaker {speaker} is also in {home[speaker]}."
                    )
                )
            else:
                home[speaker] = split
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
    table: dict[str, Entry] = {}
    problems: list[Problem] = []

    def report(line: int | None, sentence: str) -> None:
        problems.append(Problem(path, line, sentence))

    try:
        content = path.read_bytes()
    except OSError as error:
        return {}, [Problem(path, None, f"cannot be read ({error.strerror}).")]
    if not content:
        return {}, [Problem(path, None, "the file is empty.")]
    lines = content.split(b"\n")
    if lines[-1]:
        report(len(lines), "the last line does not end with a line feed.")
    else:
        lines.pop()
    previous = ""
    for number, raw in enumerate(lines, start=1):
        for character, name in ((b"\0", "NUL"), (b"\t", "tab"), (b"\r", "CR")):
            if character in raw:
                report(number, f"the line holds a {name} character.")
        try:
            line = raw.decode("utf-8")
        except UnicodeDecodeError as error:
            report(number, f"the line is not UTF-8 ({error.reason}).")
            line = raw.decode("utf-8", errors="replace")
        # Already reported; what follows need not stumble over them again.
        line = line.replace("\t", " ").rstrip("\r").replace("\0", "")
        key, _, value = line.partition(" ")
        if not key:
            report(number, "the line has no id in front.")
            continue
        if key in table:
            report(number, f"{key} stands twice, first in line {table[key].line}.")
            continue
        # Code points sort as their UTF-8 bytes do, which is the C locale's order.
        if key < previous:
            report(number, f"{key} is not in the C locale's order after {previous}.")
        previous = key
        table[key] = Entry(value.strip(), number)
        if not value.strip() and path.name != "text":
            report(number, f"{key} has no value.")
    return table, problems


def _check_ids(directory: Path, tables: Mapping[str, Table]) -> Iterator[Problem]:
    """Check that files name the same utterances, and no unknown ones."""
    if "utt2spk" not in tables:
        return
    for name in COMPLETE:
        if name in tables:
            yield from _check_named(directory, name, tables)
    for name in (*COMPLETE, "utt2gender"):
        for utterance, entry in tables.get(name, {}).items():
            if utterance not in tables["utt2spk"]:
                yield Problem(
                    directory / name, entry.line, f"{utterance} is not in utt2spk."
                )


def _check_named(
    directory: Path, name: str, tables: Mapping[str, Table]
) -> Iterator[Problem]:
    for utterance, entry in tables["utt2spk"].items():
        if utterance not in tables[name]:
            yield Problem(
                directory / "utt2spk", entry.line, f"{utterance} is not in {name}."
            )


def _check_speakers(directory: Path, tables: Mapping[str, Table]) -> Iterator[Problem]:
    """Check speaker ids, their order, and spk2utt against utt2spk."""
    utt2spk, path = tables.get("utt2spk", {}), directory / "utt2spk"
    utterances: dict[str, list[str]] = {}
    previous = ""
    for utterance, entry in utt2spk.items():
        speaker = entry.value
        if len(speaker.split()) > 1:
            yield Problem(path, entry.line, f"speaker '{speaker}' has white space.")
        if not utterance.startswith(f"{speaker}-"):
            yield Problem(
                path,
                entry.line,
                f"{utterance} does not begin with its speaker's id and a dash, "
                f"'{speaker}-'.",
            )
        elif speaker < previous:
            yield Problem(
                path,
                entry.line,
                f"speaker {speaker} is not in the C locale's order after {previous}; "
                "speaker ids of one length keep it.",
            )
        previous = speaker
        utterances.setdefault(speaker, []).append(utterance)
    if "spk2utt" not in tables or "utt2spk" not in tables:
        return
    path = directory / "spk2utt"
    for speaker, entry in tables["spk2utt"].items():
        listed = entry.value.split()
        belonging = utterances.get(speaker, [])
        for utterance in sorted(set(listed) - set(belonging)):
            owner = utt2spk[utterance].value if utterance in utt2spk else "nobody"
            yield Problem(
                path,
                entry.line,
                f"{utterance} is listed for {speaker} but is {owner}'s in utt2spk.",
            )
        for utterance in sorted(set(belonging) - set(listed)):
            yield Problem(
                path, entry.line, f"{utterance} of {speaker} in utt2spk is not listed."
            )
        if len(listed) > len(set(listed)):
            yield Problem(path, entry.line, f"an utterance of {speaker} stands twice.")
    for speaker in sorted(utterances.keys() - tables["spk2utt"].keys()):
        yield Problem(path, None, f"speaker {speaker} of utt2spk is not there.")


def _check_genders(directory: Path, tables: Mapping[str, Table]) -> Iterator[Problem]:
    """Check m and f, and one gender a speaker in both files."""
    for name in ("utt2gender", "spk2gender"):
        for key, entry in tables.get(name, {}).items():
            if entry.value and entry.value not in GENDERS:
                yield Problem(
                    directory / name,
                    entry.line,
                    f"gender of {key} is '{entry.value}', not m or f.",
                )
    if "utt2spk" not in tables:
        return
    speakers = {entry.value for entry in tables["utt2spk"].values()}
    stated: dict[str, str] = {}
    for speaker, entry in tables.get("spk2gender", {}).items():
        if speaker not in speakers:
            yield Problem(
                directory / "spk2gender",
                entry.line,
                f"speaker {speaker} is not in utt2spk.",
            )
        stated[speaker] = f"{entry.value} in spk2gender"
    for utterance, entry in tables.get("utt2gender", {}).items():
        if utterance not in tables["utt2spk"]:
            continue
        speaker = tables["utt2spk"][utterance].value
        here = f"{entry.value} in line {entry.line}"
        other = stated.setdefault(speaker, here)
        if other.split()[0] != entry.value:
            yield Problem(
                directory / "utt2gender",
                entry.line,
                f"speaker {speaker} is {entry.value} here but {other}.",
            )
    if {"utt2gender", "spk2gender"} <= tables.keys():
        for speaker in sorted(stated.keys() - tables["spk2gender"].keys()):
            yield Problem(
                directory / "spk2gender",
                None,
                f"speaker {speaker}, whose gender utt2gender has, is not there.",
            )


def _check_languages(directory: Path, tables: Mapping[str, Table]) -> Iterator[Problem]:
    """Check that a directory holds one language."""
    first = ""
    for utterance, entry in tables.get("utt2lang", {}).items():
        first = first or entry.value
        if entry.value != first:
            yield Problem(
                directory / "utt2lang",
                entry.line,
                f"{utterance} is '{entry.value}' while the first line says '{first}'; "
                "a directory holds one language.",
            )


def _check_durations(directory: Path, tables: Mapping[str, Table]) -> Iterator[Problem]:
    """Check that durations are numbers above 0."""
    for utterance, entry in tables.get("utt2dur", {}).items():
        if not entry.value:
            continue
        try:
            duration = float(entry.value)
        except ValueError:
            duration = math.nan
        if not 0 < duration < math.inf:
            yield Problem(
                directory / "utt2dur",
                entry.line,
                f"duration of {utterance} is '{entry.value}', not a number of seconds "
                "above 0.",
            )


def _check_audio(directory: Path, tables: Mapping[str, Table]) -> Iterator[Problem]:
    """Check that the files of wav.scp exist."""
    for utterance, entry in tables.get("wav.scp", {}).items():
        file = audio_file(entry.value) if entry.value else None
        if file is not None and not os.path.isfile(file):
            yield Problem(
                directory / "wav.scp",
                entry.line,
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
