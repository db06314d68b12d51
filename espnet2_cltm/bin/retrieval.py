"""Retrieval: how often captions find their pictures, and pictures their captions."""

import argparse
from pathlib import Path

import numpy as np

from espnet2_cltm.bin.command_line import command, parser_of
from espnet2_cltm.corpus.datadir import SPLITS, read_table
from espnet2_cltm.corpus.options import CODES
from espnet2_cltm.errors import UserError
from espnet2_cltm.files import read_mapping, write_rows
from espnet2_cltm.options import Option, some_of
from espnet2_cltm.pretraining.espnet_task import PretrainingTask
from espnet2_cltm.pretraining.pictures import read_captions
from espnet2_cltm.pretraining.retrieval import (
    COLUMNS,
    embed_captions,
    embed_pictures,
    measure,
    read_test_captions,
    summary,
)
from espnet2_cltm.pretraining.targets import choose_languages
from espnet2_cltm.tasks.model_files import load_model

OPTIONS = (
    Option("langs", "language codes; left out, all under --dump", CODES),
    Option("splits", "splits of --dump, taken together", some_of(*SPLITS), "test"),
)


get_parser = parser_of(
    "Measure how often, in a grounded pretraining, captions find their pictures, "
    "pictures their captions, and captions those of the same picture in another "
    "language, among the 1, 5 and 10 nearest, with chance beside it.",
    OPTIONS,
    train_config="config.yaml of the training",
    model_file="weights, such as latest.pth",
    dump="audio store: <dumpdir>/<corpus>",
    outfile="table to write, such as r.tsv",
)


def _measure(args: argparse.Namespace) -> None:
    langs = choose_languages(args.dump, args.langs)
    captions = read_test_captions(args.dump, langs, args.splits)
    config = read_mapping(args.train_config, "a training's config.yaml")
    if not (config.get("model_conf") or {}).get("grounding_weight"):
        raise UserError(
            f"{args.train_config} is of a training without pictures: give one with "
            "--grounding_weight above 0."
        )
    model = load_model(PretrainingTask, args.train_config, args.model_file).eval()
    directory = Path(config["pictures"])
    trained = read_captions(directory, "train")
    files = read_table(directory / "pictures.scp")
    known = frozenset(files[str(number)] for number in trained.picture_of.values())
    shown = sorted({caption.picture for caption in captions})
    seen = embed_pictures(model, shown, trained.pictures.shape[1])
    vectors = embed_captions(model, captions, config["caption_seconds"])
    rows = measure(captions, vectors, dict(zip(shown, seen, strict=True)), known)
    if not rows:
        raise UserError(
            f"{args.dump} has no two captions of one picture, and no picture to find."
        )
    cells = ([_cell(row[name]) for name in COLUMNS] for row in rows)
    write_rows(args.outfile, [COLUMNS, *cells])
    print(summary(rows))
    print(f"Written to {args.outfile}")


def _cell(value: str | float) -> str:
    return f"{value:.6g}" if isinstance(value, float | np.floating) else str(value)


main = command(get_parser, _measure, "WARNING")

if __name__ == "__main__":
    main()
