"""Kaldi data directories: one language, one split, a few sorted text files.

``wav.scp utt2spk spk2utt`` always; ``utt2gender spk2gender`` (``m`` or ``f``),
``utt2lang``, ``utt2dur`` (seconds) and ``text`` where the value is known. Every
file is sorted by its first column in the C locale, and an utterance id starts with
its speaker's id and a dash, as Kaldi's tools expect. What makes a directory valid
is checked by :mod:`espnet2_cltm.corpus.validate`.
"""

import itertools
import math
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from espnet2_cltm.errors import UserError
from espnet2_cltm.files import cannot_write, write_text

GENDERS = ("f", "m")
SPLITS = ("train", "dev", "test")
# Files with one line an utterance, in the order in which they are explained.
UTTERANCE_FILES = ("wav.scp", "utt2spk", "utt2gender", "utt2lang", "utt2dur", "text")
SPEAKER_FILES = ("spk2utt", "spk2gender")

# A line break inside a value would start a new line, a tab a new column.
_BAD_IN_VALUE = re.compile(r"[\x00\t\n\r]")
# Kaldi splits ids at any white space; control characters can't be seen.
_BAD_IN_ID = re.compile(r"[\s\x00-\x20\x7f-\x9f]")


@dataclass(frozen=True, slots=True)
class Utterance:
    """One line of a data directory.

    Attributes:
        id: Utterance id, ``<speaker>-<anything>``, no white space.
        speaker: Speaker id, no white space.
        audio: What ``wav.scp`` holds: a path, ``file.ark:offset`` or a pipe.
        gender: ``m``, ``f``, or None where it is not known.
        lang: Language code, or None.
        duration: Seconds, or None; kept to the millisecond in ``utt2dur``.
        text: Transcript on one line, or None.
    """

    id: str
    speaker: str
    audio: str
    gender: str | None = None
    lang: str | None = None
    duration: float | None = None
    text: str | None = None


def write_data_dir(directory: Path | str, utterances: Iterable[Utterance]) -> None:
    """Write the files of a data directory; ``wav.scp`` comes last.

    A file for which no utterance has a value is removed, so that an old one does
    not stay behind. ``text`` names every utterance or is absent, as Kaldi's tools
    drop what it does not name: an utterance without transcript has an empty one.

    Args:
        directory: Made if it is missing.
        utterances: In any order.

    Raises:
        UserError: An id is used twice, a speaker has two genders, an id or a value
            can't stand in a line of text, or the file system refuses.
    """
    directory = Path(directory)
    rows = sorted(utterances, key=lambda utterance: utterance.id)
    for first, second in itertools.pairwise(rows):
        if first.id == second.id:
            raise UserError(
                f"Utterance {first.id} stands twice in {directory}: give every "
                "utterance an id of its own."
            )
    speakers: dict[str, list[Utterance]] = {}
    genders: dict[str, str] = {}
    for row in rows:
        _check_writable(row, directory)
        speakers.setdefault(row.speaker, []).append(row)
        if row.gender and genders.setdefault(row.speaker, row.gender) != row.gender:
            raise UserError(
                f"Speaker {row.speaker} in {directory} is given as m and as f: give "
                "each speaker one gender or leave the speaker out."
            )

    def column(value: Callable[[Utterance], str | None]) -> list[tuple[str, str]]:
        return [(row.id, text) for row in rows if (text := value(row)) is not None]

    tables = {
        "utt2spk": column(lambda row: row.speaker),
        "spk2utt": [
            (speaker, " ".join(row.id for row in speakers[speaker]))
            for speaker in sorted(speakers)
        ],
        "utt2gender": column(lambda row: row.gender),
        "spk2gender": sorted(genders.items()),
        "utt2lang": column(lambda row: row.lang),
        "utt2dur": column(
            lambda row: None if row.duration is None else f"{row.duration:.3f}"
        ),
        "text": (
            column(lambda row: row.text or "") if any(row.text for row in rows) else []
        ),
        "wav.scp": column(lambda row: row.audio),
    }
    for name, table in tables.items():
        path = directory / name
        if table:
            lines = (f"{key} {value}".rstrip() + "\n" for key, value in table)
            write_text(path, "".join(lines))
        else:
            try:
                path.unlink(missing_ok=True)
            except OSError as error:
                raise cannot_write(path, error) from error


def read_data_dir(directory: Path | str) -> list[Utterance]:
    """Read a data directory into utterances, sorted by id.

    Args:
        directory: Holds at least ``wav.scp`` and ``utt2spk``. Where ``utt2gender``
            is missing, ``spk2gender`` gives the genders.

    Raises:
        UserError: A file is missing or malformed (see :func:`read_table`), or the
            two files name different utterances.
    """
    directory = Path(directory)
    audio = read_table(directory / "wav.scp")
    speakers = read_table(directory / "utt2spk")
    if audio.keys() != speakers.keys():
        odd = min(audio.keys() ^ speakers.keys())
        raise UserError(
            f"Utterance {odd} is in only one of wav.scp and utt2spk in {directory}: "
            "both must name the same utterances."
        )
    genders = _read_genders(directory / "utt2gender")
    if not genders:
        by_speaker = _read_genders(directory / "spk2gender")
        genders = {
            utt: by_speaker[speaker]
            for utt, speaker in speakers.items()
            if speaker in by_speaker
        }
    languages = _read_optional(directory / "utt2lang")
    durations = _read_durations(directory / "utt2dur")
    texts = _read_optional(directory / "text")
    return [
        Utterance(
            id=utt,
            speaker=speakers[utt],
            audio=audio[utt],
            gender=genders.get(utt),
            lang=languages.get(utt),
            duration=durations.get(utt),
            text=texts.get(utt) or None,
        )
        for utt in sorted(audio)
    ]


def read_table(path: Path | str) -> dict[str, str]:
    """Read a Kaldi text file of ``key value`` lines.

    Args:
        path: UTF-8; the value is the rest of the line after the first white space
            and may be empty.

    Returns:
        Values by key, in the file's order. No line is passed over: the first item
        is line 1.

    Raises:
        UserError: The file is missing or not UTF-8, a line is empty, or a key
            stands twice.
    """
    table: dict[str, str] = {}
    number = 0
    try:
        # Bytes, split at line feeds alone: a stray carriage return or a Unicode line
        # separator in a transcript does not end a line for Kaldi either.
        with Path(path).open("rb") as lines:
            for number, line in enumerate(lines, start=1):
                fields = line.decode("utf-8").rstrip("\r\n")
                key, _, value = fields.partition(" ")
                if "\t" in key:
                    key, _, value = fields.partition("\t")
                if not key:
                    raise UserError(
                        f"{path}, line {number}, has no id in front: remove the line "
                        "or write '<id> <value>'."
                    )
                if key in table:
                    raise UserError(
                        f"{path}, line {number}: id {key} stands twice; keep one of "
                        "the lines."
                    )
                table[key] = value.strip()
    except OSError as error:
        raise UserError(
            f"{path} cannot be read ({error.strerror}): run the stage that makes it, "
            "or correct the path."
        ) from error
    except UnicodeDecodeError as error:
        raise UserError(
            f"{path}, line {number}, is not UTF-8 text ({error.reason} at byte "
            f"{error.start} of the line): convert the file to UTF-8."
        ) from error
    return table


def is_id(text: str) -> bool:
    """Tell whether ``text`` can be an utterance or speaker id."""
    return bool(text) and not _BAD_IN_ID.search(text)


def make_id_part(text: str) -> str:
    """Replace every character that can't stand in an id by an underscore."""
    return _BAD_IN_ID.sub("_", text) or "_"


def _check_writable(row: Utterance, directory: Path) -> None:
    for kind, value in (("utterance", row.id), ("speaker", row.speaker)):
        if not is_id(value):
            raise UserError(
                f"The {kind} id {value!r} in {directory} is empty or holds white space "
                "or control characters: use letters, digits, '_', '.' and '-'."
            )
    if row.gender is not None and row.gender not in GENDERS:
        raise UserError(
            f"Utterance {row.id} in {directory} has gender {row.gender!r}: write m or "
            "f."
        )
    if row.duration is not None and not 0 < row.duration < math.inf:
        raise UserError(
            f"Utterance {row.id} in {directory} has duration {row.duration}: give "
            "seconds, more than 0."
        )
    if not row.audio:
        raise UserError(f"Utterance {row.id} in {directory} has no audio: give a path.")
    for kind, value in (("audio", row.audio), ("lang", row.lang), ("text", row.text)):
        if value and (_BAD_IN_VALUE.search(value) or not _is_utf8(value)):
            raise UserError(
                f"Utterance {row.id} in {directory}: its {kind} can't stand on one "
                f"line of UTF-8 text ({value[:80]!r}); remove tabs, line breaks and "
                "characters that are not UTF-8."
            )


def _is_utf8(text: str) -> bool:
    # File names that are not UTF-8 reach Python as lone surrogates.
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _read_optional(path: Path) -> dict[str, str]:
    return read_table(path) if path.exists() else {}


def _read_genders(path: Path) -> dict[str, str]:
    genders = _read_optional(path)
    for number, (key, value) in enumerate(genders.items(), start=1):
        if value not in GENDERS:
            raise UserError(
                f"{path}, line {number}: {key} has gender {value!r}; write m or f, or "
                "remove the line where it is not known."
            )
    return genders


def _read_durations(path: Path) -> dict[str, float]:
    durations = {}
    for number, (key, value) in enumerate(_read_optional(path).items(), start=1):
        try:
            durations[key] = float(value)
        except ValueError:
            durations[key] = math.nan
        if not 0 < durations[key] < math.inf:
            raise UserError(
                f"{path}, line {number}: {key} has duration {value!r}; write seconds, "
                "more than 0."
            )
    return durations
