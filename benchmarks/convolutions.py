#!/usr/bin/env python3
"""HuBERT's convolutions on a CPU: as matrix products, and as transformers has them.

Prints median CPU seconds on one thread of a training step (forward and backward) and of
a prediction of one utterance, at a length that occurred before and at a new one, for
which PyTorch's convolutions prepare.

    benchmarks/convolutions.py --config conf/hubert_random.yaml --seconds 2.3
    benchmarks/convolutions.py --config benchmarks/conf/hubert_4x128.yaml --seconds 4.3
"""

import argparse
import time
from collections.abc import Callable
from statistics import median

import torch
from transformers.models.hubert.modeling_hubert import HubertFeatureEncoder

from espnet2_cltm.bin.command_line import run_command
from espnet2_cltm.frontend.hubert import HubertFrontend

REPEATS = 12


def get_parser() -> argparse.ArgumentParser:
    """Return the parser of the options."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--config", default="conf/hubert_random.yaml")
    parser.add_argument("--seconds", type=float, default=2.3)
    return parser


def cpu_seconds(call: Callable[[torch.Tensor], None], waveform: torch.Tensor) -> float:
    """Return the CPU seconds of a call."""
    started = time.process_time()
    call(waveform)
    return time.process_time() - started


def measure(args: argparse.Namespace) -> None:
    """Print the table."""
    torch.set_num_threads(1)
    print("| convolutions | step | at a new length | prediction | at a new length |")
    print("|---|---|---|---|---|")
    n_samples = round(16000 * args.seconds)
    for name in ("transformers", "matrix products"):
        frontend = HubertFrontend(args.config)
        if name == "transformers":
            frontend.hubert.feature_extractor.__class__ = HubertFeatureEncoder

        def step(waveform: torch.Tensor, frontend: HubertFrontend = frontend) -> None:
            feats, _ = frontend(waveform, torch.tensor([waveform.shape[1]]))
            feats.square().mean().backward()

        @torch.inference_mode()
        def predict(
            waveform: torch.Tensor, frontend: HubertFrontend = frontend
        ) -> None:
            frontend(waveform, torch.tensor([waveform.shape[1]]))

        cells = []
        for call in (step, predict):
            for _ in range(3):
                call(torch.randn(1, n_samples))
            new, known = [], []
            for index in range(REPEATS):
                # Every layer's number of frames is new.
                size = n_samples + 320 * (1 + index) + (call is predict) * 320 * REPEATS
                waveform = torch.randn(1, size)
                new.append(cpu_seconds(call, waveform))
                known.append(cpu_seconds(call, waveform))
            cells += [f"{median(known):.4f}", f"{median(new):.4f}"]
        print(f"| {name} | {' | '.join(cells)} |", flush=True)


def main() -> None:
    """Run the measurement."""
    args = get_parser().parse_args()
    run_command(lambda: measure(args))


if __name__ == "__main__":
    main()
