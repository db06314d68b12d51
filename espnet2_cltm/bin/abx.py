"""ABX: how well features tell phones apart, or languages, without any training."""

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from espnet2_cltm.abx.averaging import LEVEL
from espnet2_cltm.abx.cells import CONTEXTS, ON, SPEAKERS, Design, make_cells
from espnet2_cltm.abx.distances import DISTANCES
from espnet2_cltm.abx.features import (
    LOG_MEL,
    MODEL,
    NORMALISED,
    RANDOM,
    Frames,
    locate_features,
    read_features,
)
from espnet2_cltm.abx.inputs import (
    Material,
    keep_labels,
    read_item_test,
    read_language_test,
    read_phone_tests,
)
from espnet2_cltm.abx.items import UNITS
from espnet2_cltm.abx.measuring import Results, Setting, summary
from espnet2_cltm.bin.command_line import command, parser_of
from espnet2_cltm.corpus.datadir import SPLITS
from espnet2_cltm.corpus.options import CODES
from espnet2_cltm.devices import check_gpus
from espnet2_cltm.errors import UserError
from espnet2_cltm.files import alone_in, claim
from espnet2_cltm.options import (
    POSITIVE,
    SEED,
    TEXT,
    WHOLE,
    WORDS,
    Kind,
    Option,
    above_zero,
    distinct,
    one_of,
    some_of,
)

if TYPE_CHECKING:
    from espnet2_cltm.abx.extraction import Source

    _Source = tuple[str, str, Source]  # kind of features, its name, what computes them


def _read_layers(text: str) -> tuple[int, ...] | None:
    if text == "all":
        return None
    layers = tuple(sorted(distinct(int(word) for word in text.split())))
    if not layers or layers[0] < 0:
        raise ValueError
    return layers


LAYERS = Kind(_read_layers, "all, or numbers of layers from 0, such as '2 4'")
OPTIONS = (
    Option(
        "dump",
        "audio store of stage 2, <dumpdir>/<corpus>, for phones with their times",
        TEXT,
    ),
    Option("langs", "language codes; left out, all under --dump", CODES),
    Option("splits", "splits of --dump, taken together", some_of(*SPLITS), "test"),
    Option("item", "item file of ZeroSpeech, in place of --dump", TEXT),
    Option("wav_scp", "audio of the files that --item names", TEXT),
    Option(
        "model",
        "encoder to measure: hub id, directory, YAML file for random weights, or "
        "hubert-small",
        TEXT,
    ),
    Option(
        "layer",
        "layers of --model: 0 enters the first, k leaves the k-th",
        LAYERS,
        "all",
    ),
    Option(
        "baselines",
        "what to measure besides: log-mel (80 bands), log-mel-cmvn (each band with "
        "zero mean and unit variance over an utterance), random (--model with random "
        "weights)",
        some_of(LOG_MEL, NORMALISED, RANDOM),
    ),
    Option(
        "features",
        "features from files, in place of --model: a directory of <utterance>.npy, or "
        "a .scp of Kaldi matrices, (frames, size) each",
        TEXT,
    ),
    Option(
        "frequency",
        "frames a second of --features",
        above_zero("a number above 0, such as 50"),
        "50",
    ),
    Option("on", f"what is compared: {' or '.join(ON)}", one_of(*ON), "phone"),
    Option(
        "unit",
        "what an item is: a phone, or a triphone, which is a phone with its neighbours",
        one_of(*UNITS),
        "triphone",
    ),
    Option(
        "speaker",
        "whether X has another speaker than A and B (across) or the same (within)",
        one_of(*SPEAKERS),
        "across",
    ),
    Option(
        "context",
        "whether A, B and X have the same neighbours (within) or any",
        one_of(*CONTEXTS),
        "within",
    ),
    Option("labels", "phones or languages to compare; left out, all", WORDS),
    Option(
        "match",
        'label that the utterances of --on language share; "" for none',
        TEXT,
        "gender",
    ),
    Option(
        "distance",
        f"distance of frames: {', '.join(DISTANCES)}",
        one_of(*DISTANCES),
        "angular",
    ),
    Option(
        "max_group", "most items on each side of a comparison; 0 for all", WHOLE, "10"
    ),
    Option(
        "max_x_speakers", "most speakers of X for each A and B; 0 for all", WHOLE, "5"
    ),
    Option(
        "seed", "seed of these draws, of the bootstrap and of random weights", SEED, "0"
    ),
    Option(
        "draws",
        f"draws of speakers for the interval of {LEVEL:.0%}; 0 for none",
        WHOLE,
        "1000",
    ),
    Option("nj", "threads that compare items", POSITIVE, "1"),
    Option("ngpu", "number of GPUs, 0 or 1", WHOLE, "0"),
)


get_parser = parser_of(
    "Measure how often a speech sound is nearer to another one of its kind than to one "
    "of another kind, in the features of an encoder's layers, in log-mel, or in "
    "features from files (ABX error; chance is 50%). Only what is missing is measured; "
    "the command can be interrupted and started again at any time.",
    OPTIONS,
    outdir="directory to write the results to",
)


def run(args: argparse.Namespace) -> None:
    """Measure what is missing, write and print."""
    _check(args)
    tests = [keep_labels(test, args.labels) for test in _read_tests(args)]
    setting = Setting(
        Design(
            args.on,
            args.speaker,
            args.context,
            args.max_group,
            args.max_x_speakers,
            args.seed,
        ),
        "" if args.item or args.on == "language" else args.unit,
        args.distance,
        args.draws,
    )
    sources = _open_sources(args)
    if not (args.outdir / "abx.tsv").exists():
        _check_tests(args, setting.design, tests)
    with alone_in(args.outdir):
        _measure_all(args, setting, tests, sources)


def _check_tests(
    args: argparse.Namespace, design: Design, tests: Sequence[Material]
) -> None:
    """Refuse tests without audio, features or triples before anything is written."""
    for test in tests:
        if args.model or args.baselines:
            test.require_audio(args.wav_scp or args.dump)
        if args.features:
            locate_features(Path(args.features), test.items["file"])
        make_cells(test.items, design)


def _measure_all(
    args: argparse.Namespace,
    setting: Setting,
    tests: Sequence[Material],
    sources: "Sequence[_Source]",
) -> None:
    made_with = {"model": args.model, "features": args.features, **asdict(setting)}
    claim(made_with, args.outdir, "results")
    results = Results(args.outdir, setting, tests)
    for number, test in enumerate(tests, start=1):
        place = f"[{number}/{len(tests)}] {test.name}"
        measured = _measure(args, test, results, sources)
        print(f"{place}: {measured}", flush=True)
    print(summary(results.write()))
    print(f"Written to {args.outdir}: abx.tsv, contrasts, items")


def _check(args: argparse.Namespace) -> None:
    """Refuse options that do not fit together."""
    for one, other in (("dump", "item"), ("model", "features")):
        if getattr(args, one) and getattr(args, other):
            raise UserError(f"--{one} and --{other} exclude each other: leave one out.")
    if not args.dump and not args.item:
        raise UserError("There is nothing to compare: give --dump or --item.")
    if not (args.model or args.features or args.baselines):
        raise UserError(
            "There are no features to measure: give --model, --features or --baselines."
        )
    if RANDOM in args.baselines and not args.model:
        raise UserError(
            "--baselines random is --model with random weights: give --model, too."
        )
    if args.item and args.on == "language":
        raise UserError("--on language needs --dump: an item file names no languages.")
    if args.item and not args.features and not args.wav_scp:
        raise UserError("--item names files without their audio: give --wav_scp.")
    is_triphone = args.unit == "triphone" and args.on == "phone" and not args.item
    if is_triphone and args.context == "any":
        raise UserError(
            "With --context any triphones would differ in their neighbours, too: give "
            "--unit phone with it."
        )
    if args.features and not Path(args.features).exists():
        raise UserError(f"--features {args.features} is not there: correct the path.")
    check_gpus(args.ngpu)


def _read_tests(args: argparse.Namespace) -> list[Material]:
    if args.item:
        wav_scp = Path(args.wav_scp) if args.wav_scp else None
        return [read_item_test(Path(args.item), wav_scp)]
    dump = Path(args.dump)
    if args.on == "language":
        return [read_language_test(dump, args.langs, args.splits, args.match)]
    return read_phone_tests(dump, args.langs, args.splits, args.unit)


def _measure(
    args: argparse.Namespace,
    test: Material,
    results: Results,
    sources: "Sequence[_Source]",
) -> str:
    """Measure what is missing of a test, and tell what was done."""
    n_measured = n_skipped = 0
    for features, layer, read in _layers(args, test, results, sources):
        if results.row(test.name, features, layer):
            n_skipped += 1
            continue
        results.measure(test, read(), features, layer, args.nj)
        results.write()
        n_measured += 1
    results.remove_frames(test.name)
    skipped = f"; {n_skipped} measured before, skipped" if n_skipped else ""
    return f"{len(test.items)} items, {n_measured} kinds of features measured{skipped}"


def _open_sources(args: argparse.Namespace) -> "list[_Source]":
    """Open what computes features: once for all tests, and before anything is written.

    Raises:
        UserError: The encoder is not available, or lacks a layer.
    """
    kinds = [(name, name) for name in args.baselines]
    if args.model:
        kinds.append((MODEL, Path(args.model).name))
    if not kinds:
        return []
    from espnet2_cltm.abx.extraction import open_source  # loads torch

    device = "cuda" if args.ngpu else "cpu"
    return [
        (kind, name, open_source(kind, args.model, args.layer, device, args.seed))
        for kind, name in kinds
    ]


def _layers(
    args: argparse.Namespace,
    test: Material,
    results: Results,
    sources: "Sequence[_Source]",
) -> Iterator[tuple[str, int, Any]]:
    """Yield the layers of all features: name, number, and function to read frames."""
    if args.features:
        place = Path(args.features)
        files = test.items["file"].unique()

        def read_files() -> Frames:
            return read_features(place, files, args.frequency)

        yield place.stem, 0, read_files
    for source in sources:
        yield from _layers_of(args, test, results, *source)


def _layers_of(
    args: argparse.Namespace,
    test: Material,
    results: Results,
    kind: str,
    name: str,
    source: "Source",
) -> Iterator[tuple[str, int, Any]]:
    from espnet2_cltm.abx import extraction

    audio = test.require_audio(args.wav_scp or args.dump)
    directory = results.frames(test.name, kind)
    layers = source.layers
    missing = [k for k in layers if not results.row(test.name, name, k)]
    for layer in layers:

        def read(layer: int = layer) -> Frames:
            what = f"{test.name}, features of {name}"
            extraction.extract(source, missing, audio, directory, what)
            shown = name if layers == (0,) else f"{name} layer {layer}"
            return extraction.read_layer(shown, directory, layer, source.rate)

        yield name, layer, read


main = command(get_parser, run, "WARNING")

if __name__ == "__main__":
    main()
