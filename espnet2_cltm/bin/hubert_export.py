"""Turn a pretraining's weights into a checkpoint in Hugging Face's layout."""

import argparse
from pathlib import Path
from typing import Any

from espnet2_cltm.bin.command_line import command, parser_of
from espnet2_cltm.errors import UserError
from espnet2_cltm.files import read_mapping
from espnet2_cltm.options import Option, one_of
from espnet2_cltm.pretraining.export import DTYPES, export_hubert

get_parser = parser_of(
    "Write the encoder of a pretraining as config.json, preprocessor_config.json and "
    "model.safetensors, which --model takes.",
    [Option("dtype", "precision", one_of(*sorted(DTYPES)), "float16")],
    train_config="config.yaml of the training",
    model_file="weights, such as latest.pth",
    outdir="directory to write to",
)


def _export(args: argparse.Namespace) -> None:
    parameters = export_hubert(
        args.model_file, _read_model(args.train_config), args.outdir, args.dtype
    )
    print(f"{args.outdir}: {parameters} parameters in {args.dtype}")


def _read_model(path: Path) -> str | dict[str, Any]:
    """Return the encoder that a training began with."""
    config = read_mapping(path, "a training's config.yaml")
    try:
        return config["frontend_conf"]["model"]
    except (KeyError, TypeError) as error:
        raise UserError(
            f"{path} is not a configuration of a pretraining ({error!r}): give a "
            "training's config.yaml."
        ) from error


main = command(get_parser, _export, "WARNING")

if __name__ == "__main__":
    main()
