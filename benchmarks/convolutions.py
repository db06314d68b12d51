#!/usr/bin/env python3
"""HuBERT's convolutions on a CPU: transformers' own, and one utterance at a time.

Prints median CPU seconds on one thread of an encoder's training step (forward and
backward) and of its prediction, for a batch of utterances at lengths that occurred
before and at new ones, for which PyTorch's convolutions prepare.

    benchmarks/convolutions.py --config conf/hubert_random.yaml
    benchmarks/convolutions.py --config hubert-small --batch_size 8
"""

import argparse
import time
from collections.abc import Callable
from statistics import median

import torch
from transformers.models.hubert.modeling_hubert import HubertFeatureEncoder

from espnet2_cltm.bin.command_line import command
from espnet2_cltm.frontend.hubert import HubertFrontend

REPEATS = 12


def get_parser() -> argparse.ArgumentParser:
    """Return the parser of the options."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--config", default="conf/hubert_random.yaml", help="encoder")
    parser.add_argument(
        "--seconds", type=float, default=2.3, help="length of the shortest utterance"
    )
    parser.add_argument(
        "--batch_size", type=int, default=1, help="utterances, each 20 ms longer"
    )
    return parser


def cpu_seconds(call: Callable[[list[int]], object], lengths: list[int]) -> float:
    """Return the CPU seconds of a call."""
    started = time.process_time()
    call(lengths)
    return time.process_time() - started


def measure(args: argparse.Namespace) -> None:
    """Print the table."""
    torch.set_num_threads(1)
    print("| convolutions | step | at new lengths | prediction | at new lengths |")
    print("|---|---|---|---|---|")
    for offset, name in ((0, "transformers"), (160, "one at a time")):
        n_samples = round(16000 * args.seconds) + offset
        frontend = HubertFrontend(args.config)
        if name == "transformers":
            frontend.hubert.feature_extractor.__class__ = HubertFeatureEncoder

        def encode(
            lengths: list[int], frontend: HubertFrontend = frontend
        ) -> torch.Tensor:
            waveforms = torch.randn(len(lengths), max(lengths))
            return frontend(waveforms, torch.tensor(lengths))[0]

        def step(
            lengths: list[int], encode: Callable[..., torch.Tensor] = encode
        ) -> None:
            encode(lengths).square().mean().backward()

        cells = []
        calls: tuple[Callable, ...] = (step, torch.inference_mode()(encode))
        for call in calls:
            new, known = [], []
            for _ in range(REPEATS + 1):
                # Every layer's numbers of frames are new.
                lengths = [n_samples + 320 * place for place in range(args.batch_size)]
                n_samples += 320 * args.batch_size
                new.append(cpu_seconds(call, lengths))
                known.append(cpu_seconds(call, lengths))
            # The first of each warms up.
            cells += [f"{median(seconds[1:]):.4f}" for seconds in (known, new)]
        print(f"| {name} | {' | '.join(cells)} |", flush=True)


main = command(get_parser, measure)

if __name__ == "__main__":
    main()
