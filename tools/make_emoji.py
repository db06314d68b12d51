#!/usr/bin/env python3
"""Choose emoji that show a thing, and write their names and pictures.

Writes espnet2_cltm/data/emoji/names.tsv, a line an emoji and a column a language of
espeak-ng's that Unicode's CLDR has names for, and pictures.png, the pictures in the
order of the lines, COLUMNS beside each other. The README there tells the sources. In an
environment that has the package:

    npm pack cldr-annotations-full@48.2.0 emojibase-data@17.0.0
    for file in *.tgz; do tar xzf "$file" --one-top-level; done
    apt-get install fonts-noto-color-emoji
    python3 tools/make_emoji.py --cldr cldr-annotations-full-48.2.0/package \\
        --emojibase emojibase-data-17.0.0/package

It takes ten seconds.
"""

import argparse
import json
from collections import Counter
from pathlib import Path
from typing import Any

from babel import Locale
from babel.core import UnknownLocaleError
from PIL import Image, ImageDraw, ImageFont

from espnet2_cltm.corpus.demo_drawing import main_script, scripts, spelled_in_letters
from espnet2_cltm.corpus.emoji import COLUMNS, SIZE
from espnet2_cltm.corpus.espeak import language_files
from espnet2_cltm.files import write_text

ROOT = Path(__file__).resolve().parents[1]
FONT = Path("/usr/share/fonts/truetype/noto/NotoColorEmoji.ttf")
FONT_SIZE, GLYPH = 109, (136, 128)  # the only size of the font's bitmaps
# Groups of emojibase that show animals, food, places, vehicles and objects, and in them
# the subgroups whose pictures differ too little: clocks, moons, envelopes, books.
GROUPS = ("animals-nature", "food-drink", "travel-places", "objects")
LEFT_OUT = (
    *("time", "sky-weather", "mail", "lock", "sound", "place-map", "medical", "hotel"),
    *("book-paper", "money", "office", "computer", "writing", "other-object"),
)
MOST_WORDS = 2  # of the English name: longer ones describe a state of a thing
ENOUGH = 0.9  # share of the emoji that a language must name


def main() -> None:
    """Choose, draw, write."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--cldr", type=Path, required=True)
    parser.add_argument("--emojibase", type=Path, required=True)
    parser.add_argument("--font", type=Path, default=FONT)
    parser.add_argument(
        "--outdir", type=Path, default=ROOT / "espnet2_cltm" / "data" / "emoji"
    )
    args = parser.parse_args()
    font = ImageFont.truetype(str(args.font), FONT_SIZE)
    chosen = [one for one in choose(args.emojibase) if is_drawn(font, one["emoji"])]
    emoji = [one["emoji"] for one in chosen]
    names = {
        lang: found
        for lang in sorted(language_files())
        if (found := read_names(args.cldr, lang, emoji))
    }
    header = ["emoji", "group", *names]
    lines = [
        [
            one["emoji"],
            one["kind"],
            *(names[lang].get(one["emoji"], "") for lang in names),
        ]
        for one in chosen
    ]
    table = "".join("\t".join(line) + "\n" for line in [header, *lines])
    write_text(args.outdir / "names.tsv", table)
    draw(font, emoji).save(args.outdir / "pictures.png", optimize=True)
    print(f"{len(emoji)} emoji, {len(names)} languages: {' '.join(names)}")


def choose(emojibase: Path) -> list[dict[str, Any]]:
    """Return the emoji that show a thing, in Unicode's order."""
    known = json.loads((emojibase / "meta" / "groups.json").read_text("utf-8"))
    chosen = []
    for one in json.loads((emojibase / "en" / "data.json").read_text("utf-8")):
        group = known["groups"].get(str(one.get("group")))
        kind = known["subgroups"].get(str(one.get("subgroup")))
        words = one["label"].replace("-", " ").split()
        # An animal's face goes by the animal's name.
        is_thing = len(words) <= MOST_WORDS and words[-1] != "face"
        if group in GROUPS and kind not in LEFT_OUT and is_thing:
            chosen.append({**one, "kind": kind})
    return sorted(chosen, key=lambda one: one["order"])


def is_drawn(font: ImageFont.FreeTypeFont, emoji: str) -> bool:
    """Return whether the font has a picture of an emoji."""
    return picture(font, emoji).getbbox() is not None


def read_names(cldr: Path, lang: str, emoji: list[str]) -> dict[str, str]:
    """Return the names in a language; none where it has too few.

    Only names that the language spells in letters of its own are taken, and none that
    two emoji share.
    """
    if any(len(part) == 4 for part in lang.split("-")[1:]):
        return {}  # a voice that reads another script
    try:
        locale = Locale.parse(lang, sep="-")
    except (UnknownLocaleError, ValueError):
        return {}
    for code in (str(locale).replace("_", "-"), locale.language):
        path = cldr / "annotations" / code / "annotations.json"
        if path.exists():
            break
    else:
        return {}
    content = json.loads(path.read_text("utf-8"))["annotations"]
    annotations = content.get("annotations", {})  # some have an identity and no more
    found = {}
    for one in emoji:
        entry = annotations.get(one) or annotations.get(one.replace("\ufe0f", ""), {})
        if entry.get("tts") and spelled_in_letters(entry["tts"]):
            found[one] = entry["tts"][0]
    script = main_script(list(found.values()))
    times = Counter(found.values())
    kept = {
        one: name
        for one, name in found.items()
        if scripts(name) == {script} and times[name] == 1
    }
    return kept if len(kept) >= ENOUGH * len(emoji) else {}


def picture(font: ImageFont.FreeTypeFont, emoji: str) -> Image.Image:
    """Draw an emoji at the font's own size, on nothing."""
    image = Image.new("RGBA", GLYPH)
    ImageDraw.Draw(image).text((0, 0), emoji, font=font, embedded_color=True)
    return image


def draw(font: ImageFont.FreeTypeFont, emoji: list[str]) -> Image.Image:
    """Draw all emoji on white, one after another."""
    rows = -(-len(emoji) // COLUMNS)
    sheet = Image.new("RGB", (COLUMNS * SIZE, rows * SIZE), "white")
    for number, one in enumerate(emoji):
        found = picture(font, one)
        found = found.crop(found.getbbox())
        found.thumbnail((SIZE, SIZE), Image.Resampling.LANCZOS)
        row, column = divmod(number, COLUMNS)
        corner = (
            column * SIZE + (SIZE - found.width) // 2,
            row * SIZE + (SIZE - found.height) // 2,
        )
        sheet.paste(found, corner, found)
    return sheet.quantize(256, dither=Image.Dither.NONE)


if __name__ == "__main__":
    main()
