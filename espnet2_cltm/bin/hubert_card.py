"""Write the model card of a pretrained HuBERT from its experiment's files."""

import argparse

from espnet2_cltm.bin.command_line import Parser, command
from espnet2_cltm.frontend.checkpoint import load_hubert
from espnet2_cltm.pretraining.export import write_card


def get_parser() -> argparse.ArgumentParser:
    """Return the parser of the command's options."""
    parser = Parser(
        description="Write <exp>/hf/README.md: data, targets, training, figures.",
    )
    parser.add_path("exp", "experiment")
    parser.add_path("template", "text, conf/model_card.md")
    return parser


def _write(args: argparse.Namespace) -> None:
    model = load_hubert(str(args.exp / "hf")).model
    parameters = sum(parameter.numel() for parameter in model.parameters())
    print(write_card(args.exp, args.template, parameters))


main = command(get_parser, _write, "WARNING")

if __name__ == "__main__":
    main()
