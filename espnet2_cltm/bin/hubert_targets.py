"""Targets of pretraining: k-means clusters of MFCC or of a HuBERT's layer."""

import argparse
from pathlib import Path

from espnet2_cltm.bin.command_line import (
    configure_logging,
    positive_number,
    run_command,
    whole_number,
)
from espnet2_cltm.errors import UserError
from espnet2_cltm.pretraining.targets import (
    FEATURES,
    TargetSettings,
    choose_languages,
    make_targets,
)


def get_parser() -> argparse.ArgumentParser:
    """Return the parser of the command's options."""
    parser = argparse.ArgumentParser(
        description="Cluster the frames of a corpus that stage 2 has decoded, and "
        "write the cluster of every frame. Only what is missing is made; the command "
        "can be interrupted and started again at any time.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument(
        "--dump", required=True, type=Path, help="audio store: <dumpdir>/<corpus>"
    )
    parser.add_argument(
        "--langs", default="", help="language codes; left out, all under --dump"
    )
    parser.add_argument(
        "--nj", type=positive_number, default=1, help="number of processes"
    )
    parser.add_argument("--outdir", required=True, type=Path)
    parser.add_argument(
        "--features",
        choices=FEATURES,
        default="mfcc",
        help="vectors that are clustered: mfcc, or layer, a hidden layer of --model",
    )
    parser.add_argument("--model", default="", help="HuBERT, by hub id or directory")
    parser.add_argument(
        "--layer", type=positive_number, default=2, help="layer of --model, from 1"
    )
    parser.add_argument(
        "--num_clusters", type=positive_number, default=100, help="number of clusters"
    )
    parser.add_argument(
        "--fit_frames",
        type=positive_number,
        default=300_000,
        help="number of frames that k-means is fitted on",
    )
    parser.add_argument(
        "--min_seconds",
        type=float,
        default=1.5,
        help="length in seconds below which utterances are left out, at least the "
        "training's crop_seconds",
    )
    parser.add_argument(
        "--seed",
        type=whole_number,
        default=0,
        help="seed of utterances and centroids",
    )
    return parser


def main(cmd: list[str] | None = None) -> None:
    """Run the command.

    Args:
        cmd: Options; by default those of the command line.
    """
    args = get_parser().parse_args(cmd)
    configure_logging("WARNING")
    run_command(lambda: _make(args))


def _make(args: argparse.Namespace) -> None:
    if args.features == "layer" and not args.model:
        raise UserError("--features layer needs a HuBERT: give --model.")
    settings = TargetSettings(
        dump=str(args.dump),
        langs=choose_languages(args.dump, args.langs.split()),
        features=args.features,
        model=args.model if args.features == "layer" else "",
        layer=args.layer if args.features == "layer" else 0,
        num_clusters=args.num_clusters,
        fit_frames=args.fit_frames,
        min_seconds=args.min_seconds,
        seed=args.seed,
    )
    for line in make_targets(settings, args.outdir, args.nj):
        print(line, flush=True)


if __name__ == "__main__":
    main()
