"""Kaldi data directories: one language, one split, a few sorted text files.

``wav.scp utt2spk spk2utt`` always, with ``segments`` where utterances are parts of
recordings; ``utt2lang``, ``utt2dur`` (seconds), ``text`` and a table ``utt2<label>``
for each label, such as ``utt2gender``, where the value is known; ``phones.ctm`` where
the times of phones are (:mod:`espnet2_cltm.corpus.phones`), and ``image.scp`` for
utterances that say what a picture shows: the picture's file, one for all captions of a
picture. A label is one word (:mod:`espnet2_cltm.corpus.allowed_words`); ``gender`` is
``f`` or ``m``, one for each speaker, and stands in ``spk2gender``, too. Every file is
sorted by its first column in the C locale, and an utterance id starts with its
speaker's id and a dash, as Kaldi's tools expect. What makes a directory valid is
checked by :mod:`espnet2_cltm.corpus.validate`.
"""

import itertools
import math
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from espnet2_cltm.corpus.allowed_words import (
    GENDERS,
    MAX_ID,
    check_label,
    fits_on_line,
    is_id,
    is_label,
    make_word,
)
from espnet2_cltm.corpus.audio_places import Segment, parse_segment
from espnet2_cltm.corpus.phones import CTM, Phone, ctm_lines
from espnet2_cltm.errors import UserError
from espnet2_cltm.files import remove_if_there, write_text

IMAGES = "image.scp"
SPLITS = ("train", "dev", "test")
# In bytes; a file such as /dev/zero is one line without end.
_LONGEST_LINE = 1 << 26


@dataclass(frozen=True, slots=True)
class Utterance:
    """One line of a data directory.

    Attributes:
        id: Utterance id, ``<speaker>-<anything>``, no white space.
        speaker: Speaker id, no white space.
        audio: What ``wav.scp`` holds: a path, ``file.ark:offset`` or a pipe.
        segment: Which part of that audio it is, None for the whole.
        image: Picture that it is a caption of, by its file, or None.
        labels: What is known of it by the label's name, each value one word; a label
            that is not known is left out.
        lang: Language code, or None.
        duration: Seconds, or None; kept to the millisecond in ``utt2dur``.
        text: Transcript on one line, or None.
    """

    id: str
    speaker: str
    audio: str
    labels: Mapping[str, str] = field(default_factory=dict, hash=False)
    lang: str | None = None
    duration: float | None = None
    text: str | None = None
    segment: Segment | None = None
    image: str | None = None

    @property
    def recording(self) -> str:
        """Id of its audio in ``wav.scp``."""
        return self.id if self.segment is None else self.segment.recording


def write_data_dir(
    directory: Path | str,
    utterances: Iterable[Utterance],
    phones: Mapping[str, Sequence[Phone]] = MappingProxyType({}),
) -> None:
    """Write the files of a data directory; ``wav.scp`` comes last.

    A table for which no utterance has a value is removed, so that an old one does not
    stay behind. ``text`` names every utterance or is absent, as Kaldi's tools drop
    what it does not name: an utterance without transcript has an empty one.

    Args:
        directory: Directory, made if it is missing.
        utterances: Utterances in any order.
        phones: Times of phones by utterance; those of others are not written.

    Raises:
        UserError: An id is used twice, a speaker has two genders, an id or a value
            cannot stand in a line of text, or the file system refuses.
    """
    directory = Path(directory)
    rows = sorted(utterances, key=lambda utterance: utterance.id)
    for first, second in itertools.pairwise(rows):
        if first.id == second.id:
            raise UserError(
                f"Utterance {first.id} appears twice in {directory}: give every "
                "utterance an id of its own."
            )
    labelled = {pair: row.id for row in rows for pair in row.labels.items()}
    labels = {label for label, _ in labelled}
    for (label, value), utt in labelled.items():
        check_label(label, value, f"Utterance {utt} in {directory}")
    utts_of: dict[str, list[str]] = {}
    genders: dict[str, str] = {}
    for row in rows:
        _check_writable(row, directory)
        utts_of.setdefault(row.speaker, []).append(row.id)
        gender = row.labels.get("gender")
        if gender and genders.setdefault(row.speaker, gender) != gender:
            raise UserError(
                f"Speaker {row.speaker} in {directory} is given as m and as f: give "
                "each speaker one gender or leave the speaker out."
            )

    # Lines are made as they are written: all tables together are a multiple of what
    # the utterances take.
    def lines(table: Iterable[tuple[str, str | None]]) -> Iterator[str]:
        return (
            f"{key} {value}".rstrip() + "\n"
            for key, value in table
            if value is not None
        )

    def column(value: Callable[[Utterance], str | None]) -> Iterator[str]:
        return lines((row.id, value(row)) for row in rows)

    def label_column(label: str) -> Iterator[str]:
        return column(lambda row: row.labels.get(label))

    has_text = any(row.text for row in rows)
    segments, audio = _tables_of_audio(rows, directory)
    tables = {
        CTM: filter(None, (ctm_lines(r.id, phones.get(r.id, ())) for r in rows)),
        "utt2spk": column(lambda row: row.speaker),
        "spk2utt": lines((spk, " ".join(utts_of[spk])) for spk in sorted(utts_of)),
        "spk2gender": lines(sorted(genders.items())),
        "utt2lang": column(lambda row: row.lang),
        "utt2dur": column(
            lambda row: None if row.duration is None else f"{row.duration:.3f}"
        ),
        IMAGES: column(lambda row: row.image),
        "text": column(lambda row: (row.text or "") if has_text else None),
        **{f"utt2{label}": label_column(label) for label in sorted(labels)},
        "segments": lines(segments),
        "wav.scp": lines((name, audio[name]) for name in sorted(audio)),
    }
    for prefix in ("utt2", "spk2"):
        for path in label_tables(directory, prefix).values():
            if path.name not in tables:
                remove_if_there(path)
    for name, table in tables.items():
        if head := next(table, ""):
            write_text(directory / name, itertools.chain([head], table))
        else:
            remove_if_there(directory / name)


def _tables_of_audio(
    rows: Sequence[Utterance], directory: Path
) -> tuple[list[tuple[str, str]], dict[str, str]]:
    """Return the lines of ``segments`` and the audio of ``wav.scp``."""
    segments = []
    audio: dict[str, str] = {}
    for row in rows:
        name = row.recording
        if row.segment is not None:
            times = f"{row.segment.start:.10g} {row.segment.end:.10g}"
            segments.append((row.id, f"{name} {times}"))
        if audio.setdefault(name, row.audio) != row.audio:
            raise UserError(
                f"Recording {name} in {directory} has two audio files, {audio[name]} "
                f"and {row.audio}: give recordings ids of their own."
            )
    return segments, audio


def read_data_dir(directory: Path | str) -> list[Utterance]:
    """Read a data directory into utterances, sorted by id.

    Args:
        directory: Directory that holds at least ``wav.scp`` and ``utt2spk``. Every
            other ``utt2<label>`` is read but for Kaldi's and ESPnet's own; where it is
            missing, ``spk2<label>`` gives the labels.

    Raises:
        UserError: A file is missing or malformed (see :func:`read_table`),
            ``wav.scp`` and ``utt2spk`` name different utterances, or another table
            names none of them.
    """
    directory = Path(directory)
    audio = read_table(directory / "wav.scp")
    segments = read_segments(directory / "segments", audio)
    speakers = read_table(directory / "utt2spk")
    named = segments if segments else audio
    if named.keys() != speakers.keys():
        files = ["segments" if segments else "wav.scp", "utt2spk"]
        odd = min(named.keys() ^ speakers.keys())
        present, absent = files if odd in named else reversed(files)
        raise UserError(
            f"Utterance {odd} of {directory / present} is not in {absent}: both must "
            "name the same utterances."
        )
    by_utterance = _read_labels(directory, "utt2", named)
    by_speaker = _read_labels(directory, "spk2", set(speakers.values()))
    languages = _read_optional(directory / "utt2lang")
    durations = _read_durations(directory / "utt2dur", named)
    texts = _read_about(named, directory / "text")
    images = read_images(directory, named)
    labels = {
        label: (by_utterance.get(label), by_speaker.get(label, {}))
        for label in sorted({*by_utterance, *by_speaker})
    }
    # Utterances with the same labels share them: there are millions of utterances.
    shared: dict[tuple[tuple[str, str], ...], dict[str, str]] = {}

    def labels_of(utt: str) -> Mapping[str, str]:
        of_speaker = speakers[utt]
        known = tuple(
            (label, value)
            for label, (utts, people) in labels.items()
            if (value := people.get(of_speaker) if utts is None else utts.get(utt))
        )
        return shared.setdefault(known, dict(known))

    return [
        Utterance(
            id=utt,
            speaker=speakers[utt],
            audio=audio[segments[utt].recording if segments else utt],
            segment=segments.get(utt),
            labels=labels_of(utt),
            lang=languages.get(utt),
            duration=durations.get(utt),
            text=texts.get(utt) or None,
            image=images.get(utt),
        )
        for utt in sorted(named)
    ]


def read_table(path: Path | str) -> dict[str, str]:
    """Read a Kaldi text file of ``key value`` lines.

    Args:
        path: UTF-8 file, with or without a byte order mark; the value is the rest of
            the line after the first white space and may be empty.

    Returns:
        Values by key, in the file's order. No line is passed over: the first item
        is line 1.

    Raises:
        UserError: The file is missing or not UTF-8, a line is empty, or a key
            appears twice.
    """
    table: dict[str, str] = {}
    number = 0
    try:
        # Bytes, split at line feeds alone: a stray carriage return or a Unicode line
        # separator in a transcript does not end a line for Kaldi either.
        with Path(path).open("rb") as lines:
            for number in itertools.count(1):
                line = lines.readline(_LONGEST_LINE)
                if not line:
                    break
                if len(line) == _LONGEST_LINE:
                    raise UserError(
                        f"{path}, line {number}, is longer than any list's: give a "
                        "Kaldi text file."
                    )
                encoding = "utf-8-sig" if number == 1 else "utf-8"
                fields = line.decode(encoding).rstrip("\r\n")
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
                        f"{path}, line {number}: id {key} appears twice; keep one of "
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


def read_images(directory: Path, known: Container[str]) -> dict[str, str]:
    """Read ``image.scp``.

    Args:
        directory: Data directory; without the file no utterance has a picture.
        known: Ids of all utterances.

    Returns:
        Files of pictures by utterance.

    Raises:
        UserError: A line names no picture, or an utterance without audio.
    """
    path = directory / IMAGES
    images = _read_optional(path)
    for number, (utt, image) in enumerate(images.items(), start=1):
        if not image:
            raise UserError(
                f"{path}, line {number}: {utt} has no picture; write '<utterance> "
                "<picture file>', or remove the line."
            )
        if utt not in known:
            raise UserError(
                f"{path}, line {number}: the caption {utt} has no audio in "
                f"{directory}: correct its id, or remove the line."
            )
    return images


def read_segments(path: Path, recordings: Container[str]) -> dict[str, Segment]:
    """Read Kaldi's ``segments``.

    Args:
        path: File of lines ``utterance recording start end``; it may be missing.
        recordings: Ids in ``wav.scp``.

    Returns:
        Segments by utterance.

    Raises:
        UserError: A line is something else, or names an unknown recording.
    """
    segments = {}
    for number, (utt, value) in enumerate(_read_optional(path).items(), start=1):
        segment = parse_segment(value)
        if segment is None:
            raise UserError(
                f"{path}, line {number}: write '<utterance> <recording> <start> <end>',"
                f" in seconds, the end behind the start or -1, not '{utt} {value}'."
            )
        if segment.recording not in recordings:
            raise UserError(
                f"{path}, line {number}: recording {segment.recording} is not in "
                "wav.scp: add it there, or remove the line."
            )
        segments[utt] = segment
    return segments


def label_tables(directory: Path, prefix: str) -> dict[str, Path]:
    """Find the tables of labels in a directory.

    Args:
        directory: Directory; it may be missing.
        prefix: ``utt2`` or ``spk2``.

    Returns:
        Files by label.
    """
    found = {
        path.name.removeprefix(prefix): path
        for path in sorted(directory.glob(f"{prefix}*"))
        if path.is_file()
    }
    return {label: path for label, path in found.items() if is_label(label)}


def _check_writable(row: Utterance, directory: Path) -> None:
    for kind, value in (("utterance", row.id), ("speaker", row.speaker)):
        if len(value) > MAX_ID:
            raise UserError(
                f"The {kind} id {value[:80]}… in {directory} has {len(value)} "
                f"characters: use no more than {MAX_ID}."
            )
        if not is_id(value):
            raise UserError(
                f"The {kind} id {value!r} in {directory} is empty or holds white space "
                "or control characters: use letters, digits, '_', '.' and '-'."
            )
    if row.duration is not None and not 0 < row.duration < math.inf:
        raise UserError(
            f"Utterance {row.id} in {directory} has duration {row.duration}: give "
            "seconds, more than 0."
        )
    if not row.audio:
        raise UserError(f"Utterance {row.id} in {directory} has no audio: give a path.")
    values = {
        "audio": row.audio,
        "lang": row.lang,
        "text": row.text,
        "picture": row.image,
    }
    for kind, text in values.items():
        if text and not fits_on_line(text):
            raise UserError(
                f"Utterance {row.id} in {directory}: its {kind} cannot stand on one "
                f"line of UTF-8 text ({text[:80]!r}); remove tabs, line breaks and "
                "characters that are not UTF-8."
            )


def _read_optional(path: Path) -> dict[str, str]:
    return read_table(path) if path.exists() else {}


def _read_about(known: Container[str], path: Path) -> dict[str, str]:
    """Read a table that may be missing, but not be about others alone."""
    table = _read_optional(path)
    if table and not any(key in known for key in table):
        raise UserError(
            f"{path} names {next(iter(table))}, but nothing of utt2spk: correct its "
            "ids, or remove the file."
        )
    return table


def _read_labels(
    directory: Path, prefix: str, known: Container[str]
) -> dict[str, dict[str, str]]:
    """Read the tables of labels; an empty one counts as missing."""
    tables = {}
    for label, path in label_tables(directory, prefix).items():
        table = _read_about(known, path)
        for number, (key, value) in enumerate(table.items(), start=1):
            if label == "gender" and value not in GENDERS:
                raise UserError(
                    f"{path}, line {number}: {key} has gender {value!r}; write m or f, "
                    "or remove the line where it is not known."
                )
            table[key] = make_word(value)
        if table:
            tables[label] = table
    return tables


def _read_durations(path: Path, known: Container[str]) -> dict[str, float]:
    durations = {}
    for number, (key, value) in enumerate(_read_about(known, path).items(), start=1):
        duration = parse_duration(value)
        if duration is None:
            raise UserError(
                f"{path}, line {number}: {key} has duration {value!r}; write seconds, "
                "more than 0."
            )
        durations[key] = duration
    return durations


def parse_duration(value: str) -> float | None:
    """Parse a value of ``utt2dur``, seconds above 0; None for something else."""
    with suppress(ValueError):
        if 0 < (duration := float(value)) < math.inf:
            return duration
    return None
