"""Options that the commands which make pretraining's targets have in common."""

import argparse
from pathlib import Path

from espnet2_cltm.bin.command_line import positive_number


def add_target_options(parser: argparse.ArgumentParser) -> None:
    """Add ``--dump``, ``--langs``, ``--nj`` and ``--outdir``."""
    parser.add_argument(
        "--dump", required=True, type=Path, help="audio store: <dumpdir>/<corpus>"
    )
    parser.add_argument(
        "--langs", default="", help="language codes; none: all under --dump"
    )
    parser.add_argument("--nj", type=positive_number, default=1, help="processes")
    parser.add_argument("--outdir", required=True, type=Path)
