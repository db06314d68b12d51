"""Phones of transcripts, by espeak-ng: symbols of the IPA, the same in all languages.

A phone is what is left of espeak-ng's phoneme without stress and tone, as
:mod:`.espeak_phones` spells it: letters and marks. The library keeps state and needs a
working directory of its own, so a worker, ``python -m
espnet2_cltm.corpus.text_phones``, takes the texts of a language as JSON and answers
with their phonemes.
"""

import json
import re
import subprocess
import sys
import tempfile
import unicodedata
from collections.abc import Sequence
from pathlib import Path

from espnet2_cltm.corpus.espeak import FOREIGN, Synthesiser, language_files
from espnet2_cltm.corpus.espeak_phones import clean_ipa
from espnet2_cltm.corpus.espeak_workers import worker_environment
from espnet2_cltm.errors import UserError

# ruff: noqa: RUF002 (signs of the IPA)
# Common Voice's codes whose voices go by other names.
_VOICES = {"zh-HK": "yue", "zh-TW": "cmn", "zh-CN": "cmn"}
_TONE = re.compile("[0-9]")


def voice_file(lang: str) -> Path | None:
    """Return the voice file of a language, or None where espeak-ng does not know it."""
    files = language_files()
    named = _VOICES.get(lang, lang)
    codes = (named, named.lower(), named.partition("-")[0])
    return next((files[code] for code in codes if code in files), None)


def phones_of(texts: Sequence[str], voice: Path) -> list[str]:
    """Return the phones of texts.

    Args:
        texts: Transcripts as written.
        voice: Voice file of their language.

    Returns:
        Phones separated by blanks; empty where a text has none, or espeak-ng reads a
        part of it in another language.

    Raises:
        UserError: espeak-ng is broken.
    """
    job = {"voice": voice.read_text(encoding="latin-1"), "texts": list(texts)}
    worker = subprocess.run(
        [sys.executable, "-m", __name__],
        input=json.dumps(job),
        capture_output=True,
        encoding="utf-8",
        env=worker_environment(),
        check=False,
    )
    if worker.returncode or not worker.stdout:
        reason = (worker.stderr.strip().splitlines() or ["it was stopped"])[-1]
        raise UserError(
            f"espeak-ng gives no phones ({reason.rstrip('.')}): run the same command "
            "again, or give --asr_tokens char."
        )
    return [split_phones(phonemes) for phonemes in json.loads(worker.stdout)]


def split_phones(phonemes: str) -> str:
    """Return the phones in what :meth:`.espeak.Synthesiser.phonemes` returns.

    Example:
        >>> split_phones("ˈo_l_a m_ˈu_n_d_o")
        'o l a m u n d o'
    """
    if FOREIGN in phonemes:
        return ""
    return " ".join(filter(None, map(_phone, re.split("[_ ]+", phonemes))))


def _phone(phoneme: str) -> str:
    symbol = clean_ipa(_TONE.sub("", phoneme).replace(":", "ː").encode())
    return "".join(c for c in symbol if unicodedata.category(c)[0] in "LM")


def main() -> None:
    """Answer with the phonemes of all texts."""
    job = json.load(sys.stdin)
    with tempfile.TemporaryDirectory(prefix="espeak-") as place:
        try:
            synthesiser = Synthesiser(Path(place))
        except (UserError, OSError) as error:
            sys.exit(str(error))
        if status := synthesiser.set_voice(job["voice"]):
            sys.exit(f"it refuses the voice: status {status}")
        print(json.dumps([synthesiser.phonemes(text) for text in job["texts"]]))


if __name__ == "__main__":
    main()
