"""Common Voice, extracted: tables of clips, and the clips.

Where they lie is found by :mod:`espnet2_cltm.corpus.common_voice_layouts`. The tables
are tab-separated without quoting, and their columns differ between releases:
``client_id`` and ``path`` (``audio_file`` in spontaneous speech) are indispensable;
``sentence`` (``transcription``) and the labels ``gender``, ``age``, ``accents``
(``accent`` in older releases) and ``variant`` are taken where they are there. What is
left out, and why, is in the result's ``rejected``,
one item a clip; a speaker named by ``test.tsv`` belongs to test, one named by
``dev.tsv`` and not by ``test.tsv`` to dev, whatever becomes of the rows.
Format: https://github.com/common-voice/cv-dataset
"""

import csv
import hashlib
import operator
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from espnet2_cltm.corpus.allowed_words import LONGEST_VALUE, make_id_part, make_word
from espnet2_cltm.corpus.common_voice_layouts import (
    AUDIO_SUFFIXES,
    Place,
    find_clips,
    find_place,
    find_places,
    list_audio_directories,
)
from espnet2_cltm.corpus.datadir import SPLITS, Utterance
from espnet2_cltm.corpus.language import (
    GENDER_OF_VALUE,
    CorpusOptions,
    CorpusSpec,
    LanguageSplits,
    Rejection,
)
from espnet2_cltm.corpus.selection import barred_speakers
from espnet2_cltm.errors import UserError, foreign
from espnet2_cltm.progress import progress

_ID_WIDTH = 16
_LABEL_COLUMNS = ("gender", "age", "accents", "accent", "variant")
_LONG_TABLE = 20_000_000  # bytes; about two seconds


class Row(NamedTuple):
    """One clip of a table.

    Attributes:
        client: ``client_id``.
        clip: File name in ``clips/``.
        labels: Labels by name; only ``m`` and ``f`` are genders.
        odd_gender: Another value of ``gender``; usually empty.
        text: ``sentence``, white space made single; may be empty.
        split: Split that the row states, in a table of all splits.
    """

    client: str
    clip: str
    labels: Mapping[str, str]
    odd_gender: str
    text: str
    split: str = ""


def list_languages(corpus_dir: Path) -> list[str]:
    """List the languages of an extracted release, or of several.

    Raises:
        UserError: The directory is missing, or holds no language that can be used.
    """
    places = find_places(corpus_dir)
    languages = [lang for lang, place in places.items() if not place.lacks]
    if not languages:
        raise UserError(next(iter(places.values())).lacks)
    return languages


def list_unusable(corpus_dir: Path) -> dict[str, str]:
    """List languages that cannot be used, each with the sentence that says why."""
    places = find_places(corpus_dir)
    return {lang: place.lacks for lang, place in places.items() if place.lacks}


def list_inputs(corpus_dir: Path, lang: str, options: CorpusOptions) -> list[Path]:
    """List what the result of :func:`load_language` depends on."""
    place = find_place(corpus_dir, lang)
    clips = list_audio_directories(place)
    if place.table:
        return [place.table, *clips]
    tables = [*SPLITS, *(["validated"] if options.use_validated else [])]
    names = [*(f"{name}.tsv" for name in tables), "clip_durations.tsv"]
    return [*(place.directory / name for name in names), *clips]


def load_language(
    corpus_dir: Path, lang: str, options: CorpusOptions
) -> LanguageSplits:
    """Read one language.

    Args:
        corpus_dir: Directory that :func:`.find_place` searches.
        lang: Language code.
        options: ``use_validated`` enlarges train.

    Returns:
        Utterances ``<lang>-<16 characters for client_id>-<clip>`` with absolute audio
        paths. Durations come from ``clip_durations.tsv``, or the table of spontaneous
        speech, where it has all of a split.

    Raises:
        UserError: A table is missing, not UTF-8 or lacks a column, ``clips/`` is
            missing or more than half empty.
    """
    place = find_place(corpus_dir, lang)
    rejected: list[Rejection] = []
    rows = _read_tables(place, rejected)
    named = {split: {row.client for row in rows[split]} for split in SPLITS}
    clips = {split: {row.clip for row in rows[split]} for split in SPLITS}
    barred = barred_speakers(named)
    if options.use_validated and not place.table:
        rows["train"] += _unused_rows(place.directory, clips, named, rejected)
    del clips["train"]  # the largest; the others are asked for below
    clients = {row.client for table in rows.values() for row in table}
    contradictory = _clients_with_both_genders(rows.values())
    files = find_clips(place, (row.clip for table in rows.values() for row in table))
    speakers = name_speakers(clients, lang)

    def reason_against(row: Row, split: str) -> str | None:
        if row.client in contradictory:
            return "speaker states both genders"
        if row.clip not in files:
            return "clip missing"
        if row.client in barred[split]:
            return barred[split][row.client]
        # The same recording under another client_id.
        for other in SPLITS[SPLITS.index(split) + 1 :]:
            if row.clip in clips[other]:
                return f"clip is also in {other}"
        return None

    kept: dict[str, list[Row]] = {split: [] for split in SPLITS}
    for split in SPLITS:
        for row in rows.pop(split):
            if reason := reason_against(row, split):
                rejected.append(Rejection(split, row.clip, reason))
            else:
                kept[split].append(row)
    durations = _read_durations(place, kept.values())
    language = LanguageSplits(
        {},
        rejected,
        lambda utt: os.path.basename(utt.audio),
        notes=_notes(place, files),
    )
    for split, table in kept.items():
        language.splits[split] = utterances = _to_utterances(
            table, lang, files, speakers, durations
        )
        for row, utterance in zip(table, utterances, strict=True):
            if row.odd_gender:
                reason = f"gender is '{row.odd_gender[:40]}'"
                language.unusable[utterance.id, "gender"] = reason
    return language


def name_speakers(clients: Iterable[str], lang: str) -> dict[str, str]:
    """Name clients by short speaker ids of one width.

    16 characters of the SHA-256 digest of ``client_id``, whatever that looks like: one
    client gets the same characters in every language, two get different ones.

    Args:
        clients: Values of ``client_id``.
        lang: Language, put in front, so that ids differ between languages.

    Returns:
        Speaker ids by client.
    """
    return {
        client: f"{lang}-{hashlib.sha256(client.encode()).hexdigest()[:_ID_WIDTH]}"
        for client in clients
    }


def _read_columns(
    path: Path, required: tuple[str, ...], optional: tuple[str, ...] = ()
) -> Iterator[tuple[int, list[str] | str]]:
    """Yield line numbers and the values of some columns, stripped.

    Of a row that is wider than the header or lacks one of these columns, as a tab or a
    line break in a sentence makes it, it is the reason why it is not read. Quotes are
    ordinary characters, but where the header is quoted: then a program has saved the
    table anew, with quotes around values.
    """
    pick: Callable[[list[str]], tuple[str, ...]] | None = None
    width = needed = 0
    is_quoted = False
    for number, line in enumerate(_lines(path), start=1):
        try:
            fields = line.decode("utf-8-sig" if number == 1 else "utf-8").rstrip("\r\n")
        except UnicodeDecodeError as error:
            raise UserError(
                f"{path}, line {number}, is not UTF-8 text ({error.reason} at byte "
                f"{error.start} of the line): extract the file from the archive again."
            ) from error
        if pick is None:
            is_quoted = fields.startswith('"')
        values = fields.split("\t")
        if is_quoted:
            with foreign(f"{path} is not a table", "correct the file"):
                values = next(csv.reader([fields], delimiter="\t"), [])
        if pick is None:
            names = [value.strip() for value in values]
            if missing := [name for name in required if name not in names]:
                raise UserError(
                    f"{path} has no column '{missing[0]}' (its columns are: "
                    f"{', '.join(names)[:300]}): extract the file from the archive "
                    "again, or check that it is a Common Voice table."
                )
            width = len(names)
            # A column that is not there: an empty value after the last.
            places = [
                names.index(name) if name in names else width
                for name in (*required, *optional)
            ]
            needed = 1 + max(place for place in places if place < width)
            pick = operator.itemgetter(*places)
        elif len(values) > width:
            yield number, "row with more fields than the header"
        elif not fields.strip():
            continue
        elif len(values) < needed:
            yield number, "row with fewer fields than the header"
        else:
            values += [""] * (width + 1 - len(values))
            yield number, [*map(str.strip, pick(values))]
    if pick is None:
        raise UserError(f"{path} is empty: extract the file from the archive again.")


def _lines(path: Path) -> Iterator[bytes]:
    try:
        with path.open("rb") as lines:
            if path.stat().st_size < _LONG_TABLE:
                yield from lines
            else:
                name = f"{path.parent.name}/{path.name}"
                yield from progress(lines, description=f"Reading {name}", unit="row")
    except OSError as error:
        raise UserError(
            f"{path} cannot be read ({error.strerror}): extract the whole archive of "
            "the language, or leave the language out of --langs."
        ) from error


def _read_tables(place: Place, rejected: list[Rejection]) -> dict[str, list[Row]]:
    """Read the rows of each split."""
    if place.table is None:
        return {
            split: _read_rows(place.directory / f"{split}.tsv", split, rejected)
            for split in SPLITS
        }
    rows: dict[str, list[Row]] = {split: [] for split in SPLITS}
    names = ("client_id", "audio_file", "transcription")
    for row in _read_rows(place.table, "train", rejected, names):
        if row.split in SPLITS:
            rows[row.split].append(row)
        else:
            rejected.append(Rejection("train", row.clip, "row of no split"))
    return rows


def _read_rows(
    path: Path,
    split: str,
    rejected: list[Rejection],
    names: tuple[str, str, str] = ("client_id", "path", "sentence"),
) -> list[Row]:
    rows = []
    clients: dict[str, str] = {}
    labels: dict[tuple[str, ...], dict[str, str]] = {}
    clips: set[str] = set()
    columns = names[:2], (names[2], *_LABEL_COLUMNS, "split")
    for number, values in _read_columns(path, *columns):
        if isinstance(values, str) or not values[0] or not values[1]:
            reason = (
                values
                if isinstance(values, str)
                else f"row without {names[0]} or {names[1]}"
            )
            rejected.append(Rejection(split, f"{path.name} line {number}", reason))
            continue
        client, clip, sentence, gender, *others, stated_split = values
        clip = clip.rpartition("/")[2]
        if not clip.lower().endswith(AUDIO_SUFFIXES):
            clip += ".mp3"
        # What would give two utterances one id is one clip.
        key = _clip_id(clip)
        if key in clips:
            rejected.append(Rejection(split, clip, "clip listed twice"))
            continue
        clips.add(key)
        # One string object a client and one table a set of labels, not one a row: a
        # fraction of the memory.
        client = clients.setdefault(client, client)
        stated = (GENDER_OF_VALUE.get(gender.lower(), ""), *others)
        if stated not in labels:
            labels[stated] = _labels(*stated)
        odd_gender = "" if stated[0] else gender
        text = " ".join(sentence.split())
        rows.append(Row(client, clip, labels[stated], odd_gender, text, stated_split))
    return rows


def _labels(
    gender: str, age: str, accents: str, accent: str, variant: str
) -> dict[str, str]:
    stated = {
        "gender": gender,
        "age": age,
        "accents": accents or accent,
        "variant": variant,
    }
    words = {label: make_word(text)[:LONGEST_VALUE] for label, text in stated.items()}
    return {label: word for label, word in words.items() if word}


def _unused_rows(
    directory: Path,
    clips: Mapping[str, set[str]],
    named: Mapping[str, set[str]],
    rejected: list[Rejection],
) -> list[Row]:
    """Rows of validated.tsv that train may take."""
    unused = []
    for row in _read_rows(directory / "validated.tsv", "train", rejected):
        if any(row.clip in used for used in clips.values()):
            continue
        others = [split for split in ("test", "dev") if row.client in named[split]]
        if others:
            reason = f"speaker is also in {others[0]}"
            rejected.append(Rejection("train", row.clip, reason))
        else:
            unused.append(row)
    return unused


def _clients_with_both_genders(tables: Iterable[list[Row]]) -> set[str]:
    first: dict[str, str] = {}
    return {
        row.client
        for table in tables
        for row in table
        if (gender := row.labels.get("gender"))
        and first.setdefault(row.client, gender) != gender
    }


def _read_durations(place: Place, tables: Iterable[list[Row]]) -> dict[str, float]:
    """Seconds by clip of the tables, 0 where not known; empty without the file."""
    path = place.table or place.directory / "clip_durations.tsv"
    columns = ("audio_file", "duration_ms") if place.table else ("clip", "duration[ms]")
    if not path.exists():
        return {}
    # Keys of the rows' own strings, so that each name is held once.
    durations = {row.clip: 0.0 for table in tables for row in table}
    for _, values in _read_columns(path, columns[:1], columns[1:]):
        if isinstance(values, str) or values[0] not in durations:
            continue
        if values[1].isdecimal() and values[1][0] in "123456789":
            durations[values[0]] = int(values[1]) / 1000
    return durations


def _notes(place: Place, files: Mapping[str, str]) -> list[str]:
    """What a user should know of where the language was found."""
    suffixes = Counter(
        os.path.splitext(path)[1]
        for clip, path in files.items()
        if not path.endswith(clip)
    )
    converted = [
        f"{count} clips are {suffix} files, which the tables name otherwise"
        for suffix, count in sorted(suffixes.items())
    ]
    return [*([place.note] if place.note else []), *converted]


def _to_utterances(
    rows: list[Row],
    lang: str,
    files: Mapping[str, str],
    speakers: Mapping[str, str],
    durations: dict[str, float],
) -> list[Utterance]:
    # Kaldi's tools drop utterances that a partial utt2dur does not name.
    if not all(durations.get(row.clip) for row in rows):
        durations = {}
    return [
        Utterance(
            id=f"{speakers[row.client]}-{_clip_id(row.clip)}",
            speaker=speakers[row.client],
            audio=files[row.clip],
            labels=row.labels,
            lang=lang,
            duration=durations.get(row.clip),
            text=row.text.replace("\0", "") or None,
        )
        for row in rows
    ]


def _clip_id(clip: str) -> str:
    return make_id_part(clip.rpartition(".")[0])


COMMON_VOICE = CorpusSpec(
    name="common_voice",
    list_languages=list_languages,
    load_language=load_language,
    list_inputs=list_inputs,
    list_unusable=list_unusable,
    db_variable="COMMON_VOICE",
    people_across_languages=True,
)
