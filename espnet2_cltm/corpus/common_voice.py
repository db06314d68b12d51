"""Common Voice, extracted: ``<dir>/<lang>/{train,dev,test}.tsv`` and ``clips/``.

The tables are tab-separated without quoting, and their columns differ between
releases: ``client_id`` and ``path`` are indispensable; ``sentence`` and the labels
``gender``, ``age``, ``accents`` (``accent`` in older releases) and ``variant`` are
taken where they are there. What is left out, and why, is in the result's ``rejected``,
one item a clip; a speaker named by ``test.tsv`` belongs to test, one named by
``dev.tsv`` and not by ``test.tsv`` to dev, whatever becomes of the rows.
Format: https://github.com/common-voice/cv-dataset
"""

import hashlib
import operator
import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from espnet2_cltm.corpus.datadir import SPLITS, Utterance, make_id_part, make_word
from espnet2_cltm.corpus.language import (
    GENDER_OF_VALUE,
    CorpusOptions,
    CorpusSpec,
    LanguageSplits,
    Rejection,
)
from espnet2_cltm.corpus.selection import barred_speakers
from espnet2_cltm.errors import UserError
from espnet2_cltm.progress import progress

_ID_WIDTH = 16
_HEX_ID = re.compile(rf"[0-9a-f]{{{_ID_WIDTH},}}")
_AUDIO_SUFFIXES = (".mp3", ".wav", ".flac", ".ogg", ".opus")
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
    """

    client: str
    clip: str
    labels: Mapping[str, str]
    odd_gender: str
    text: str


def list_languages(corpus_dir: Path) -> list[str]:
    """List the languages of an extracted release.

    Raises:
        UserError: The directory is missing or holds no language.
    """
    corpus_dir = Path(corpus_dir)
    if not corpus_dir.is_dir():
        raise UserError(
            f"{corpus_dir} is not a directory: set COMMON_VOICE in db.sh (or "
            "--corpus_dir) to an extracted Common Voice release."
        )
    if languages := _languages_in(corpus_dir):
        return languages
    if (corpus_dir / "train.tsv").is_file():
        advice = f"it is one language's directory; give {corpus_dir.absolute().parent}"
    elif inner := [
        d for d in sorted(corpus_dir.iterdir()) if d.is_dir() and _languages_in(d)
    ]:
        advice = f"give {inner[0]}"
    else:
        advice = "extract the release's archives there, or correct the path"
    raise UserError(
        f"{corpus_dir} is not an extracted Common Voice release, as no directory in it "
        f"holds train.tsv, dev.tsv and test.tsv: {advice} (COMMON_VOICE in db.sh or "
        "--corpus_dir)."
    )


def list_inputs(corpus_dir: Path, lang: str, options: CorpusOptions) -> list[Path]:
    """List what the result of :func:`load_language` depends on."""
    tables = [*SPLITS, *(["validated"] if options.use_validated else [])]
    names = [*(f"{name}.tsv" for name in tables), "clip_durations.tsv", "clips"]
    return [Path(corpus_dir) / lang / name for name in names]


def load_language(
    corpus_dir: Path, lang: str, options: CorpusOptions
) -> LanguageSplits:
    """Read one language.

    Args:
        corpus_dir: Directory of the extracted release.
        lang: Name of a directory in it.
        options: ``use_validated`` enlarges train.

    Returns:
        Utterances ``<lang>-<16 characters of client_id>-<clip>`` with absolute audio
        paths. Durations come from ``clip_durations.tsv`` where it has all of a split.

    Raises:
        UserError: A table is missing, not UTF-8 or lacks a column, ``clips/`` is
            missing or more than half empty.
    """
    directory = Path(os.path.abspath(corpus_dir)) / lang
    rejected: list[Rejection] = []
    rows: dict[str, list[Row]] = {}
    named: dict[str, set[str]] = {}
    clips: dict[str, set[str]] = {}
    for split in SPLITS:
        rows[split] = _read_rows(directory / f"{split}.tsv", split, rejected)
        named[split] = {row.client for row in rows[split]}
        clips[split] = {row.clip for row in rows[split]}
    barred = barred_speakers(named)
    if options.use_validated:
        rows["train"] += _unused_rows(directory, clips, named, rejected)
    clients = {row.client for table in rows.values() for row in table}
    contradictory = _clients_with_both_genders(rows.values())
    missing = _missing_clips(directory, rows.values())
    speakers = name_speakers(clients, lang)

    def reason_against(row: Row, split: str) -> str | None:
        if row.client in contradictory:
            return "speaker states both genders"
        if row.clip in missing:
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
    durations = _read_durations(directory / "clip_durations.tsv", kept.values())
    language = LanguageSplits({}, rejected, lambda utt: os.path.basename(utt.audio))
    for split, table in kept.items():
        language.splits[split] = utterances = _to_utterances(
            table, lang, directory / "clips", speakers, durations
        )
        for row, utterance in zip(table, utterances, strict=True):
            if row.odd_gender:
                reason = f"gender is '{row.odd_gender[:40]}'"
                language.unusable[utterance.id, "gender"] = reason
    return language


def name_speakers(clients: Iterable[str], lang: str) -> dict[str, str]:
    """Name clients by short speaker ids of one width.

    The first 16 characters of ``client_id``, so that a speaker can be found again;
    16 characters of its SHA-256 digest where it is not hexadecimal, is shorter, or
    shares its beginning with another client. One client gets the same characters in
    every language.

    Args:
        clients: Values of ``client_id``.
        lang: Language, put in front, so that ids differ between languages.

    Returns:
        Speaker ids by client, no two the same.

    Raises:
        UserError: Two clients cannot be told apart.
    """
    short = {
        client: client[:_ID_WIDTH] if _HEX_ID.fullmatch(client) else _digest(client)
        for client in sorted(clients)
    }
    short |= {client: _digest(client) for client in _sharing(short)}
    if clashing := _sharing(short):
        one, other, *_ = (c for c in clashing if short[c] == short[clashing[0]])
        raise UserError(
            f"Language {lang}: the clients {one} and {other} get the same speaker id "
            f"{short[one]}: take one of them out of the tables."
        )
    return {client: f"{lang}-{name}" for client, name in short.items()}


def _sharing(names: Mapping[str, str]) -> list[str]:
    counts = Counter(names.values())
    return [client for client, name in names.items() if counts[name] > 1]


def read_columns(
    path: Path, required: tuple[str, ...], optional: tuple[str, ...] = ()
) -> Iterator[tuple[int, list[str] | None]]:
    """Read columns of a tab-separated table, quotes being ordinary characters.

    Args:
        path: UTF-8 with or without a byte order mark, LF or CRLF, header first.
        required: Names of columns that must be there.
        optional: Names of columns that are empty where they are not there.

    Yields:
        Line number and the values of ``required`` and ``optional``, stripped; what a
        short row lacks is empty. None for a row with more fields than the header.

    Raises:
        UserError: The table is missing, empty or not UTF-8, or lacks a column.
    """
    pick: Callable[[list[str]], tuple[str, ...]] | None = None
    width = 0
    for number, line in enumerate(_lines(path), start=1):
        try:
            fields = line.decode("utf-8-sig" if number == 1 else "utf-8").rstrip("\r\n")
        except UnicodeDecodeError as error:
            raise UserError(
                f"{path}, line {number}, is not UTF-8 text ({error.reason} at byte "
                f"{error.start} of the line): extract the file from the archive again."
            ) from error
        values = fields.split("\t")
        if pick is None:
            names = [value.strip() for value in values]
            if missing := [name for name in required if name not in names]:
                raise UserError(
                    f"{path} has no column '{missing[0]}' (its columns are: "
                    f"{', '.join(names)}): extract the file from the archive again, or "
                    "check that it is a Common Voice table."
                )
            width = len(names)
            pick = operator.itemgetter(
                # A column that is not there: an empty value after the last.
                *(
                    names.index(name) if name in names else width
                    for name in (*required, *optional)
                )
            )
        elif any(values[width:]):
            yield number, None
        elif fields.strip():
            values += [""] * (width + 1 - len(values))
            yield number, [value.strip() for value in pick(values)]
    if pick is None:
        raise UserError(f"{path} is empty: extract the file from the archive again.")


def _languages_in(directory: Path) -> list[str]:
    return sorted(
        entry.name
        for entry in directory.iterdir()
        if all((entry / f"{split}.tsv").is_file() for split in SPLITS)
    )


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


def _read_rows(path: Path, split: str, rejected: list[Rejection]) -> list[Row]:
    columns = ("client_id", "path"), ("sentence", *_LABEL_COLUMNS)
    rows = []
    clients: dict[str, str] = {}
    labels: dict[tuple[str, ...], dict[str, str]] = {}
    clips: set[str] = set()
    for number, values in read_columns(path, *columns):
        if values is None or not values[0] or not values[1]:
            reason = (
                "row with more fields than the header"
                if values is None
                else "row without client_id or path"
            )
            rejected.append(Rejection(split, f"{path.name} line {number}", reason))
            continue
        client, clip, sentence, gender, *others = values
        if not clip.lower().endswith(_AUDIO_SUFFIXES):
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
        rows.append(Row(client, clip, labels[stated], odd_gender, text))
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
    return {label: word for label, text in stated.items() if (word := make_word(text))}


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
    stated = {
        (row.client, gender)
        for table in tables
        for row in table
        if (gender := row.labels.get("gender"))
    }
    counts = Counter(client for client, _ in stated)
    return {client for client, count in counts.items() if count > 1}


def _missing_clips(directory: Path, tables: Iterable[list[Row]]) -> set[str]:
    clips = directory / "clips"
    missing = {row.clip for table in tables for row in table}
    named = len(missing)
    try:
        with os.scandir(clips) as entries:
            shown: Iterable[os.DirEntry[str]] = entries
            if named > 100_000:
                shown = progress(
                    entries, description=f"Looking for {named} clips", unit="file"
                )
            for entry in shown:
                missing.discard(entry.name)
    except OSError as error:
        raise UserError(
            f"{clips} cannot be read ({error.strerror}): extract the archive with its "
            "clips."
        ) from error
    if len(missing) * 2 > named:
        raise UserError(
            f"{len(missing)} of the {named} clips that the tables name are not in "
            f"{clips} (the first is {min(missing)}): it seems not extracted, or not "
            "wholly; extract the archive again."
        )
    return missing


def _read_durations(path: Path, tables: Iterable[list[Row]]) -> dict[str, float]:
    """Seconds by clip, for the clips of the tables; empty without the file."""
    if not path.exists():
        return {}
    wanted = {row.clip for table in tables for row in table}
    durations = {}
    for _, values in read_columns(path, ("clip",), ("duration[ms]",)):
        if values and values[0] in wanted and re.fullmatch(r"[1-9]\d*", values[1]):
            durations[values[0]] = int(values[1]) / 1000
    return durations


def _to_utterances(
    rows: list[Row],
    lang: str,
    clips: Path,
    speakers: dict[str, str],
    durations: dict[str, float],
) -> list[Utterance]:
    # Kaldi's tools drop utterances that a partial utt2dur does not name.
    if not all(row.clip in durations for row in rows):
        durations = {}
    return [
        Utterance(
            id=f"{speakers[row.client]}-{_clip_id(row.clip)}",
            speaker=speakers[row.client],
            audio=f"{clips}/{row.clip}",
            labels=row.labels,
            lang=lang,
            duration=durations.get(row.clip),
            text=row.text.replace("\0", "") or None,
        )
        for row in rows
    ]


def _clip_id(clip: str) -> str:
    return make_id_part(clip.rpartition(".")[0])


def _digest(client: str) -> str:
    return hashlib.sha256(client.encode()).hexdigest()[:_ID_WIDTH]


COMMON_VOICE = CorpusSpec(
    name="common_voice",
    list_languages=list_languages,
    load_language=load_language,
    list_inputs=list_inputs,
    db_variable="COMMON_VOICE",
    people_across_languages=True,
)
