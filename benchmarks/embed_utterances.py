#!/usr/bin/env python3
"""Embedding extraction in batches of similar length, against one by one.

The same utterances are embedded by the same models with random weights, both ways in
turn. Printed are the CPU seconds of the networks on one thread, best of the repeats
after a warm-up; trimming and change of tempo, common to both ways, are done before and
counted separately. Exits with status 1 if the embeddings differ.

    benchmarks/embed_utterances.py --dump dump/demo
"""

import argparse
import itertools
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml

from espnet2_cltm.bin.command_line import command
from espnet2_cltm.corpus.audio import load_audio
from espnet2_cltm.corpus.datadir import read_data_dir
from espnet2_cltm.errors import UserError
from espnet2_cltm.progress import progress
from espnet2_cltm.speaker.embedding import cache_waveforms, embed_utterances
from espnet2_cltm.speaker.espnet_task import SpeakerTask
from espnet2_cltm.speaker.model import SpeakerModel
from espnet2_cltm.speaker.trial_drawing import draw_trials

ROOT = Path(__file__).resolve().parent.parent
HUBERT = ROOT / "conf/train_speaker.yaml"
ECAPA = ROOT / "egs2/cltm/spk1/conf/tuning/train_ecapa.yaml"
# As in the demo's and the published settings; the cache holds all waveforms.
BATCH_BINS = 480_000
CACHE_BYTES = 4 << 30
TOLERANCE = 1e-4


def get_parser() -> argparse.ArgumentParser:
    """Return the parser of the options."""
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--dump", type=Path, default=Path("dump/demo"))
    parser.add_argument(
        "--n_utts", type=int, default=100, help="number of test utterances"
    )
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--max_positives", type=int, default=200)
    return parser


def build(config: Path, **hubert: Any) -> SpeakerModel:
    """Build the model of a training configuration.

    Args:
        config: YAML file of ESPnet options.
        **hubert: Replaced fields of the frontend's HuBERT.
    """
    args = SpeakerTask.get_parser().parse_args(["--config", str(config)])
    if hubert:
        fields = yaml.safe_load((ROOT / "conf/hubert_random.yaml").read_text())
        args.frontend_conf = {**args.frontend_conf, "model": {**fields, **hubert}}
    args.spk_num = 100
    return SpeakerTask.build_model(args)


def cpu_seconds(work: Callable[[], Any]) -> tuple[float, Any]:
    """Do the work once and return its CPU time and result."""
    start = time.process_time()
    result = work()
    return time.process_time() - start, result


def compare(
    model: SpeakerModel, waveforms: dict[str, np.ndarray], repeats: int
) -> tuple[float, float, float]:
    """Embed in batches and one by one.

    Returns:
        CPU seconds of preparing the waveforms, of the batches, and of one by one.

    Raises:
        UserError: The two ways differ.
    """
    lengths = {utt: len(samples) for utt, samples in waveforms.items()}

    def embed(batch_bins: int) -> np.ndarray:
        return embed_utterances(model, lengths, waveforms.__getitem__, batch_bins)

    ways = (BATCH_BINS, 1)
    cache_waveforms(0)
    first = [embed(bins) for bins in ways]
    if not np.allclose(*first, rtol=0, atol=TOLERANCE):
        raise UserError(
            f"Batches and one by one differ by {np.abs(first[0] - first[1]).max():.1e}"
            ": padding enters this model's embeddings."
        )
    without, _ = cpu_seconds(lambda: embed(BATCH_BINS))
    cache_waveforms(CACHE_BYTES)
    embed(BATCH_BINS)
    best = dict.fromkeys(ways, np.inf)
    for bins in list(ways) * repeats:
        seconds, _ = cpu_seconds(lambda bins=bins: embed(bins))
        best[bins] = min(best[bins], seconds)
    return without - best[BATCH_BINS], best[BATCH_BINS], best[1]


def embed_both_ways(args: argparse.Namespace) -> None:
    """Run the benchmark.

    Raises:
        UserError: There are no test utterances, or the two ways differ.
    """
    torch.set_num_threads(1)
    splits = sorted(args.dump.glob("*/test"))
    if not splits:
        raise UserError(f"{args.dump} has no <lang>/test: run stages 1 and 2.")
    named, distinct = 0, 0
    utterances = [read_data_dir(split) for split in splits]
    for rows in utterances:
        trials = draw_trials(rows, args.max_positives, seed=0).trials
        if trials is not None:
            named, distinct = named + 2 * len(trials), distinct + len(trials.utts)
    # In turn from every language.
    turns = itertools.chain(*itertools.zip_longest(*utterances))
    chosen = [row for row in turns if row is not None][: args.n_utts]
    waveforms = {row.id: load_audio(row.audio) for row in chosen}
    seconds = sum(map(len, waveforms.values())) / 16000
    print(f"{len(chosen)} utterances, {seconds:.0f} s of speech")
    if distinct:
        print(f"an utterance is in {named / distinct:.0f} trials, embedded once")
    models = {
        "HuBERT 2 x 64, CNN 32": lambda: build(HUBERT),
        "HuBERT 4 x 256, CNN 128": lambda: build(
            HUBERT,
            conv_dim=[128] * 7,
            hidden_size=256,
            num_hidden_layers=4,
            intermediate_size=1024,
        ),
        "ECAPA-TDNN": lambda: build(ECAPA),
    }
    print(f"{'':25}{'prepare':>9}{'batches':>9}{'one by one':>12}{'ratio':>7}")
    for name in progress(list(models), description="Models"):
        prepare, batches, single = compare(models[name](), waveforms, args.repeats)
        print(
            f"{name:25}{prepare:8.2f}s{batches:8.2f}s{single:11.2f}s"
            f"{single / batches:7.2f}",
            flush=True,
        )


main = command(get_parser, embed_both_ways)

if __name__ == "__main__":
    main()
