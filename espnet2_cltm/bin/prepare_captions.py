"""Data directories, with image.scp, from corpora of spoken captions."""

import argparse
from dataclasses import replace
from pathlib import Path

from espnet2_cltm.bin.command_line import Parser, command
from espnet2_cltm.corpus.captions import LAYOUTS
from espnet2_cltm.corpus.datadir import Utterance, write_data_dir
from espnet2_cltm.errors import UserError


def get_parser() -> argparse.ArgumentParser:
    """Return the parser of the command's options."""
    parser = Parser(
        description="Write a split of a corpus of spoken captions as a data directory "
        "with image.scp, for --corpus kaldi. Captions whose audio or picture is "
        "missing are left out and counted."
    )
    parser.add_argument(
        "--layout", required=True, choices=tuple(LAYOUTS), help="layout of the corpus"
    )
    parser.add_path(
        "table",
        "spokencoco: JSON file of the split; flickr8k: wav2capt.txt; speechcoco: "
        "directory of JSON files",
    )
    parser.add_path("audio_root", "where its audio paths begin")
    parser.add_path("image_root", "where its picture paths begin")
    parser.add_argument(
        "--image_prefix",
        default="",
        help="what stands before pictures' names there, such as COCO_train2014_",
    )
    parser.add_argument(
        "--images",
        type=Path,
        help="file with a picture's name a line, such as Flickr_8k.trainImages.txt: "
        "captions of others are left out",
    )
    parser.add_path("outdir", "such as captions/en/train")
    return parser


def _prepare(args: argparse.Namespace) -> None:
    if not args.table.exists():
        raise UserError(f"--table {args.table} does not exist: correct the path.")
    chosen = None
    if args.images:
        if not args.images.is_file():
            raise UserError(f"--images {args.images} is not a file: correct the path.")
        chosen = set(args.images.read_text(encoding="utf-8").split())
    captions: list[Utterance] = []
    missing: list[str] = []
    there: dict[Path, bool] = {}
    for caption in LAYOUTS[args.layout](args.table):
        name = caption.image or ""
        if chosen is not None and name not in chosen:
            continue
        files = (
            (args.audio_root / caption.audio).absolute(),
            (args.image_root / f"{args.image_prefix}{name}").absolute(),
        )
        lost = [file for file in files if not there.setdefault(file, file.is_file())]
        if lost:
            missing.append(str(lost[0]))
        else:
            audio, image = map(str, files)
            captions.append(replace(caption, audio=audio, image=image))
    if not captions:
        reason = (
            f"files are missing, first {missing[0]}: correct --audio_root, "
            "--image_root or --image_prefix"
            if missing
            else "it has none of the pictures of --images, or no caption at all"
        )
        raise UserError(f"{args.table} gives no caption ({reason}).")
    write_data_dir(args.outdir, captions)
    pictures = len({caption.image for caption in captions})
    line = f"{args.outdir}: {len(captions)} captions of {pictures} pictures"
    if missing:
        line += f"; {len(missing)} left out, their files missing, first {missing[0]}"
    print(line)


main = command(get_parser, _prepare)

if __name__ == "__main__":
    main()
