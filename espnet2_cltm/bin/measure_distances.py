"""Measure how far languages are apart by untranscribed recordings and by their phones.

Writes ``distances.tsv``, a table that ``--distances`` of run.sh and of recommend takes,
and ``halves.tsv``: for each language and measure, whether two halves of its recordings
are more alike than it is like any other language.
"""

import argparse
from collections.abc import Mapping, Sequence

import numpy as np

from espnet2_cltm.bin.command_line import command, parser_of
from espnet2_cltm.corpus.options import CODES
from espnet2_cltm.errors import UserError
from espnet2_cltm.files import write_text
from espnet2_cltm.matrix.languages import LANGUAGE_COLUMNS
from espnet2_cltm.matrix.phones import articulatory_distances
from espnet2_cltm.options import POSITIVE, SECONDS, SEED, TEXT, Option, some_of
from espnet2_cltm.profiles.making import (
    ProfileSettings,
    default_layer,
    make_profiles,
    read_profiles,
)
from espnet2_cltm.profiles.options import NGRAM
from espnet2_cltm.profiles.profile import Profile
from espnet2_cltm.profiles.recordings import find_languages
from espnet2_cltm.profiles.similarity import (
    MEASURES,
    HalvesCheck,
    MeasureSettings,
    check_halves,
    check_label,
    similarities,
)

ARTICULATORY = "articulatory"
DIGITS = 6
OPTIONS = (
    Option("langs", "language codes; left out, all below --audio", CODES),
    Option(
        "measures",
        "columns of the table: atds (counts of acoustic tokens), covariance (of the "
        "encoder's features), logme (of heads that tell --label), articulatory (of "
        "phones, which needs no recordings)",
        some_of(*MEASURES, ARTICULATORY),
        "atds covariance articulatory",
    ),
    Option("model", "encoder: hub id, directory or hubert-small", TEXT, "hubert-small"),
    Option(
        "layer",
        "hidden layer, from 1; left out, the one at three quarters of the depth",
        POSITIVE,
    ),
    Option("num_clusters", "number of acoustic tokens", POSITIVE, "100"),
    NGRAM,
    Option("label", "label that logme reads", TEXT, "gender"),
    Option("max_utts", "most utterances of a language", POSITIVE, "200"),
    Option("max_seconds", "most seconds of an utterance", SECONDS, "10"),
    Option("seed", "seed of the utterances and the clusters", SEED, "0"),
    Option("nj", "number of processes", POSITIVE, "1"),
)


get_parser = parser_of(
    "Measure distances between languages by their recordings, without transcripts. "
    "Only what is missing is made; the command can be interrupted and started again at "
    "any time.",
    OPTIONS,
    audio="directory that holds one of each language: <dumpdir>/<corpus>, Kaldi "
    "directories, or directories of audio files",
    outdir="directory to write the tables to",
)


def run(args: argparse.Namespace) -> None:
    """Measure, write both tables and say what holds."""
    langs = find_languages(args.audio, args.langs)
    if len(langs) < 2:
        raise UserError(
            f"{args.audio} has recordings of {langs[0]} alone: give two languages or "
            "more."
        )
    distances, checks = {}, {}
    by_sound = [name for name in args.measures if name in MEASURES]
    if by_sound:
        profiles, settings = _profiles(args, langs)
        if "logme" in by_sound:
            check_label(profiles, settings.label)
        parts = [(profiles[lang], None) for lang in langs]
        for name in by_sound:
            distances[name] = 1 - similarities(name, parts, settings)
            checks[name] = check_halves(name, profiles, settings)
    if ARTICULATORY in args.measures:
        distances[ARTICULATORY] = articulatory_distances(langs)
    ordered = {name: distances[name] for name in args.measures}
    path = args.outdir / "distances.tsv"
    write_text(path, distances_table(langs, ordered))
    print(f"Distances of {len(langs)} languages: {path}")
    for name, matrix in ordered.items():
        without = [code for code, row in zip(langs, matrix, strict=True) if lacks(row)]
        if without:
            print(f"{name}: not known of {' '.join(without)}")
    if checks:
        write_text(args.outdir / "halves.tsv", halves_table(checks))
        for name, of_measure in checks.items():
            print(halves_sentence(name, of_measure))


def _profiles(
    args: argparse.Namespace, langs: Sequence[str]
) -> tuple[dict[str, Profile], MeasureSettings]:
    settings = ProfileSettings(
        model=args.model,
        layer=args.layer or default_layer(args.model),
        num_clusters=args.num_clusters,
        max_utts=args.max_utts,
        max_seconds=args.max_seconds,
        seed=args.seed,
    )
    for line in make_profiles(settings, args.audio, langs, args.outdir, args.nj):
        print(line, flush=True)
    _, profiles = read_profiles(args.outdir, langs)
    return profiles, MeasureSettings(args.ngram, args.num_clusters, args.label)


def lacks(row: np.ndarray) -> bool:
    """Return whether a language has no distance to any other; NaN is not known."""
    return bool(np.isfinite(row).sum() <= 1)


def distances_table(langs: Sequence[str], distances: Mapping[str, np.ndarray]) -> str:
    """Write distances as the lines of a table, pairs sorted, empty where not known."""
    lines = ["\t".join((*LANGUAGE_COLUMNS, *distances))]
    order = sorted(range(len(langs)), key=lambda place: langs[place])
    for row, i in enumerate(order):
        for j in order[row + 1 :]:
            values = [matrix[i, j] for matrix in distances.values()]
            fields = [f"{x:.{DIGITS}f}" if np.isfinite(x) else "" for x in values]
            lines.append("\t".join((langs[i], langs[j], *fields)))
    return "\n".join(lines) + "\n"


def halves_table(checks: Mapping[str, Mapping[str, HalvesCheck]]) -> str:
    """Write the comparison of halves as the lines of a table."""
    lines = ["measure\tlanguage\titself\tnearest\tto_nearest\tholds"]
    for name, of_measure in checks.items():
        for lang, check in sorted(of_measure.items()):
            numbers = (f"{check.itself:.{DIGITS}f}", f"{check.to_nearest:.{DIGITS}f}")
            holds = "yes" if check.holds else "no"
            lines.append(
                "\t".join((name, lang, numbers[0], check.nearest, numbers[1], holds))
            )
    return "\n".join(lines) + "\n"


def halves_sentence(name: str, checks: Mapping[str, HalvesCheck]) -> str:
    """Return a sentence on the languages that are more like themselves than others."""
    failed = [lang for lang, check in sorted(checks.items()) if not check.holds]
    text = (
        f"{name}: {len(checks) - len(failed)} of {len(checks)} languages are more like "
        "themselves (two halves of their recordings) than like any other"
    )
    if not failed:
        return text
    shown = ", ".join(f"{lang} is like {checks[lang].nearest}" for lang in failed)
    return f"{text}; not so: {shown}: too few recordings, or too much alike"


main = command(get_parser, run, "WARNING")

if __name__ == "__main__":
    main()
