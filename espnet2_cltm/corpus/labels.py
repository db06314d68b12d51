"""A user's own table of labels (``--labels``), joined to a language of any corpus.

The table is tab- or comma-separated with a header. Its first column says which
utterance a row is about, by utterance id or clip, every other column is a label.
"""

import csv
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from espnet2_cltm.corpus.allowed_words import RESERVED, is_label, make_word
from espnet2_cltm.corpus.audio_places import audio_file
from espnet2_cltm.corpus.datadir import Utterance
from espnet2_cltm.corpus.language import GENDER_OF_VALUE, LanguageSplits
from espnet2_cltm.counting import counted
from espnet2_cltm.errors import UserError, foreign
from espnet2_cltm.files import read_text

_AUDIO_SUFFIX = re.compile(r"\.(mp3|wav|flac|ogg|opus|m4a|sph)$", re.IGNORECASE)


@dataclass(frozen=True)
class LabelRow:
    """One row of a user's table: its line, what it is about, and its labels."""

    line: int
    key: str
    labels: Mapping[str, str]


def labels_file(pattern: str, lang: str) -> Path:
    """Return the table of a language: ``{lang}`` in the path is its code."""
    return Path(pattern.replace("{lang}", lang))


def read_label_rows(path: Path) -> list[LabelRow]:
    """Read a user's table.

    Args:
        path: UTF-8 text, tab- or comma-separated, header first. Values may be in quotes
            where there are commas, or where the header is. An empty cell is not a
            label.

    Raises:
        UserError: The file is missing, has no column of labels, a column's name
            cannot be a label's, or a row has more or fewer fields than the header.
    """
    text = read_text(
        path,
        "correct --labels, in which {lang} stands for a language's code; without "
        "{lang}, one table serves all languages",
    )
    lines = text.split("\n")
    separator = "\t" if "\t" in lines[0] else ","
    if separator == "\t" and lines[0][0] != '"':
        table = [line.split("\t") for line in lines]
    else:
        with foreign(f"{path} is not a table", "correct the file"):
            table = list(csv.reader(lines, delimiter=separator))
    names = [make_word(name) for name in table[0][1:]]
    if not names:
        raise UserError(
            f"{path} has no column of labels: give it a header, a first column with "
            "clips or utterance ids, and a column for each label, separated by tabs or "
            "commas."
        )
    for name in names:
        if not is_label(name) or names.count(name) > 1:
            why = (
                "is a table of its own"
                if name in RESERVED
                else "cannot be the name of a label, or appears twice"
            )
            raise UserError(
                f"{path}: the column '{name}' would become utt2{name}, which {why}: "
                "rename or remove the column."
            )
    rows = []
    for number, fields in enumerate(table[1:], start=2):
        if not any(fields):
            continue
        if len(fields) != len(names) + 1:
            raise UserError(
                f"{path}, line {number}, has {counted(len(fields), 'field')} where the "
                f"header has {len(names) + 1}: correct the line."
            )
        words = zip(names, map(make_word, fields[1:]), strict=True)
        labels = {name: word for name, word in words if word}
        rows.append(LabelRow(number, fields[0].strip(), labels))
    return rows


def join_labels(language: LanguageSplits, path: Path) -> tuple[LanguageSplits, str]:
    """Join a user's table to a language; it takes precedence over the corpus.

    Returned, too, is a sentence on how many utterances and rows belong together.

    Args:
        language: The language.
        path: File of the table (see :func:`read_label_rows`). Its first column holds
            utterance ids, the corpus's own names (clips) or names of audio files, with
            or without directory and suffix.

    Raises:
        UserError: The table is wrong, matches nothing, names more than one utterance
            by one name, or says two things of an utterance.
    """
    rows = read_label_rows(path)
    index = _Index(language)
    labels: dict[str, dict[str, str]] = {}
    source: dict[str, int] = {}
    unusable = dict(language.unusable)
    n_unmatched = 0
    for row in rows:
        found = index.find(row.key)
        if len(found) > 1:
            raise UserError(
                f"{path}, line {row.line}: '{row.key}' may be any of "
                f"{len(found)} utterances, {found[0]} and {found[1]} among them: write "
                "utterance ids, or more of the path."
            )
        if not found:
            n_unmatched += 1
            continue
        utt = found[0]
        first = source.setdefault(utt, row.line)
        stated = dict(row.labels)
        if gender := stated.pop("gender", ""):
            if gender.lower() in GENDER_OF_VALUE:
                stated["gender"] = GENDER_OF_VALUE[gender.lower()]
            else:
                unusable[utt, "gender"] = f"gender is '{gender[:40]}'"
        if labels.setdefault(utt, stated) != stated:
            raise UserError(
                f"{path}, lines {first} and {row.line}, give the utterance {utt} "
                "different labels: keep one of them."
            )
    if not labels:
        raise UserError(
            f"{path}: no row is about an utterance of the language; the table names "
            f"{repr(rows[0].key) if rows else 'nothing'}, the corpus "
            f"{index.example()}: write clips or utterance ids into the first column."
        )
    splits = {
        split: [
            replace(utt, labels={**utt.labels, **labels[utt.id]})
            if labels.get(utt.id)
            else utt
            for utt in utterances
        ]
        for split, utterances in language.splits.items()
    }
    labelled = Counter(label for stated in labels.values() for label in stated)
    counts = ", ".join(
        f"{label} of {counted(count, 'utterance')}"
        for label, count in sorted(labelled.items())
    )
    unmatched = "every row matches an utterance"
    if n_unmatched:
        unmatched = f"{n_unmatched} of its {len(rows)} rows match no utterance"
    said = f"{path} gives {counts or 'no label'}; {unmatched}"
    return replace(language, splits=splits, unusable=unusable), said


class _Index:
    """Utterances of a language by all names that a user may have for them."""

    def __init__(self, language: LanguageSplits) -> None:
        self._language = language
        self._by_name: dict[str, list[str]] = {}
        # By the file's name alone, with the whole path.
        self._by_file: dict[str, list[tuple[str, str]]] = {}
        for utt in _utterances(language):
            own = _stem(language.own_name(utt))
            for name in {utt.id, own}:
                self._by_name.setdefault(name, []).append(utt.id)
            if audio_file(utt.audio) == utt.audio:
                path = _stem(utt.audio)
                file = path.rpartition("/")[2]
                self._by_file.setdefault(file, []).append((utt.id, path))

    def find(self, key: str) -> list[str]:
        """Return the utterances that a name may stand for."""
        path = _stem(key.replace("\\", "/"))
        file = path.rpartition("/")[2]
        for name in (key, path):
            if name in self._by_name:
                return self._by_name[name]
        candidates = self._by_file.get(file, [])
        if len(candidates) > 1:
            inside = [one for one in candidates if f"/{one[1]}".endswith(f"/{path}")]
            candidates = inside or candidates
        return [utt for utt, _ in candidates] or self._by_name.get(file, [])

    def example(self) -> str:
        """Return how the language names one of its utterances."""
        utt = next(_utterances(self._language), None)
        if utt is None:
            return "no utterance"
        names = dict.fromkeys((self._language.own_name(utt), utt.id))
        return " or ".join(map(repr, names))


def _utterances(language: LanguageSplits) -> Iterator[Utterance]:
    return (utt for utterances in language.splits.values() for utt in utterances)


def _stem(name: str) -> str:
    return _AUDIO_SUFFIX.sub("", name)
