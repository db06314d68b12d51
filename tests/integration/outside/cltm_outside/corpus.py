"""A corpus of another package: tones, high or low, in made-up languages."""

from pathlib import Path

import numpy as np
import soundfile

from espnet2_cltm.corpus.datadir import Utterance
from espnet2_cltm.corpus.language import CorpusOptions, CorpusSpec, LanguageSplits

RATE = 16000
SPEAKERS = {"train": (0, 1, 2), "dev": (3,), "test": (4, 5)}


def list_languages(corpus_dir: Path) -> list[str]:
    """Return the languages, whose tones differ a little."""
    return ["xa", "xb"]


def load_language(
    corpus_dir: Path, lang: str, options: CorpusOptions
) -> LanguageSplits:
    """Write the tones of a language, and return its utterances."""
    splits: dict[str, list[Utterance]] = {}
    for split, speakers in SPEAKERS.items():
        splits[split] = []
        for speaker in (f"{lang}-s{number}" for number in speakers):
            for register, hertz in (("high", 400), ("low", 150)):
                for take in range(3):
                    utt = f"{speaker}-{register}{take}"
                    path = Path(corpus_dir) / lang / f"{utt}.wav"
                    labels = {"register": register, "gender": "f"}
                    _write_tone(path, hertz * (1.1 if lang == "xb" else 1.0), utt)
                    splits[split].append(
                        Utterance(utt, speaker, str(path), labels, lang)
                    )
    return LanguageSplits(splits)


def _write_tone(path: Path, hertz: float, utt: str) -> None:
    if path.exists():
        return
    rng = np.random.default_rng(list(utt.encode()))
    time = np.arange(RATE // 3) / RATE
    tone = np.sign(np.sin(2 * np.pi * hertz * rng.uniform(0.9, 1.1) * time))
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, 0.2 * tone + 0.02 * rng.standard_normal(len(time)), RATE)


TONES = CorpusSpec(
    name="tones",
    list_languages=list_languages,
    load_language=load_language,
    default_dir="downloads/tones",
)
