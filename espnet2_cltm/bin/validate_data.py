"""Check data directories and list every problem as ``file:line: sentence``."""

import argparse
from pathlib import Path

from espnet2_cltm.bin.command_line import Parser, command
from espnet2_cltm.corpus.datadir import read_data_dir
from espnet2_cltm.corpus.prepare import count_speakers
from espnet2_cltm.corpus.validate import (
    find_data_dirs,
    validate_data_dir,
    validate_splits,
)
from espnet2_cltm.errors import UserError
from espnet2_cltm.options import TRUTH, WORDS, Option, add_options


def get_parser() -> argparse.ArgumentParser:
    """Build the parser of the command line."""
    parser = Parser(
        description="Check Kaldi data directories: order, ids, speakers, genders, "
        "languages, durations, and that the splits of a language share no speaker. "
        "Prints every problem as file:line: sentence and exits with status 1 if there "
        "is one."
    )
    parser.add_argument(
        "dirs",
        nargs="+",
        metavar="DIR",
        help="a data directory, or one above: a language, a corpus, all of data",
    )
    add_options(
        parser,
        (
            Option(
                "check_audio",
                "check audio files and pictures, too (pipes are not run)",
                TRUTH,
                "false",
            ),
            Option("require_labels", "labels that every utterance must have", WORDS),
        ),
    )
    return parser


def _validate(args: argparse.Namespace) -> None:
    directories: list[Path] = []
    for name in args.dirs:
        found = find_data_dirs(name)
        if not found:
            raise UserError(
                f"{name} holds no data directory (one with wav.scp and utt2spk): "
                "correct the path, or run stage 1."
            )
        directories += found
    directories = list(dict.fromkeys(directories))
    count = 0
    for directory in directories:
        problems = validate_data_dir(directory, args.check_audio, args.require_labels)
        for problem in problems:
            print(problem, flush=True)
        count += len(problems)
        if not problems:
            print(f"{directory}: valid, {_describe(directory)}", flush=True)
    for problem in validate_splits(directories):
        print(problem, flush=True)
        count += 1
    if count:
        raise UserError(
            f"{count} problem{'s' if count > 1 else ''} in {len(directories)} data "
            f"director{'ies' if len(directories) > 1 else 'y'}, listed above as "
            "file:line: correct them and run again."
        )


def _describe(directory: Path) -> str:
    utterances = read_data_dir(directory)
    speakers = count_speakers(utterances)
    parts = ", ".join(f"{count} {gender}" for gender, count in speakers.items())
    total = sum(speakers.values())
    return f"{len(utterances)} utterances of {total} speakers ({parts})"


main = command(get_parser, _validate)

if __name__ == "__main__":
    main()
