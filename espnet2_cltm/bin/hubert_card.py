"""Write the model card of a pretrained HuBERT from its experiment's files."""

import argparse

from espnet2_cltm.bin.command_line import command, parser_of
from espnet2_cltm.frontend.checkpoint import load_hubert
from espnet2_cltm.pretraining.export import write_card

get_parser = parser_of(
    "Write <exp>/hf/README.md: data, targets, training, figures.",
    exp="experiment",
    template="text, conf/model_card.md",
)


def _write(args: argparse.Namespace) -> None:
    model = load_hubert(str(args.exp / "hf")).model
    parameters = sum(parameter.numel() for parameter in model.parameters())
    print(write_card(args.exp, args.template, parameters))


main = command(get_parser, _write, "WARNING")

if __name__ == "__main__":
    main()
