"""What is tested: items and audio, of stage 2's audio store or of an item file."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from espnet2_cltm.abx.cells import MATCH
from espnet2_cltm.abx.items import items_of_phones, items_of_utterances, read_items
from espnet2_cltm.corpus.audio import SAMPLE_RATE
from espnet2_cltm.corpus.datadir import Utterance, read_table
from espnet2_cltm.corpus.language import languages_below
from espnet2_cltm.corpus.phones import CTM, Phone, read_phones
from espnet2_cltm.corpus.stored import read_split
from espnet2_cltm.errors import UserError


@dataclass(frozen=True)
class Material:
    """What one test is made of.

    Attributes:
        name: Name of the test: a language, an item file's, or ``languages``.
        items: Items, with :data:`.items.COLUMNS`.
        audio: Location of each file's audio, as far as known.
    """

    name: str
    items: pd.DataFrame
    audio: Mapping[str, str]

    def require_audio(self, where: str) -> dict[str, str]:
        """Return the audio of the items' files.

        Args:
            where: What lists audio, for the message.

        Raises:
            UserError: A file has none.
        """
        files = self.items["file"].unique()
        for file in files:
            if file not in self.audio:
                raise UserError(
                    f"{where} has no audio of {file}, in which {self.name} has items: "
                    "add it, or take its items out."
                )
        return {file: self.audio[file] for file in files}


def read_phone_tests(
    dump: Path, langs: Sequence[str], splits: Sequence[str], unit: str
) -> list[Material]:
    """Read a test of phones for each language of an audio store.

    Args:
        dump: ``<dumpdir>/<corpus>``.
        langs: Languages; none for all.
        splits: Splits that are taken together.
        unit: ``triphone`` or ``phone``.

    Raises:
        UserError: The language is missing, or none of its utterances has phone times.
    """
    tests = []
    for lang in _choose(dump, langs, splits):
        utterances, phones, _ = _read(dump / lang, splits)
        if not phones:
            raise UserError(
                f"{dump / lang} has no {CTM} in {' or '.join(splits)}: run stages 1 "
                "and 2 of a demo again, or put an aligner's beside the wav.scp of your "
                "own data."
            )
        items = items_of_phones(utterances, phones, unit)
        tests.append(Material(lang, items, {u.id: u.audio for u in utterances}))
    return tests


def read_language_test(
    dump: Path, langs: Sequence[str], splits: Sequence[str], match: str
) -> Material:
    """Read a test of the languages of an audio store.

    Args:
        dump: ``<dumpdir>/<corpus>``.
        langs: Languages; none for all.
        splits: Splits that are taken together.
        match: Label that A, B and X share, such as ``gender``; empty for none.

    Raises:
        UserError: There are no such languages, or an utterance lacks the label.
    """
    parts: list[pd.DataFrame] = []
    audio: dict[str, str] = {}
    for lang in _choose(dump, langs, splits):
        speech = _read(dump / lang, splits)
        items = items_of_utterances(*speech)
        items["label"] = lang
        if match:
            labels = {u.id: u.labels.get(match) for u in speech[0]}
            items[MATCH] = items["file"].map(labels)
            if items[MATCH].isna().any():
                utt = items["file"][items[MATCH].isna()].iloc[0]
                raise UserError(
                    f"{utt} in {dump / lang} has no {match}, and --match {match} "
                    f'compares utterances of one {match}: give another label, or "".'
                )
        parts.append(items)
        audio |= {u.id: u.audio for u in speech[0]}
    return Material("languages", pd.concat(parts, ignore_index=True), audio)


def read_item_test(path: Path, wav_scp: Path | None) -> Material:
    """Read a test that an item file describes.

    Args:
        path: Item file of ZeroSpeech.
        wav_scp: Audio of its files, ``<file> <location>``; not needed for features
            from files.
    """
    audio = read_table(wav_scp) if wav_scp else {}
    return Material(path.stem, read_items(path), audio)


def keep_labels(test: Material, labels: Sequence[str]) -> Material:
    """Return a test with the items of some labels alone.

    Raises:
        UserError: No item has one of them.
    """
    if not labels:
        return test
    known = sorted(test.items["label"].unique())
    for label in labels:
        if label not in known:
            raise UserError(
                f"{test.name} has no item of '{label}': give --labels from "
                f"{' '.join(known)}."
            )
    return Material(test.name, test.items[test.items["label"].isin(labels)], test.audio)


def _choose(dump: Path, langs: Sequence[str], splits: Sequence[str]) -> tuple[str, ...]:
    return languages_below(
        *(dump, langs, lambda d: any((d / s / "wav.scp").exists() for s in splits)),
        f"decoded audio in {' or '.join(splits)}",
        "run stages 1 and 2, or correct --dump or --splits",
    )


def _read(
    directory: Path, splits: Sequence[str]
) -> tuple[list[Utterance], dict[str, list[Phone]], dict[str, float]]:
    """Return a language's utterances, their phones and their seconds."""
    utterances: list[Utterance] = []
    phones: dict[str, list[Phone]] = {}
    seconds: dict[str, float] = {}
    for split in splits:
        if (directory / split / "wav.scp").exists():
            of_split, n_samples = read_split(directory / split)
            utterances += of_split
            seconds |= {utt: n / SAMPLE_RATE for utt, n in n_samples.items()}
            phones |= read_phones(directory / split / CTM, n_samples, seconds)
    return utterances, phones, seconds
