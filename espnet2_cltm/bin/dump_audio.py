"""Stage 2: decode recordings once, into arks of 16 kHz mono 16-bit audio.

With the options of stage 3 only what it draws is decoded: all of dev and test, and the
training subsets of all seeds. Decoding shows which recordings cannot be used; what is
then drawn in their place is decoded next, until nothing is missing.
"""

import argparse
import sys
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path

from espnet2_cltm.bin.command_line import entry_point, parser_of
from espnet2_cltm.corpus.audio import TELEPHONE_BAND
from espnet2_cltm.corpus.audio_store import LanguageAudio, dump_language
from espnet2_cltm.corpus.datadir import SPLITS
from espnet2_cltm.corpus.decoding_pool import DecodingPool
from espnet2_cltm.corpus.language import languages_below
from espnet2_cltm.corpus.options import DATADIR, DUMPDIR, NJ, STAGE_2_OPTIONS
from espnet2_cltm.errors import UserError
from espnet2_cltm.options import TEXT, Option

_corpus = Option("corpus", "name of the corpus", TEXT, "demo")
get_parser = parser_of(
    "Decode the recordings of data/<corpus>/<lang>/{train,dev,test} to 16 kHz mono "
    "16-bit kaldi arks under dump/<corpus>/<lang>. Does only what is missing or has "
    "changed; can be interrupted and started again at any time. Behind a lone -- may "
    "stand the options of make_plan.py: what it then would not draw is not decoded.",
    (_corpus, *STAGE_2_OPTIONS, DATADIR, DUMPDIR, NJ),
)


def _run(words: Sequence[str]) -> None:
    at = words.index("--") if "--" in words else len(words)
    _dump(get_parser().parse_args(words[:at]), words[at + 1 :])


def _dump(args: argparse.Namespace, stage_3: Sequence[str]) -> None:
    data, dump = Path(args.datadir) / args.corpus, Path(args.dumpdir) / args.corpus
    langs = languages_below(
        *(data, args.langs, _has_a_split, "data directories"),
        "run stage 1, or correct --datadir or --corpus",
    )
    stored: dict[str, LanguageAudio] = {}
    failed = []
    with DecodingPool(args.nj) as pool:

        def decode(lang: str, train: Collection[str] | None) -> None:
            limits = (args.max_rejected, args.max_seconds, args.allow_pipes)
            try:
                audio = dump_language(
                    data / lang, dump / lang, pool, *limits, train=train
                )
            except UserError as error:
                print(error, file=sys.stderr)
                failed.append(lang)
                return
            before = stored[lang].n_decoded if lang in stored else 0
            stored[lang] = replace(audio, n_decoded=before + audio.n_decoded)

        def good(some: Sequence[str]) -> list[str]:
            return [lang for lang in some if lang not in failed]

        def say(some: Sequence[str]) -> None:
            for lang in good(some):
                print(f"{lang}: {_describe(stored[lang])}", flush=True)

        drawn = [lang for lang in langs if stage_3 and _has_splits(data / lang)]
        for lang in langs:
            decode(lang, () if lang in drawn else None)
            if lang not in drawn:
                say([lang])
        while missing := _needed(stage_3, good(drawn)):
            for lang, train in missing.items():
                decode(lang, train)
        for lang in good(drawn):
            audio = stored[lang]
            n_decoded = audio.n_kept + audio.rejected.total()
            if audio.rejected.total() > args.max_rejected * n_decoded:
                decode(lang, None)  # that share is of all
        say(drawn)
    if failed:
        raise UserError(
            f"{len(failed)} of {len(langs)} languages have no complete audio store "
            f"({', '.join(failed)}): see the message of each above, put it right and "
            "run the same command again."
        )


def _has_a_split(data: Path) -> bool:
    return any((data / split / "wav.scp").exists() for split in SPLITS)


def _has_splits(data: Path) -> bool:
    return all((data / split / "wav.scp").exists() for split in SPLITS)


def _needed(stage_3: Sequence[str], langs: Sequence[str]) -> dict[str, set[str]]:
    """Return what stage 3 would draw from train but is not decoded, by language."""
    if not langs:
        return {}
    # Here, for the decoding processes import this file, too.
    from espnet2_cltm.bin.make_plan import get_parser as stage_3_parser
    from espnet2_cltm.experiment.layout import ExperimentDir
    from espnet2_cltm.experiment.planning import needed_audio
    from espnet2_cltm.experiment.recipe import settings_from

    options = stage_3_parser().parse_args(stage_3)
    settings = settings_from(vars(options))
    return needed_audio(settings, langs, options.seeds, ExperimentDir(options.exp))


def _describe(audio: LanguageAudio) -> str:
    text = f"{audio.seconds / 3600:.2f} hours, {audio.n_kept} utterances kept"
    if audio.rejected:
        text += f", {audio.rejected.total()} rejected ({_count(audio.rejected)})"
    else:
        text += ", none rejected"
    if audio.n_undecoded:
        text += f", {audio.n_undecoded} not needed and not decoded"
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


main = entry_point(_run)

if __name__ == "__main__":
    main()
