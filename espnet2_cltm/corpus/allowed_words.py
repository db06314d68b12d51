"""Words that may stand in a data directory: ids, names of labels and their values.

Kaldi's tools split lines at white space, spreadsheets run formulas, and a label's value
names a class in tables and figures.
"""

import re

from espnet2_cltm.errors import UserError

GENDERS = ("f", "m")
RESERVED = (
    *("utt", "spk", "lang", "dur", "num_samples", "num_frames", "uniq", "category"),
    *("shift", "warp", "sid", "lid"),
)
"""What follows ``utt2`` or ``spk2`` in tables of Kaldi's and ESPnet's own."""

MAX_ID = 255
"""Most characters of an id."""

LONGEST_VALUE = 80
"""Most characters of a label's value, which names a class in tables and figures."""

# A backup, such as utt2gender.old or utt2gender~, is not a table.
_LABEL = re.compile(r"[^\W\d][\w-]{0,59}")
# What a spreadsheet takes for a formula; a number is none.
_FORMULA = re.compile(r"[=@]|[+-](?![\d.]+$)")
# A line break inside a value would start a new line, a tab a new column.
_BAD_IN_VALUE = re.compile(r"[\x00\t\n\r]")
# Kaldi splits ids at any white space; control characters and byte order marks cannot be
# seen.
_BAD_IN_ID = re.compile(r"[\s\x00-\x20\x7f-\x9f\ufeff]")


def is_label(name: str) -> bool:
    """Return whether ``name`` can be the name of a label."""
    return bool(_LABEL.fullmatch(name)) and name not in RESERVED


def make_word(text: str) -> str:
    """Make one word of a label's value: white space becomes an underscore."""
    return make_inert(re.sub(f"{_BAD_IN_ID.pattern}+", "_", text.strip()))


def make_inert(text: str) -> str:
    """Put an apostrophe before what a spreadsheet would run as a formula."""
    return f"'{text}" if _FORMULA.match(text) else text


def is_id(text: str) -> bool:
    """Return whether ``text`` can be an utterance or speaker id."""
    return 0 < len(text) <= MAX_ID and (_is_plain(text) or not _BAD_IN_ID.search(text))


def make_id_part(text: str) -> str:
    """Replace every character that cannot stand in an id by an underscore."""
    return (text if _is_plain(text) else _BAD_IN_ID.sub("_", text)) or "_"


def fits_on_line(text: str) -> bool:
    """Return whether a value can stand on one line of UTF-8 text."""
    # What is printable has nothing that cannot.
    return text.isprintable() or (not _BAD_IN_VALUE.search(text) and _is_utf8(text))


def check_label(label: str, value: str, who: str) -> None:
    """Refuse a label that cannot have a table, or a value that is not one of its.

    Args:
        label: Name of the label.
        value: What it says of an utterance.
        who: The utterance and where it is, to begin the message with.

    Raises:
        UserError: The label or its value cannot stand in a data directory.
    """
    if not is_label(label):
        raise UserError(
            f"{who} has the label {label!r}, which cannot name a table utt2<label>: "
            "choose another name."
        )
    if label == "gender" and value not in GENDERS:
        raise UserError(f"{who} has gender {value!r}: write m or f.")
    if not is_id(value) or not _is_utf8(value) or len(value) > LONGEST_VALUE:
        raise UserError(
            f"{who} has {label} {value!r}: write one word of UTF-8 text, of at most "
            f"{LONGEST_VALUE} characters."
        )


def _is_plain(text: str) -> bool:
    """Return at once whether ``text`` has nothing of :data:`_BAD_IN_ID` for sure."""
    return text.isprintable() and " " not in text


def _is_utf8(text: str) -> bool:
    # File names that are not UTF-8 reach Python as lone surrogates.
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
