"""The demo corpus: speech made on this machine by espeak-ng, in any of its languages.

Takes ``conf/demo.yaml``; leaves ``<corpus_dir>/<lang>/<speaker>/<utterance>.wav``,
16-bit mono at 22.05 kHz, a ``.ctm`` beside each with the times of its phones, and two
tables for people, ``speakers.tsv`` and ``utterances.tsv`` (with SHA-256 of each WAV
file, to compare machines). Pictures that are named in prompts lie in
``<corpus_dir>/pictures``, the same for all languages.

An utterance's bytes depend on the configuration, its language, speaker and prompt, and
the version of espeak-ng, which ``made_from.json`` records. Beyond that they rest on
espeak-ng computing the chosen kinds of voice in whole numbers, and on sines and
exponentials of the C library that round to the same whole numbers everywhere. A
language made from something else is made anew, never mixed; an interrupted one is
completed.
"""

import hashlib
import json
import wave
from collections.abc import Iterable
from contextlib import closing, suppress
from dataclasses import asdict, astuple, dataclass, fields, replace
from pathlib import Path
from random import Random

from espnet2_cltm.corpus import espeak
from espnet2_cltm.corpus.datadir import SPLITS, Utterance
from espnet2_cltm.corpus.demo_config import DemoConfig, read_config
from espnet2_cltm.corpus.demo_drawing import (
    Speaker,
    draw_moods,
    draw_prompt,
    draw_speakers,
    voice_text,
)
from espnet2_cltm.corpus.emoji import Emoji, emoji_names, write_picture
from espnet2_cltm.corpus.espeak_workers import speak_files
from espnet2_cltm.corpus.language import CorpusOptions, CorpusSpec, LanguageSplits
from espnet2_cltm.corpus.phones import Phone, read_phones
from espnet2_cltm.errors import UserError
from espnet2_cltm.files import alone_in, cannot_write, read_json, write_json, write_rows
from espnet2_cltm.language_codes import language_of
from espnet2_cltm.progress import progress


@dataclass(frozen=True)
class Item:
    """One utterance to be made.

    Attributes:
        id: Its id.
        speaker: Its speaker.
        prompt: What is spoken.
        emoji: What it names, or None.
    """

    id: str
    speaker: Speaker
    prompt: espeak.Prompt
    emoji: Emoji | None = None

    def path(self, directory: Path) -> Path:
        """Return the file of its audio in a language's directory."""
        return directory / self.speaker.id / f"{self.id}.wav"


def list_languages(corpus_dir: Path) -> list[str]:
    """List the codes of all languages that espeak-ng has a voice for.

    Args:
        corpus_dir: Not used; every corpus has it.

    Raises:
        UserError: The package espeakng_loader is missing or broken.
    """
    return sorted(espeak.language_files())


def default_languages(options: CorpusOptions) -> list[str]:
    """List the languages that are made when none are asked for.

    Args:
        options: ``config`` is the path of ``conf/demo.yaml``.

    Raises:
        UserError: The file is missing or wrong.
    """
    return list(read_config(options.config).languages)


def load_language(
    corpus_dir: Path, lang: str, options: CorpusOptions
) -> LanguageSplits:
    """Make what is missing of one language, and return its splits.

    Args:
        corpus_dir: Directory where the audio is put.
        lang: One of :func:`list_languages`.
        options: ``config`` is the path of ``conf/demo.yaml``, ``nj`` the number of
            processes.

    Raises:
        UserError: The language is unknown or its numbers are, the configuration is
            wrong, espeak-ng is missing, or the file system refuses.
    """
    items = draw_items(read_config(options.config), lang)
    return speak(items, Path(corpus_dir) / lang, lang, options.nj)


def speak(items: list[Item], directory: Path, lang: str, nj: int) -> LanguageSplits:
    """Make what is missing of some utterances, and return them by split.

    Args:
        items: Utterances of one language.
        directory: Directory of the language, which gets the audio.
        lang: Its code, with which the ids begin.
        nj: Number of processes.

    Raises:
        UserError: espeak-ng is missing or lacks the words of a prompt, or the file
            system refuses.
    """
    try:
        with alone_in(directory):
            _make(items, directory, lang, nj)
    except OSError as error:
        raise cannot_write(error.filename or directory, error) from error
    splits: dict[str, list[Utterance]] = {split: [] for split in SPLITS}
    phones: dict[str, list[Phone]] = {}
    for item in items:
        path = item.path(directory)
        utterance = Utterance(
            id=item.id,
            speaker=item.speaker.id,
            audio=str(path),
            labels={"gender": item.speaker.gender},
            lang=lang,
            duration=(_count_samples(path) or 0) / espeak.SAMPLE_RATE,
            text=item.prompt.text,
            image=(
                str(write_picture(item.emoji, directory.parent.absolute() / "pictures"))
                if item.emoji
                else None
            ),
        )
        splits[item.speaker.split].append(utterance)
        phones |= read_phones(path.with_suffix(".ctm"), {item.id}, {})
    return LanguageSplits(splits, phones=phones)


def draw_items(
    config: DemoConfig,
    lang: str,
    voice: Path | None = None,
    texts: Iterable[str] | None = None,
) -> list[Item]:
    """Draw who says what.

    Args:
        config: The demo corpus's configuration.
        lang: Code of the language, with which ids begin.
        voice: espeak-ng's voice file of the language; None for that of ``lang``.
        texts: What is said, at least as many as there are utterances; None for prompts
            of the configuration.

    Raises:
        UserError: espeak-ng does not know the language.
    """
    spoken = language_of(lang)
    language_voice = (voice or _voice_of(lang)).read_text(encoding="latin-1")
    given = iter(texts) if texts is not None else None
    items = []
    for speaker in draw_speakers(config, lang):
        random = Random(f"{config.seed} {speaker.id}")
        moods = draw_moods(config, speaker)
        for number, mood in enumerate(moods, start=1):
            kind = config.prompts[(number - 1) % len(config.prompts)]
            shown = None
            if given:
                text = next(given)
            else:
                text = draw_prompt(kind, random, spoken, speaker.split)
                if kind.endswith("emoji"):
                    shown = emoji_names(spoken)[text]
            prompt = espeak.Prompt(
                lang=spoken,
                voice=f"{language_voice}\n{voice_text(speaker, mood)}",
                rate=speaker.rate,
                volume=speaker.volume,
                text=text,
            )
            items.append(Item(f"{speaker.id}-{number:02d}", speaker, prompt, shown))
    return items


def _voice_of(lang: str) -> Path:
    languages = espeak.language_files()
    if lang not in languages:
        raise UserError(
            f"The demo corpus does not know the language {lang!r}: choose from "
            f"{' '.join(languages)}."
        )
    return languages[lang]


def _make(items: list[Item], directory: Path, lang: str, nj: int) -> None:
    origin = directory / "made_from.json"
    made_from = {
        "espeak_ng": espeak.version(),
        "utterances": len(items),
        "sha256": hashlib.sha256(
            json.dumps([(item.id, asdict(item.prompt)) for item in items]).encode()
        ).hexdigest(),
    }
    before = None
    with suppress(UserError):
        before = read_json(origin, "make the language again")
    if before != made_from:
        # In this order, an interruption leaves no file whose origin is in doubt.
        origin.unlink(missing_ok=True)
        _remove_made(directory, lang, "*.wav")
        _remove_made(directory, lang, "*.ctm")
        write_json(origin, made_from)
    missing = {
        path: item.prompt
        for item in items
        if _count_samples(path := item.path(directory)) is None
        or not path.with_suffix(".ctm").exists()
    }
    table = directory / "utterances.tsv"
    if not missing and table.exists():
        return
    table.unlink(missing_ok=True)
    _remove_made(directory, lang, ".*.tmp.*")
    with (
        closing(speak_files(missing, nj)) as files,
        progress(
            description=f"speaking {lang}",
            total=len(items),
            initial=len(items) - len(missing),
            unit="utt",
        ) as bar,
    ):
        for _ in files:
            bar.update()
    _write_tables(items, directory)


def _remove_made(directory: Path, lang: str, pattern: str) -> None:
    """Remove files that this module named, and nobody else's."""
    for path in directory.glob(f"{lang}-[fm][0-9][0-9]/{pattern}"):
        if path.parent.name in path.name:
            path.unlink()


def _count_samples(path: Path) -> int | None:
    """Return the samples of a WAV file; None where it is missing or not whole."""
    try:
        with wave.open(str(path), "rb") as audio:
            count = audio.getnframes()
        header = 44
        return count if path.stat().st_size == header + 2 * count else None
    except (OSError, EOFError, wave.Error):
        return None


def _write_tables(items: list[Item], directory: Path) -> None:
    speakers = [
        [" ".join(map(str, v)) if isinstance(v, tuple) else v for v in astuple(speaker)]
        for speaker in dict.fromkeys(item.speaker for item in items)
    ]
    names = [field.name for field in fields(Speaker)]
    write_rows(directory / "speakers.tsv", [names, *speakers])
    utterances = [
        [
            *(item.id, item.speaker.split, item.speaker.gender),
            _count_samples(path := item.path(directory)),
            hashlib.sha256(path.read_bytes()).hexdigest(),
            item.prompt.text,
        ]
        for item in items
    ]
    header = ["id", "split", "gender", "samples", "sha256", "text"]
    write_rows(directory / "utterances.tsv", [header, *utterances])


DEMO = CorpusSpec(
    name="demo",
    is_demo=True,
    list_languages=list_languages,
    load_language=load_language,
    db_variable="DEMO",
    default_dir="downloads/demo",
    default_languages=default_languages,
    config="conf/demo.yaml",
)
DEMO_WORDS = replace(
    DEMO,
    name="demo_words",
    db_variable="DEMO_WORDS",
    default_dir="downloads/demo_words",
    config="conf/demo_words.yaml",
)
"""The demo of speech recognition, whose prompts are words in each language's letters:
digits, which the other demo's are, have the same letters everywhere."""
