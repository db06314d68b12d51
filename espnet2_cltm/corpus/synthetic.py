"""Synthetic speech of a language, ``<lang>@tts``, as a donor: spoken by espeak-ng.

Speakers and voices are drawn as those of the demo (:mod:`.demo_drawing`). They say
training transcripts of the language where the corpus has some that espeak-ng can read,
never those of dev or test, and else the demo's prompts; a note says which. Whoever has
better synthetic speech puts it where ``--corpus kaldi`` finds it, in a directory named
``<lang>@tts``, and nothing here is used.
"""

from dataclasses import replace
from functools import partial
from itertools import cycle
from pathlib import Path

from espnet2_cltm.corpus import espeak
from espnet2_cltm.corpus.demo import DEMO, draw_items, speak
from espnet2_cltm.corpus.demo_config import read_config
from espnet2_cltm.corpus.language import CorpusOptions, CorpusSpec, LanguageSplits
from espnet2_cltm.corpus.text_phones import phones_of, voice_file
from espnet2_cltm.errors import UserError
from espnet2_cltm.language_codes import SYNTHETIC, is_donor_only, language_of
from espnet2_cltm.subsets import random_order

FEWEST_TEXTS = 20
"""With fewer transcripts to say, the speech would be the same sentences over again."""


def can_speak(lang: str) -> bool:
    """Return whether a code is of synthetic speech that can be made here.

    Raises:
        UserError: The package espeakng_loader is missing or broken.
    """
    base, _, kind = lang.partition("@")
    return kind == SYNTHETIC and voice_file(base) is not None


def speaking(corpus: CorpusSpec) -> CorpusSpec:
    """Return a corpus that speaks the synthetic languages of another.

    Args:
        corpus: The corpus whose languages have transcripts.
    """
    return replace(
        corpus,
        load_language=partial(load_language, corpus),
        list_inputs=None,
        list_unusable=None,
    )


def load_language(
    corpus: CorpusSpec, corpus_dir: Path, lang: str, options: CorpusOptions
) -> LanguageSplits:
    """Make what is missing of a synthetic language, and return its splits.

    Args:
        corpus: The corpus of the language itself.
        corpus_dir: Its directory.
        lang: ``<lang>@tts``.
        options: ``config`` is the demo's configuration, which says how many speakers
            there are and what they are like; ``nj`` the number of processes.

    Raises:
        UserError: espeak-ng is missing or has no voice of the language, the
            configuration is wrong, or the file system refuses.
    """
    base = language_of(lang)
    voice = voice_file(base)
    if voice is None:
        raise UserError(
            f"{lang}: espeak-ng has no voice of {base!r}: leave it out of --langs, or "
            f"put synthetic speech of your own into a Kaldi directory {lang}."
        )
    config = read_config(DEMO.choose_config(str(options.config or "")))
    texts, what = transcripts(corpus, corpus_dir, base, voice, options)
    directory = corpus_dir if corpus.is_demo else Path(options.tts_dir) / corpus.name
    order = random_order(texts, config.seed, f"texts of {lang}")
    items = draw_items(config, lang, voice, cycle(order) if texts else None)
    made = speak(items, directory / lang, lang, options.nj)
    n_speakers = len({item.speaker.id for item in items})
    note = f"spoken by espeak-ng {espeak.version()} in {n_speakers} voices: {what}"
    return replace(made, notes=[note])


def transcripts(
    corpus: CorpusSpec, corpus_dir: Path, lang: str, voice: Path, options: CorpusOptions
) -> tuple[list[str], str]:
    """Return what of a language's training transcripts espeak-ng can read.

    Args:
        corpus: The corpus.
        corpus_dir: Its directory.
        lang: The language.
        voice: espeak-ng's voice file of it.
        options: Options of stage 1.

    Returns:
        The transcripts, each once, sorted, or none where the demo's prompts are to be
        said; and a few words on what is said.
    """
    prompts = "the demo's prompts"
    if corpus.is_demo:
        return [], prompts
    if is_donor_only(lang) or lang not in corpus.list_languages(corpus_dir):
        return [], f"{prompts}, as {lang} is not in {corpus_dir}"
    utterances = corpus.load_language(corpus_dir, lang, options).splits["train"]
    texts = sorted({text for u in utterances if (text := (u.text or "").strip())})
    phones = phones_of(texts, voice)
    readable = [text for text, said in zip(texts, phones, strict=True) if said]
    if len(readable) < FEWEST_TEXTS:
        few = f"{len(readable)} training transcripts of {lang} that it can read"
        return [], f"{prompts}, as there are only {few}"
    if len(readable) == len(texts):
        return readable, f"the {len(texts)} training transcripts of {lang}"
    return readable, (
        f"the {len(readable)} of {len(texts)} training transcripts of {lang} that it "
        "can read"
    )
