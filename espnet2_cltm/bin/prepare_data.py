"""Stage 1: prepare each language of a corpus as Kaldi data directories."""

import argparse
import os
from pathlib import Path

from espnet2_cltm.bin.command_line import Parser, command
from espnet2_cltm.corpus.language import CorpusOptions
from espnet2_cltm.corpus.options import DATADIR, NJ, STAGE_1_OPTIONS
from espnet2_cltm.corpus.prepare import prepare
from espnet2_cltm.options import TEXT, WHOLE, Option, add_options
from espnet2_cltm.registry import corpus_names, find_corpus


def get_parser() -> argparse.ArgumentParser:
    """Build the parser of the command line."""
    parser = Parser(
        description="Prepare each language of a corpus: write "
        "<datadir>/<corpus>/<lang>/{train,dev,test}/ and rejected.tsv, and validate "
        "them. What is complete and unchanged is skipped. Where --corpus_dir is not "
        "given, the variables of db.sh are looked for in the environment."
    )
    add_options(
        parser,
        (
            Option("corpus", f"one of {', '.join(corpus_names())}", TEXT, "demo"),
            *STAGE_1_OPTIONS,
            Option(
                "seed",
                "seed of the draw under --max_train_utts and --max_test_utts",
                WHOLE,
                "42",
            ),
            NJ,
            DATADIR,
        ),
    )
    return parser


def _prepare(args: argparse.Namespace) -> None:
    corpus = find_corpus(args.corpus)
    prepare(
        corpus,
        corpus.choose_directory(args.corpus_dir or "", os.environ),
        args.langs,
        args.datadir,
        CorpusOptions(
            nj=args.nj,
            use_validated=args.use_validated,
            config=corpus.choose_config(args.demo_config or ""),
            labels=args.labels or "",
            require_labels=args.require_labels,
            max_train_utts=args.max_train_utts,
            max_test_utts=args.max_test_utts,
            seed=args.seed,
            tts_dir=Path(os.environ.get("TTS") or CorpusOptions.tts_dir),
        ),
        announce=lambda line: print(line, flush=True),
    )


main = command(get_parser, _prepare)

if __name__ == "__main__":
    main()
