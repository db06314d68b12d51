"""Voices for pretraining: spectrum and pitch of every utterance as a whole."""

import argparse

from espnet2_cltm.bin.command_line import configure_logging, run_command
from espnet2_cltm.bin.target_options import add_target_options
from espnet2_cltm.pretraining.target_files import choose_languages
from espnet2_cltm.pretraining.voices import make_voices


def get_parser() -> argparse.ArgumentParser:
    """Build the parser of the command's options."""
    parser = argparse.ArgumentParser(
        description="Describe the voice of every utterance that stage 2 has decoded. "
        "Does only what is missing; can be interrupted and started again at any time.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add_target_options(parser)
    return parser


def main(cmd: list[str] | None = None) -> None:
    """Run the command.

    Args:
        cmd: Options; None: those of the command line.
    """
    args = get_parser().parse_args(cmd)
    configure_logging("WARNING")
    run_command(lambda: _make(args))


def _make(args: argparse.Namespace) -> None:
    langs = choose_languages(args.dump, args.langs.split())
    for line in make_voices(args.dump, langs, args.outdir, args.nj):
        print(line, flush=True)


if __name__ == "__main__":
    main()
