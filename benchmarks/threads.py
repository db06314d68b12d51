#!/usr/bin/env python3
"""How many threads a worker should have: two workers of one thread, or one of two.

Processes train an encoder on utterances of many lengths at batch 1, as the published
gender recipe does, on the same number of cores for every division. Prints training
steps per second of all processes together; the divisions take turns, and the median
counts.

    benchmarks/threads.py
    benchmarks/threads.py --shape base --steps 6
"""

import argparse
import os
import statistics
import subprocess
import sys
import time

from espnet2_cltm.bin.command_line import run_command
from espnet2_cltm.errors import UserError

SHAPES = {  # layers, size, channels, heads
    "demo": (2, 64, 32, 4),
    "small": (4, 128, 128, 4),
    "base": (12, 768, 512, 12),
}


def get_parser() -> argparse.ArgumentParser:
    """Return the parser of the options."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shape", choices=SHAPES, default="small")
    parser.add_argument(
        "--steps", type=int, default=100, help="training steps of each process"
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--train", type=int, help=argparse.SUPPRESS)
    return parser


def train(shape: str, n_threads: int, n_steps: int) -> None:
    """Train, announce when kernels are prepared, continue on request, and end."""
    import torch

    from espnet2_cltm.frontend.hubert import HubertFrontend

    torch.set_num_threads(n_threads)
    layers, size, channels, heads = SHAPES[shape]
    model = {
        "num_hidden_layers": layers,
        "hidden_size": size,
        "intermediate_size": 4 * size,
        "num_attention_heads": heads,
        "conv_dim": [channels] * 7,
        "apply_spec_augment": False,
    }
    frontend = HubertFrontend(model, length_multiple=1600).train()
    optimizer = torch.optim.AdamW(frontend.parameters(), lr=1e-5)
    lengths = [16000 * 3 + 3200 * (step % 10) for step in range(n_steps)]

    def step(n_samples: int) -> None:
        optimizer.zero_grad()
        feats, _ = frontend(torch.randn(1, n_samples), torch.tensor([n_samples]))
        feats.mean(dim=1).square().sum().backward()
        optimizer.step()

    for n_samples in sorted(set(lengths)):
        step(n_samples)
    print("ready", flush=True)
    sys.stdin.readline()
    for n_samples in lengths:
        step(n_samples)


def steps_per_second(shape: str, n_threads: int, n_steps: int) -> float:
    """Train in as many processes as the cores allow."""
    n_processes = os.cpu_count() // n_threads
    command = [sys.executable, __file__, "--shape", shape, "--steps", str(n_steps)]
    processes = [
        subprocess.Popen(
            [*command, "--train", str(n_threads)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": str(n_threads)},
        )
        for _ in range(n_processes)
    ]
    for process in processes:
        process.stdout.readline()
    started = time.monotonic()
    for process in processes:
        process.stdin.write("\n")
        process.stdin.flush()
    for process in processes:
        if process.wait():
            raise UserError("A training process failed; its message is above.")
    return n_processes * n_steps / (time.monotonic() - started)


def compare(args: argparse.Namespace) -> None:
    """Print the rates of every division of the cores."""
    cores = os.cpu_count()
    divisions = [n for n in (1, 2, 4, 8) if cores % n == 0]
    rates: dict[int, list[float]] = {n: [] for n in divisions}
    for _ in range(args.rounds):
        for n_threads in divisions:
            rates[n_threads].append(steps_per_second(args.shape, n_threads, args.steps))
    for n_threads in divisions:
        print(
            f"{args.shape}: {cores // n_threads} processes of {n_threads} threads: "
            f"{statistics.median(rates[n_threads]):.2f} steps a second"
        )


def main() -> None:
    """Run the comparison, or one of its processes."""
    args = get_parser().parse_args()
    if args.train is not None:
        train(args.shape, args.train, args.steps)
    else:
        run_command(lambda: compare(args))


if __name__ == "__main__":
    main()
