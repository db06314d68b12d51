"""Stage 1: prepare each language of a corpus as Kaldi data directories."""

import argparse
from pathlib import Path

from espnet2_cltm.bin.command_line import (
    positive_number,
    run_command,
    true_or_false,
    whole_number,
)
from espnet2_cltm.corpus.language import CorpusOptions
from espnet2_cltm.corpus.prepare import prepare
from espnet2_cltm.corpus.registry import CORPORA, get_corpus
from espnet2_cltm.errors import UserError


def get_parser() -> argparse.ArgumentParser:
    """Build the parser of the command line."""
    parser = argparse.ArgumentParser(
        description="Prepare each language of a corpus: write "
        "<datadir>/<corpus>/<lang>/{train,dev,test}/ and rejected.tsv, and validate "
        "them. What is complete and unchanged is skipped.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument(
        "--corpus", default="demo", help=f"one of {', '.join(sorted(CORPORA))}"
    )
    parser.add_argument(
        "--corpus_dir",
        default="",
        help="where the corpus lies (COMMON_VOICE in db.sh for common_voice); demo: "
        "where its audio is put, downloads/demo if not given",
    )
    parser.add_argument(
        "--langs",
        nargs="*",
        default=[],
        help="language codes, as several values or quoted as one; none: all languages "
        "of the corpus (demo: those of --demo_config)",
    )
    parser.add_argument(
        "--datadir", default="data", help="where the data directories go"
    )
    parser.add_argument(
        "--nj", type=positive_number, default=1, help="number of processes (demo)"
    )
    parser.add_argument(
        "--demo_config",
        default="conf/demo.yaml",
        help="the demo's languages, speakers and prompts",
    )
    parser.add_argument(
        "--use_validated",
        type=true_or_false,
        default=False,
        help="common_voice: enlarge train with validated.tsv",
    )
    parser.add_argument(
        "--require_gender",
        type=true_or_false,
        default=True,
        help="leave out utterances whose gender is not known; a language where a split "
        "has no others keeps them, for tasks without gender",
    )
    parser.add_argument(
        "--max_train_utts",
        type=whole_number,
        default=0,
        help="at most so many utterances in a language's train, drawn at random with "
        "as many of each gender as there are; 0: all",
    )
    parser.add_argument(
        "--max_test_utts",
        type=whole_number,
        default=0,
        help="the same for dev and test, each",
    )
    parser.add_argument(
        "--seed",
        type=int,
        default=42,
        help="of the draw under --max_train_utts and --max_test_utts",
    )
    return parser


def main(cmd: list[str] | None = None) -> None:
    """Run the command line; exits with status 1 when a language failed."""
    args = get_parser().parse_args(cmd)
    run_command(lambda: _prepare(args))


def _prepare(args: argparse.Namespace) -> None:
    get_corpus(args.corpus)  # an unknown name is refused before anything else
    langs = [lang for value in args.langs for lang in value.split()]
    is_demo = args.corpus == "demo"
    if not is_demo and not args.corpus_dir:
        place = (
            "set COMMON_VOICE in db.sh to the extracted release, or give --corpus_dir."
            if args.corpus == "common_voice"
            else "set KALDI in db.sh to your directories, or give --corpus_dir."
        )
        raise UserError(f"It is not said where the corpus {args.corpus} lies: {place}")
    options = CorpusOptions(
        nj=args.nj,
        use_validated=args.use_validated,
        config=Path(args.demo_config) if is_demo else None,
        require_gender=args.require_gender,
        max_train_utts=args.max_train_utts,
        max_test_utts=args.max_test_utts,
        seed=args.seed,
    )
    corpus_dir = Path(args.corpus_dir)
    if is_demo and not args.corpus_dir:
        corpus_dir = Path("downloads/demo")
    if is_demo and not langs:
        from espnet2_cltm.corpus.demo import default_languages

        langs = default_languages(options.config)
    prepare(
        args.corpus,
        corpus_dir,
        langs,
        args.datadir,
        options,
        announce=lambda line: print(line, flush=True),
    )


if __name__ == "__main__":
    main()
