"""Targets of pretraining: k-means clusters of MFCC or of a HuBERT's layer."""

import argparse

from espnet2_cltm.bin.command_line import command, parser_of
from espnet2_cltm.corpus.options import CODES
from espnet2_cltm.errors import UserError
from espnet2_cltm.options import POSITIVE, SECONDS, SEED, TEXT, TRUTH, Option, one_of
from espnet2_cltm.pretraining.options import GROUNDING_SHARE, HOURS
from espnet2_cltm.pretraining.targets import (
    FEATURES,
    TargetSettings,
    choose_languages,
    make_targets,
)

OPTIONS = (
    Option("langs", "language codes; left out, all under --dump", CODES),
    Option("nj", "number of processes", POSITIVE, "1"),
    Option(
        "features",
        "vectors that are clustered: mfcc, or layer, a hidden layer of --model",
        one_of(*FEATURES),
        "mfcc",
    ),
    Option("model", "HuBERT, by hub id or directory", TEXT),
    Option("layer", "layer of --model, from 1", POSITIVE, "2"),
    Option("num_clusters", "number of clusters", POSITIVE, "100"),
    Option(
        "fit_frames", "number of frames that k-means is fitted on", POSITIVE, "300000"
    ),
    Option(
        "min_seconds",
        "length in seconds below which utterances are left out, at least the "
        "training's crop_seconds",
        SECONDS,
        "1.5",
    ),
    HOURS,
    GROUNDING_SHARE,
    Option(
        "segments",
        "whether to write the phone of every frame, from phones.ctm, for articulatory "
        "targets",
        TRUTH,
        "false",
    ),
    Option("seed", "seed of utterances and centroids", SEED, "0"),
)


get_parser = parser_of(
    "Cluster the frames of a corpus that stage 2 has decoded, and write the cluster of "
    "every frame. Only what is missing is made; the command can be interrupted and "
    "started again at any time.",
    OPTIONS,
    dump="audio store: <dumpdir>/<corpus>",
    outdir="directory to write to",
)


def _make(args: argparse.Namespace) -> None:
    if args.features == "layer" and not args.model:
        raise UserError("--features layer needs a HuBERT: give --model.")
    settings = TargetSettings(
        dump=str(args.dump),
        langs=choose_languages(args.dump, args.langs),
        features=args.features,
        model=args.model if args.features == "layer" else "",
        layer=args.layer if args.features == "layer" else 0,
        num_clusters=args.num_clusters,
        fit_frames=args.fit_frames,
        min_seconds=args.min_seconds,
        seed=args.seed,
        hours=args.hours,
        grounding_share=args.grounding_share,
        segments=args.segments or None,
    )
    for line in make_targets(settings, args.outdir, args.nj):
        print(line, flush=True)


main = command(get_parser, _make, "WARNING")

if __name__ == "__main__":
    main()
