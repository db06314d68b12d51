"""Tokens that a model writes: characters, pieces of words, or phones.

A list of tokens begins with ``<blank>`` and ``<unk>`` and ends with ``<sos/eos>``, as
ESPnet's do. Texts become tokens by ESPnet's tokenizers; tokens become text here.
"""

import base64
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Any

from espnet2_cltm.errors import UserError

BLANK, UNKNOWN, SPACE, END = "<blank>", "<unk>", "<space>", "<sos/eos>"
SPECIAL = frozenset({BLANK, UNKNOWN, END})
_WORD = "\u2581"  # sentencepiece's mark of a word's beginning
PHONES = "phn"
TOKEN_TYPES = ("char", "bpe", PHONES)
"""ESPnet's names of the kinds of tokens."""


def token_list(tokens: Iterable[str]) -> list[str]:
    """Return a list of tokens, sorted, with those that every list has."""
    return [BLANK, UNKNOWN, *sorted({*tokens} - SPECIAL), END]


def characters(texts: Iterable[str]) -> set[str]:
    """Return the characters of texts as tokens."""
    found = set().union(*texts)
    return {SPACE if character == " " else character for character in found}


def text_of(tokens: Sequence[str], token_type: str) -> str:
    """Join tokens to a text in normal form.

    Args:
        tokens: Tokens; special ones are passed over.
        token_type: ESPnet's name of their kind.
    """
    if token_type == PHONES:
        return " ".join(token for token in tokens if token not in SPECIAL)
    blank = {"char": SPACE, "bpe": _WORD}[token_type]
    text = "".join(token for token in tokens if token not in SPECIAL)
    return " ".join(text.replace(blank, " ").split())


def train_pieces(texts: Iterable[str], number: int) -> str:
    """Learn pieces of words by byte-pair encoding.

    Args:
        texts: Texts in normal form.
        number: Number of pieces, ``<unk>`` included.

    Returns:
        sentencepiece's model, as base64.

    Raises:
        UserError: The texts allow no such number.
    """
    import sentencepiece  # a plan without pieces does not need it

    model = io.BytesIO()
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(sorted(texts)),
            model_writer=model,
            model_type="bpe",
            vocab_size=number,
            character_coverage=1.0,
            normalization_rule_name="identity",
            bos_id=-1,
            eos_id=-1,
            num_threads=1,
            minloglevel=4,
        )
    except RuntimeError as error:
        limits = re.findall(r"<= (\d+)|\d+ vs (\d+)", str(error))
        most, least = limits[0] if limits else ("", "")
        allowed = f"at most {most}" if most else f"at least {least or 'more'}"
        raise UserError(
            f"--asr_pieces {number}: the transcripts allow {allowed}: give such a "
            "number, or --asr_tokens char."
        ) from error
    return base64.b64encode(model.getvalue()).decode()


def decode_pieces(model: str) -> bytes:
    """Return sentencepiece's model from what :func:`train_pieces` returned."""
    return base64.b64decode(model)


@lru_cache(maxsize=4)
def _processor(model: str) -> Any:
    import sentencepiece

    return sentencepiece.SentencePieceProcessor(model_proto=decode_pieces(model))


def pieces_of(model: str) -> set[str]:
    """Return all pieces of a model."""
    processor = _processor(model)
    return {processor.id_to_piece(i) for i in range(processor.get_piece_size())}


def tokens_of(text: str, token_type: str, model: str | None) -> Sequence[str]:
    """Return the tokens of a text: phones, pieces of a model, or else characters."""
    if token_type == PHONES:
        return text.split()
    return text if model is None else _processor(model).encode(text, out_type=str)


def fewest_frames(tokens: Sequence[object]) -> int:
    """Return how many frames CTC needs: one a token, and a blank between equal ones."""
    repeats = sum(a == b for a, b in pairwise(tokens))
    return len(tokens) + repeats


def find_tokens(texts: Iterable[str], options: Mapping[str, Any]) -> dict[str, Any]:
    """Find the tokens of texts in normal form, or of phones.

    Args:
        texts: The texts.
        options: The task's options.

    Returns:
        ``tokens``, and with pieces of words ``pieces``, their model.

    Raises:
        UserError: The texts do not allow so many pieces.
    """
    if options["asr_tokens"] == "char":
        return {"tokens": token_list(characters(texts))}
    if options["asr_tokens"] == PHONES:
        return {"tokens": token_list(" ".join(texts).split())}
    model = train_pieces(texts, options["asr_pieces"])
    return {"tokens": token_list(pieces_of(model)), "pieces": model}
