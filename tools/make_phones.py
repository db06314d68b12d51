#!/usr/bin/env python3
# ruff: noqa: RUF001 (IPA)
"""Count the phones of languages as espeak-ng speaks them, with PanPhon's features.

Takes conf/uriel_languages.yaml, espeak-ng (espeakng_loader), names of places, languages
and the like in each language (CLDR, in babel) and the table of the package panphon;
writes below espnet2_cltm/data/languages:

phones.tsv                  language, segment, count: in the names that espeak-ng reads
articulatory_features.tsv   the segments that occur there, PanPhon's 24 features (+ - 0)

    python3 -m venv --system-site-packages phones_env   # beside the recipe's packages
    phones_env/bin/pip install -r tools/requirements-phones.txt
    phones_env/bin/python tools/make_phones.py

espeak-ng's phones are cut into PanPhon's segments, the longest first: stress, tones and
ties are left out, a diphthong is two vowels. The README there tells the rest.
"""

import argparse
import csv
import re
import sys
import tempfile
import unicodedata
from collections import Counter
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from espnet2_cltm.corpus.demo_drawing import names_of  # noqa: E402
from espnet2_cltm.corpus.espeak import Synthesiser, language_files  # noqa: E402
from espnet2_cltm.errors import UserError  # noqa: E402
from espnet2_cltm.files import write_text  # noqa: E402
from espnet2_cltm.progress import progress  # noqa: E402

DATA = ROOT / "espnet2_cltm" / "data" / "languages"
MOST_NAMES = 1000
LEAST_CUT = 0.95  # share of a language's phones that have to have features
# Tones are digits, and after a vowel the sign that stands for the digit 3.
TONAL = ("cmn", "yue", "hak", "th", "vi", "my", "shn")
# As espeak-ng writes them, and in IPA.
SPELLINGS = {
    "ts.": "ʈʂ",
    "dz.": "ɖʐ",
    "s.": "ʂ",
    "z.": "ʐ",
    "k`": "kʼ",
    "ε": "ɛ",
    "?": "ʔ",
    "g": "ɡ",
    "ᵻ": "ɨ",
    "ᵝ": "",
    "ɝ": "ɜ˞",
    "ɚ": "ə˞",
}
AFFRICATES = ("ts", "dz", "tʃ", "dʒ", "tɕ", "dʑ", "ʈʂ", "ɖʐ", "pf", "tɬ")


def read_features() -> tuple[list[str], dict[str, list[str]]]:
    """Read PanPhon's table: names of features, and values by segment."""
    import panphon

    path = Path(panphon.__file__).parent / "data" / "ipa_all.csv"
    with path.open(encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file)
    values = {unicodedata.normalize("NFD", row[0]): row[1:] for row in rows}
    # Tones are segments there, and none here.
    return header[1:], {key: v for key, v in values.items() if set(v[:22]) != {"0"}}


def cut(phone: str, tonal: bool, known: dict[str, list[str]]) -> tuple[list[str], int]:
    """Cut one of espeak-ng's phones into segments.

    Returns:
        The segments, and how many characters belong to none.
    """
    text = re.sub(r"[ˈˌ0-9\-|.ː]*$", "", phone.strip("ˈˌ"))
    if tonal:
        text = re.sub(r"(?<=.)ɜ$", "", text)
    for written, ipa in SPELLINGS.items():
        text = phone_with_dots(phone, text, written, ipa)
    text = re.sub(r"(?<=[ptkcqʈɕʂs])h", "ʰ", text)
    for pair in AFFRICATES:
        text = text.replace(
            pair, f"{pair[0]}\N{COMBINING DOUBLE INVERTED BREVE}{pair[1]}"
        )
    text = re.sub(r"[ˈˌ0-9\-_|'ː]", "", unicodedata.normalize("NFD", text))
    segments, lost, at = [], 0, 0
    while at < len(text):
        for end in range(len(text), at, -1):
            if text[at:end] in known:
                segments.append(text[at:end])
                at = end
                break
        else:
            lost += unicodedata.category(text[at])[0] == "L"
            at += 1
    return segments, lost


def phone_with_dots(phone: str, text: str, written: str, ipa: str) -> str:
    """Replace one of espeak-ng's spellings, whose dot at the end may be cut off."""
    if written.endswith(".") and phone.strip("ˈˌ").endswith(written):
        return text.removesuffix(written[:-1]) + ipa
    return text.replace(written, ipa)


def count_phones(
    speaker: Synthesiser, code: str, known: dict[str, list[str]]
) -> Counter[str]:
    """Count a language's segments; none where it is not known well enough."""
    voice = language_files()[code].read_text(encoding="latin-1")
    counts: Counter[str] = Counter()
    lost = 0
    names = names_of(code)
    step = max(len(names) // MOST_NAMES, 1)
    speaker.set_voice(voice)
    for name in names[::step][:MOST_NAMES]:
        text = speaker.phonemes(name)
        if "(" in text:  # read in another language
            continue
        for phone in re.split(r"[_\s]+", text.strip("_ ")):
            segments, missing = cut(phone, code in TONAL, known)
            counts.update(segments)
            lost += missing
    if counts.total() < LEAST_CUT * (counts.total() + lost):
        print(f"{code}: {lost} of {counts.total() + lost} segments have no features")
        return Counter()
    return counts


def main() -> None:
    """Run from the command line."""
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    conf = ROOT / "conf" / "uriel_languages.yaml"
    glottocodes = yaml.safe_load(conf.read_text(encoding="utf-8"))
    header, known = read_features()
    voices = language_files()
    voice_of = {
        glottocodes[code]: code
        for code in sorted(glottocodes, reverse=True)
        if code in voices
    }
    rows, absent = [], []
    with tempfile.TemporaryDirectory() as place:
        speaker = Synthesiser(Path(place))
        found: dict[str, Counter[str]] = {}
        for code in progress(
            sorted(glottocodes), description="phones", unit="language"
        ):
            voice = code if code in voices else voice_of.get(glottocodes[code], "")
            if voice and voice not in found:
                try:
                    found[voice] = count_phones(speaker, voice, known)
                except UserError:  # too few names
                    found[voice] = Counter()
            counts = found.get(voice, Counter())
            if not counts:
                absent.append(code)
            rows += [(code, segment, counts[segment]) for segment in sorted(counts)]
    segments = sorted({segment for _, segment, _ in rows})
    tables = {
        "phones.tsv": [("language", "segment", "count"), *rows],
        "articulatory_features.tsv": [
            ("segment", *header),
            *((segment, *known[segment]) for segment in segments),
        ],
    }
    for name, lines in tables.items():
        text = "".join("\t".join(map(str, line)) + "\n" for line in lines)
        write_text(DATA / name, text)
    languages = {code for code, *_ in rows}
    print(f"{len(segments)} segments of {len(languages)} languages in {DATA}")
    print(f"Not spoken, or not well enough known: {' '.join(absent)}")


if __name__ == "__main__":
    main()
