"""Turn a pretraining's weights into a checkpoint in Hugging Face's layout."""

import argparse
from pathlib import Path
from typing import Any

from espnet2_cltm.bin.command_line import Parser, configure_logging, run_command
from espnet2_cltm.errors import UserError
from espnet2_cltm.files import read_mapping
from espnet2_cltm.pretraining.export import DTYPES, export_hubert


def get_parser() -> argparse.ArgumentParser:
    """Return the parser of the command's options."""
    parser = Parser(
        description="Write the encoder of a pretraining as config.json, "
        "preprocessor_config.json and model.safetensors, which --model takes.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument(
        "--train_config", required=True, type=Path, help="config.yaml of the training"
    )
    parser.add_argument(
        "--model_file", required=True, type=Path, help="weights, such as latest.pth"
    )
    parser.add_argument(
        "--outdir", required=True, type=Path, help="directory to write to"
    )
    parser.add_argument(
        "--dtype", choices=sorted(DTYPES), default="float16", help="precision"
    )
    return parser


def main(cmd: list[str] | None = None) -> None:
    """Run the command.

    Args:
        cmd: Options; by default those of the command line.
    """
    args = get_parser().parse_args(cmd)
    configure_logging("WARNING")
    run_command(lambda: _export(args))


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


if __name__ == "__main__":
    main()
