"""Kaldi data directories: one language, one split, a few sorted text files.

``wav.scp utt2spk spk2utt`` always; ``utt2gender spk2gender`` (``m`` or ``f``),
``utt2lang``, ``utt2dur`` (seconds) and ``text`` hold the utterances for which the
value is known. Every file is sorted by its first column in the C locale, and an
utterance id starts with its speaker's id and a dash, as Kaldi's tools expect.
"""

import itertools
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from espnet2_cltm.errors import UserError
from espnet2_cltm.files import write_text

GENDERS = ("f", "m")
SPLITS = ("train", "dev", "test")


@dataclass(frozen=True)
class Utterance:
    """One line of a data directory.

    Attributes:
        id: Utterance id, ``<speaker>-<anything>``, no white space.
        speaker: Speaker id, no white space.
        audio: What ``wav.scp`` holds: a path, ``file.ark:offset`` or a pipe.
        gender: ``m``, ``f``, or None where it is not known.
        lang: Language code, or None.
        duration: Seconds, or None.
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
    not stay behind.

    Args:
        directory: Made if it is missing.
        utterances: In any order.

    Raises:
        UserError: An id is used twice, or the file system refuses.
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
    for row in rows:
        speakers.setdefault(row.speaker, []).append(row)

    def column(value: Callable[[Utterance], str | None]) -> list[tuple[str, str]]:
        return [(row.id, text) for row in rows if (text := value(row)) is not None]

    tables = {
        "utt2spk": column(lambda row: row.speaker),
        "spk2utt": [
            (speaker, " ".join(row.id for row in speakers[speaker]))
            for speaker in sorted(speakers)
        ],
        "utt2gender": column(lambda row: row.gender),
        "spk2gender": [
            (speaker, speakers[speaker][0].gender)
            for speaker in sorted(speakers)
            if speakers[speaker][0].gender is not None
        ],
        "utt2lang": column(lambda row: row.lang),
        "utt2dur": column(
            lambda row: None if row.duration is None else f"{row.duration:.3f}"
        ),
        "text": column(lambda row: row.text),
        "wav.scp": column(lambda row: row.audio),
    }
    for name, table in tables.items():
        if table:
            write_text(
                directory / name, "".join(f"{key} {value}\n" for key, value in table)
            )
        else:
            (directory / name).unlink(missing_ok=True)


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
    genders = _read_optional(directory / "utt2gender")
    if not genders:
        by_speaker = _read_optional(directory / "spk2gender")
        genders = {
            utt: by_speaker[speaker]
            for utt, speaker in speakers.items()
            if speaker in by_speaker
        }
    languages = _read_optional(directory / "utt2lang")
    durations = _read_optional(directory / "utt2dur")
    texts = _read_optional(directory / "text")
    try:
        return [
            Utterance(
                id=utt,
                speaker=speakers[utt],
                audio=audio[utt],
                gender=genders.get(utt),
                lang=languages.get(utt),
                duration=float(durations[utt]) if utt in durations else None,
                text=texts.get(utt),
            )
            for utt in sorted(audio)
        ]
    except ValueError as error:
        raise UserError(
            f"{directory / 'utt2dur'} holds something that is not a number of "
            f"seconds ({error}): correct that line."
        ) from error


def read_table(path: Path | str) -> dict[str, str]:
    """Read a Kaldi text file of ``key value`` lines.

    Args:
        path: UTF-8; the value is the rest of the line after the first white space
            and may be empty.

    Returns:
        Values by key, in the file's order.

    Raises:
        UserError: The file is missing or not UTF-8, a line is empty, or a key
            stands twice.
    """
    table: dict[str, str] = {}
    try:
        with Path(path).open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, start=1):
                key, _, value = line.rstrip("\n").partition(" ")
                if "\t" in key:
                    key, _, value = line.rstrip("\n").partition("\t")
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
            f"{path} is not UTF-8 text ({error.reason} at byte {error.start}): "
            "convert it to UTF-8."
        ) from error
    return table


def _read_optional(path: Path) -> dict[str, str]:
    return read_table(path) if path.exists() else {}
