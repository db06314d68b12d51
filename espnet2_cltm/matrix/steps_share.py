"""How much of the self-gain optimiser steps explain, and not data.

Where a double run takes twice a single's steps, as published, its gain is of data and
of steps. An experiment with ``--steps both`` has single and double runs in that design
and with equal steps, and the gains tell the two apart.
"""

from dataclasses import dataclass

import numpy as np

from espnet2_cltm.matrix.scores import SeedScores, mean_over_seeds
from espnet2_cltm.matrix.uncertainty import BOUNDED, LEVEL, critical_value, fieller_sets

LEAST_SEEDS = 3


@dataclass(frozen=True)
class StepsShare:
    """The self-gain in both designs, and the share that steps explain.

    Attributes:
        targets: Targets that both designs have.
        data: Mean self-gain over targets and seeds where steps grow with the data.
        equal: The same where every run takes equal steps.
        share: ``1 - equal / data``; 1 where data add nothing once steps are equal. None
            where its interval is unbounded or there are fewer than three seeds.
        low: Lower limit of its confidence interval, by Fieller's method over seeds.
        high: Upper limit.
    """

    targets: tuple[str, ...]
    data: float
    equal: float
    share: float | None = None
    low: float | None = None
    high: float | None = None

    def sentence(self) -> str:
        """Return what is found, in a sentence."""
        gains = (
            f"the mean self-gain of {len(self.targets)} targets is {self.data:+.3f} "
            "where a double run takes twice a single's optimiser steps, and "
            f"{self.equal:+.3f} with equal steps"
        )
        if self.share is None or self.low is None or self.high is None:
            return (
                f"How much of the self-gain is due to steps is unclear: {gains}; the "
                "former is not clearly above 0, or there are fewer than three seeds."
            )
        return (
            f"Optimiser steps explain {self.share:.0%} [{self.low:.0%}, "
            f"{self.high:.0%}] of the published design's self-gain: {gains}."
        )


def steps_share(
    equal: SeedScores, data: SeedScores, level: float = LEVEL
) -> StepsShare | None:
    """Compare the self-gains of both designs.

    Args:
        equal: Scores of runs with equal steps.
        data: Scores of runs whose steps grow with the data.
        level: Confidence level of the interval.

    Returns:
        The comparison, over the targets and seeds that both have whole; None where
        there are none.
    """
    seeds = sorted({*equal.seeds} & {*data.seeds})
    targets = sorted({*equal.languages} & {*data.languages})
    gains = np.array([_gains(scores, targets, seeds) for scores in (equal, data)])
    whole = np.isfinite(gains).all(axis=(0, 2))
    gains = gains[:, whole]
    if not gains.size:
        return None
    by_seed = gains.mean(axis=1)
    of_equal, of_data = mean_over_seeds(by_seed)
    told: tuple[float, ...] = ()
    if len(seeds) >= LEAST_SEEDS:
        covariance = np.cov(by_seed) / len(seeds)
        ratios = fieller_sets(
            np.array(of_equal),
            np.array(of_data),
            covariance[0, 0],
            covariance[1, 1],
            covariance[0, 1],
            critical_value(level, np.array(len(seeds) - 1)),
        )
        if ratios.kind == BOUNDED and of_data > 0:
            limits = (of_equal / of_data, ratios.high, ratios.low)
            told = tuple(1 - float(ratio) for ratio in limits)
    return StepsShare(
        tuple(t for t, is_whole in zip(targets, whole, strict=True) if is_whole),
        float(of_data),
        float(of_equal),
        *told,
    )


def _gains(scores: SeedScores, targets: list[str], seeds: list[int]) -> np.ndarray:
    """Return Perf(i+i) - Perf(i) of some targets and seeds, (targets, seeds)."""
    chosen = np.ix_(
        [scores.languages.index(target) for target in targets],
        [scores.seeds.index(seed) for seed in seeds],
    )
    return (scores.double - scores.single)[chosen]
