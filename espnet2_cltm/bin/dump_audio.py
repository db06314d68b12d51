"""Stage 2: decode every recording once, into arks of 16 kHz mono 16-bit audio."""

import argparse
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from espnet2_cltm.bin.command_line import Parser, run_command
from espnet2_cltm.corpus.audio import TELEPHONE_BAND
from espnet2_cltm.corpus.audio_store import LanguageAudio, dump_language
from espnet2_cltm.corpus.datadir import SPLITS
from espnet2_cltm.corpus.decoding_pool import DecodingPool
from espnet2_cltm.corpus.options import DATADIR, DUMPDIR, NJ, STAGE_2_OPTIONS
from espnet2_cltm.errors import UserError
from espnet2_cltm.options import TEXT, Option, add_options


def get_parser() -> argparse.ArgumentParser:
    """Build the parser of the command's options."""
    parser = Parser(
        description="Decode the recordings of data/<corpus>/<lang>/{train,dev,test} to "
        "16 kHz mono 16-bit kaldi arks under dump/<corpus>/<lang>. Does only what is "
        "missing or has changed; can be interrupted and started again at any time.",
    )
    corpus = Option("corpus", "name of the corpus", TEXT, "demo")
    add_options(parser, (corpus, *STAGE_2_OPTIONS, DATADIR, DUMPDIR, NJ))
    return parser


def main(cmd: list[str] | None = None) -> None:
    """Run the command.

    Args:
        cmd: Options; None for those of the command line.
    """
    args = get_parser().parse_args(cmd)
    run_command(lambda: _dump(args))


def _dump(args: argparse.Namespace) -> None:
    data, dump = Path(args.datadir) / args.corpus, Path(args.dumpdir) / args.corpus
    langs = _choose_languages(data, args.langs)
    failed = []
    with DecodingPool(args.nj) as pool:
        for lang in langs:
            try:
                audio = dump_language(
                    data / lang,
                    dump / lang,
                    pool,
                    args.max_rejected,
                    args.max_seconds,
                    args.allow_pipes,
                )
            except UserError as error:
                print(error, file=sys.stderr)
                failed.append(lang)
                continue
            print(f"{lang}: {_describe(audio)}", flush=True)
    if failed:
        raise UserError(
            f"{len(failed)} of {len(langs)} languages have no complete audio store "
            f"({', '.join(failed)}): see the message of each above, put it right and "
            "run the same command again."
        )


def _choose_languages(corpus: Path, wanted: Sequence[str]) -> list[str]:
    known = sorted(
        path.name
        for path in (corpus.iterdir() if corpus.is_dir() else [])
        if any((path / split / "wav.scp").exists() for split in SPLITS)
    )
    if not known:
        raise UserError(
            f"{corpus} holds no data directories of any language: run stage 1, or "
            "correct --datadir or --corpus."
        )
    unknown = [lang for lang in wanted if lang not in known]
    if unknown:
        raise UserError(
            f"{corpus} has no {', '.join(unknown)}, only {', '.join(known)}: correct "
            "--langs, or run stage 1 for what is missing."
        )
    return list(dict.fromkeys(wanted)) or known


def _describe(audio: LanguageAudio) -> str:
    text = f"{audio.seconds / 3600:.2f} hours, {audio.n_kept} utterances kept"
    if audio.rejected:
        text += f", {audio.rejected.total()} rejected ({_count(audio.rejected)})"
    else:
        text += ", none rejected"
    if audio.remarks:
        text += f"; remarks: {_count(audio.remarks)}"
    if audio.commands:
        text += (
            f"; {len(audio.commands)} commands in wav.scp were run, such as "
            f"'{audio.commands[0][:100]}' (--allow_pipes false refuses them)"
        )
    if audio.n_decoded == 0:
        text += "; all decoded before, skipped"
    narrow = audio.remarks[TELEPHONE_BAND]
    if narrow > audio.n_kept / 2:
        text += (
            f".\n  Most recordings have {TELEPHONE_BAND}, as on the telephone: "
            "differences between this language and others may be those of the channel"
        )
    return text


def _count(numbers: Counter[str]) -> str:
    ordered = sorted(numbers.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{number} {name}" for name, number in ordered)


if __name__ == "__main__":
    main()
