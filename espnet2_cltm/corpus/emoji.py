"""Pictures of things, and their names in many languages: emoji.

The package has some five hundred that show an animal, a plant, food, a vehicle, a
building or an object, with their names from Unicode's CLDR
(``espnet2_cltm/data/emoji``, made by tools/make_emoji.py). In a language no two have
the same name, so that what is said tells what is shown; a name that another shares is
missing. Splits share no picture, so that a test shows things that training has not.
"""

from dataclasses import dataclass
from functools import cache
from importlib.resources import as_file, files
from pathlib import Path

import numpy as np

from espnet2_cltm.files import replacing
from espnet2_cltm.subsets import random_order

COLUMNS = 24
"""Pictures beside each other on the sheet."""

SIZE = 32
"""Width and height of a picture in pixels."""

HELD_OUT = 0.1
"""Share of the pictures in dev, and in test."""

_SEED = 0


@dataclass(frozen=True)
class Emoji:
    """One thing.

    Attributes:
        character: The emoji itself, its identity in all languages.
        kind: Unicode's subgroup, such as ``animal-bird``.
        names: Its name by language, where it has one of its own.
        number: Its number on the sheet of pictures.
        split: ``train``, ``dev`` or ``test``.
    """

    character: str
    kind: str
    names: dict[str, str]
    number: int
    split: str


@cache
def read_emoji() -> tuple[Emoji, ...]:
    """Return all emoji, in Unicode's order."""
    text = (files("espnet2_cltm.data") / "emoji/names.tsv").read_text("utf-8")
    (_, _, *langs), *rows = (line.split("\t") for line in text.splitlines())
    mixed = random_order((row[0] for row in rows), _SEED, "emoji")
    n_held_out = round(HELD_OUT * len(mixed))
    splits = dict.fromkeys(mixed, "train")
    splits |= dict.fromkeys(mixed[:n_held_out], "test")
    splits |= dict.fromkeys(mixed[n_held_out : 2 * n_held_out], "dev")
    return tuple(
        Emoji(
            character,
            kind,
            {lang: name for lang, name in zip(langs, names, strict=True) if name},
            number,
            splits[character],
        )
        for number, (character, kind, *names) in enumerate(rows)
    )


@cache
def read_pictures() -> np.ndarray:
    """Return the (emoji, SIZE, SIZE, 3) uint8 pictures, on white."""
    from PIL import Image

    with as_file(files("espnet2_cltm.data") / "emoji/pictures.png") as path:
        sheet = np.asarray(Image.open(path).convert("RGB"))
    rows = sheet.reshape(-1, SIZE, COLUMNS, SIZE, 3).swapaxes(1, 2)
    return rows.reshape(-1, SIZE, SIZE, 3)[: len(read_emoji())]


def write_picture(one: Emoji, directory: Path) -> Path:
    """Write an emoji's picture as PNG unless it is there, and return its file.

    The file is named by the emoji's code points.

    Raises:
        UserError: The file system refuses.
    """
    from PIL import Image

    points = "-".join(f"{ord(character):x}" for character in one.character)
    path = directory / f"{points}.png"
    if not path.exists():
        with replacing(path) as temporary:
            Image.fromarray(read_pictures()[one.number]).save(temporary)
    return path


def emoji_names(lang: str, split: str = "") -> dict[str, Emoji]:
    """Return the emoji of a language by their names, sorted.

    Args:
        lang: Code of espeak-ng's.
        split: Split that they are taken from; empty for all.

    Returns:
        Emoji by name; empty where the language has no names.
    """
    named = {
        one.names[lang]: one
        for one in read_emoji()
        if lang in one.names and split in ("", one.split)
    }
    return dict(sorted(named.items()))
