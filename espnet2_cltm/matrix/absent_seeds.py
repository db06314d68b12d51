"""Runs that have a result in some seeds and not in others: failed, or not yet made."""

import numpy as np

from espnet2_cltm.matrix.scores import SeedScores


def absent_seeds(scores: SeedScores) -> list[str]:
    """Name the runs, as they are tested for the matrix, with the seeds they lack.

    A metric that is undefined counts as no result.
    """
    codes = scores.languages
    named: list[tuple[str, np.ndarray]] = []
    for kind, values in (("single", scores.single), ("double", scores.double)):
        named += [(f"{kind} {code}", values[i]) for i, code in enumerate(codes)]
    for i, target in enumerate(codes):
        for j, donor in enumerate(codes):
            pair = "+".join(sorted((target, donor)))
            named.append((f"pair {pair} tested on {target}", scores.pair[i, j]))
    found = []
    for name, values in named:
        there = np.isfinite(values)
        if there.any() and not there.all():
            seeds = (
                str(seed)
                for seed, is_there in zip(scores.seeds, there, strict=True)
                if not is_there
            )
            found.append(f"{name} (seed {' '.join(seeds)})")
    return found
