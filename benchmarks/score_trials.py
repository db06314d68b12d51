#!/usr/bin/env python3
"""Time of a million trials besides the embedding: reading, scoring, metrics.

Draws trials uniformly among all pairs of the utterances, the least favourable pattern,
writes them, and in a separate process with one thread reads the list, scores it and
computes the metrics. For comparison it times the matrix product of all pairs of
embeddings, from which the trials' scores could be taken. Exits with status 1 if a
million trials take longer than ``--allowed``.
"""

import argparse
import multiprocessing
import os
import resource
import tempfile
import time
from itertools import pairwise
from pathlib import Path

import numpy as np

from espnet2_cltm.bin.command_line import command
from espnet2_cltm.errors import UserError
from espnet2_cltm.speaker.metrics import score_trials
from espnet2_cltm.speaker.trials import (
    TrialList,
    cosine_scores,
    read_trials,
    write_trials,
)

STEPS = ("read", "score", "metrics", "all three", "whole product")


def get_parser() -> argparse.ArgumentParser:
    """Return the parser of the options."""
    parser = argparse.ArgumentParser(
        description="Measure reading, scoring and the metrics of many trials.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--n_trials", type=int, default=1_000_000)
    parser.add_argument("--n_utts", type=int, default=20_000)
    parser.add_argument(
        "--sizes", type=int, nargs="+", default=[192, 768], help="sizes of an embedding"
    )
    parser.add_argument(
        "--allowed", type=float, default=2, help="most CPU seconds of all three steps"
    )
    return parser


def make_trials(n_utts: int, n_trials: int) -> TrialList:
    """Draw different pairs uniformly; ids are as long as Common Voice's."""
    generator = np.random.default_rng(0)
    n_pairs = n_utts * (n_utts - 1) // 2
    if n_trials > n_pairs:
        raise UserError(f"{n_utts} utterances have {n_pairs} pairs: raise --n_utts.")
    numbers = np.unique(generator.integers(0, n_pairs, 2 * n_trials))
    while len(numbers) < n_trials:
        more = generator.integers(0, n_pairs, n_trials)
        numbers = np.unique(np.concatenate((numbers, more)))
    numbers = np.sort(generator.permutation(numbers)[:n_trials])
    rows = np.arange(n_utts)
    first_number = rows * (n_utts - 1) - rows * (rows - 1) // 2
    enrol = np.searchsorted(first_number, numbers, side="right") - 1
    test = enrol + 1 + numbers - first_number[enrol]
    utts = tuple(
        f"ca-{utt % 997:016x}-common_voice_ca_{17_000_000 + utt}"
        for utt in range(n_utts)
    )
    # Utterances are numbered in the order of their ids, as in every trial list.
    return TrialList(tuple(sorted(utts)), enrol, test, generator.random(n_trials) < 0.5)


def measure(path: Path, n_utts: int, size: int) -> tuple[dict[str, float], float]:
    """Measure the CPU time of each step.

    Args:
        path: Trial list of ``n_utts`` utterances.
        n_utts: Number of embeddings.
        size: Size of an embedding.

    Returns:
        Seconds by step, and the process's peak memory in MiB before the whole product.
    """
    embeddings = np.random.default_rng(1).normal(size=(n_utts, size)).astype("float32")
    embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
    times = [time.process_time()]
    trials = read_trials(path)
    times.append(time.process_time())
    scores = cosine_scores(embeddings, trials)
    times.append(time.process_time())
    score_trials(scores, trials.is_target)
    times.append(time.process_time())
    seconds = dict(zip(STEPS, np.diff(times).tolist(), strict=False))
    seconds["all three"] = times[-1] - times[0]
    peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    rows = 512
    start = time.process_time()
    picked = np.empty_like(scores)
    bounds = np.searchsorted(trials.enrol, range(0, n_utts + rows, rows))
    for block, (begin, end) in enumerate(pairwise(bounds)):
        first = block * rows
        product = embeddings[first : first + rows] @ embeddings.T
        picked[begin:end] = product[
            trials.enrol[begin:end] - first, trials.test[begin:end]
        ]
    seconds["whole product"] = time.process_time() - start
    if not np.allclose(picked, scores, rtol=0, atol=1e-5):
        raise AssertionError("the two ways differ by more than rounding")
    return seconds, peak_mib


def time_scoring(args: argparse.Namespace) -> None:
    """Run the benchmark.

    Raises:
        UserError: It takes longer than allowed.
    """
    # The BLAS of the measuring process reads it at its start.
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = "1"
    slow = []
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "trials"
        trials = make_trials(args.n_utts, args.n_trials)
        if len(np.union1d(trials.enrol, trials.test)) < args.n_utts:
            raise UserError(
                f"{args.n_trials} trials leave some of {args.n_utts} utterances out: "
                "raise --n_trials."
            )
        write_trials(path, trials)
        print(f"{'size':>6}" + "".join(f"{step:>15}" for step in STEPS) + f"{'MiB':>6}")
        for size in args.sizes:
            with multiprocessing.get_context("spawn").Pool(1) as process:
                seconds, mib = process.apply(measure, (path, args.n_utts, size))
            columns = "".join(f"{seconds[step]:14.2f}s" for step in STEPS)
            print(f"{size:6}{columns}{mib:6.0f}", flush=True)
            if seconds["all three"] > args.allowed:
                slow.append(size)
    if slow:
        raise UserError(
            f"Embeddings of size {', '.join(map(str, slow))} take more than "
            f"{args.allowed:g} s: run it on an idle machine, or profile it."
        )


main = command(get_parser, time_scoring)

if __name__ == "__main__":
    main()
