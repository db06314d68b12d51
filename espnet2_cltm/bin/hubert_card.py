"""Write the model card of a pretrained HuBERT from its experiment's files."""

import argparse
from pathlib import Path

from espnet2_cltm.bin.command_line import Parser, configure_logging, run_command
from espnet2_cltm.frontend.checkpoint import load_hubert
from espnet2_cltm.pretraining.export import CardFacts, write_card


def get_parser() -> argparse.ArgumentParser:
    """Return the parser of the command's options."""
    parser = Parser(
        description="Write <exp>/hf/README.md: data, targets, training, figures.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--exp", required=True, type=Path, help="experiment")
    parser.add_argument(
        "--template", required=True, type=Path, help="text, conf/model_card.md"
    )
    parser.add_argument("--title", default="A pretrained HuBERT", help="title")
    parser.add_argument("--commit", default="not known", help="source code's commit")
    parser.add_argument("--command", default="./run.sh", help="recipe's command")
    return parser


def main(cmd: list[str] | None = None) -> None:
    """Run the command.

    Args:
        cmd: Options; by default those of the command line.
    """
    args = get_parser().parse_args(cmd)
    configure_logging("WARNING")
    run_command(lambda: _write(args))


def _write(args: argparse.Namespace) -> None:
    model = load_hubert(str(args.exp / "hf")).model
    facts = CardFacts(
        title=args.title,
        commit=args.commit,
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        command=args.command,
    )
    print(write_card(args.exp, args.template, facts))


if __name__ == "__main__":
    main()
