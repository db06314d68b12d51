"""Pictures of a grounded pretraining: read once, all of one size."""

import argparse

from espnet2_cltm.bin.command_line import command, parser_of
from espnet2_cltm.corpus.options import CODES
from espnet2_cltm.options import POSITIVE, SEED, Option
from espnet2_cltm.pretraining.options import GROUNDING_SHARE
from espnet2_cltm.pretraining.pictures import PictureSettings, make_pictures
from espnet2_cltm.pretraining.targets import choose_languages

OPTIONS = (
    Option("langs", "language codes; left out, all under --dump", CODES),
    Option("nj", "number of processes", POSITIVE, "1"),
    Option(
        "image_size",
        "width and height in pixels that pictures are scaled to",
        POSITIVE,
        "32",
    ),
    GROUNDING_SHARE,
    Option("seed", "seed by which these are drawn", SEED, "0"),
)


get_parser = parser_of(
    "Read the pictures that a corpus's image.scp names into one array. Only what is "
    "missing is read; the command can be interrupted and started again at any time.",
    OPTIONS,
    dump="audio store: <dumpdir>/<corpus>",
    outdir="directory to write to",
)


def _make(args: argparse.Namespace) -> None:
    langs = choose_languages(args.dump, args.langs)
    settings = PictureSettings(
        str(args.dump), langs, args.image_size, args.grounding_share, args.seed
    )
    print(make_pictures(settings, args.outdir, args.nj))


main = command(get_parser, _make, "WARNING")

if __name__ == "__main__":
    main()
