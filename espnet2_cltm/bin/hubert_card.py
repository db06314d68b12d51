"""Write the model card of a pretrained HuBERT from its experiment's files."""

import argparse

from espnet2_cltm.bin.command_line import Parser, command
from espnet2_cltm.frontend.checkpoint import load_hubert
from espnet2_cltm.options import TEXT, Option, add_options
from espnet2_cltm.pretraining.export import CardFacts, write_card

OPTIONS = (
    Option("title", "title", TEXT, "A pretrained HuBERT"),
    Option("commit", "source code's commit", TEXT, "not known"),
    Option("command", "recipe's command", TEXT, "./run.sh"),
)


def get_parser() -> argparse.ArgumentParser:
    """Return the parser of the command's options."""
    parser = Parser(
        description="Write <exp>/hf/README.md: data, targets, training, figures.",
    )
    parser.add_path("exp", "experiment")
    parser.add_path("template", "text, conf/model_card.md")
    add_options(parser, OPTIONS)
    return parser


def _write(args: argparse.Namespace) -> None:
    model = load_hubert(str(args.exp / "hf")).model
    facts = CardFacts(
        title=args.title,
        commit=args.commit,
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        command=args.command,
    )
    print(write_card(args.exp, args.template, facts))


main = command(get_parser, _write, "WARNING")

if __name__ == "__main__":
    main()
