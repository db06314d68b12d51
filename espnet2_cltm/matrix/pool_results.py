"""What a target without data can have: pools, shots, and what they are worth.

``pools.tsv`` has one line a target, pool, size, method and number of shots: Perf with
its interval over seeds, in utterances of the target (:mod:`.equivalents`; ``>64`` is
more than the largest N measured, ``<2`` less than the smallest), and its paired
differences, with limits, to the single run of N (``single``), to the best single donor
without shots (``best_donor``), to ``random:k`` with as many donors (``random``) and, of
shots, to the pool without them (``no_shots``) and to training from the encoder alone on
as many utterances (``encoder``). The best donor is chosen by the same results, which
favours it. ``donor`` in the column ``pool`` marks a single donor's runs, ``encoder``
those of the target's shots alone. An empty field is not known.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from espnet2_cltm.files import write_rows
from espnet2_cltm.matrix.equivalents import (
    Equivalent,
    TargetCurve,
    equivalent,
    mean_with_interval,
)
from espnet2_cltm.matrix.matrix_files import number_text
from espnet2_cltm.matrix.results_table import (
    is_cross_language,
    is_results,
    read_results,
)
from espnet2_cltm.matrix.scores import ResultsSource, find_metrics
from espnet2_cltm.matrix.text_table import to_budget, to_integer, to_number
from espnet2_cltm.matrix.uncertainty import IntervalSettings
from espnet2_cltm.pools import ChosenPool, chooser_of, read_pools
from espnet2_cltm.progress import progress
from espnet2_cltm.results_format import JOINT, POOL_SIZES, POOLS, STRATEGY

FILE = "pools.tsv"
DONOR, ENCODER = "donor", "encoder"
COMPARED = ("single", "best_donor", "random", "no_shots", "encoder")
_NOTHING = (math.nan, math.nan, math.nan)
Difference = tuple[float, float, float]
"""A difference and the limits of its interval."""


@dataclass(frozen=True)
class PoolScore:
    """One way to a model for a target without data.

    Attributes:
        target: The target.
        pool: Pool as asked for, ``donor`` or ``encoder``.
        donors: Donors; of several seeds where they differ, none.
        size: What N counts, one of :data:`.POOL_SIZES`.
        method: How the model was made.
        shots: Utterances of the target, in the unit of N.
        n_seeds: Number of seeds.
        perf: Mean Perf and the limits of its interval.
        differences: By :data:`COMPARED`, those that are known.
        equivalent: What it is worth in the target's utterances; None where not known.
        by_seed: (s,) differences by seed, by the names of ``differences``.
    """

    target: str
    pool: str
    donors: tuple[str, ...]
    size: str
    method: str
    shots: int
    n_seeds: int
    perf: Difference
    differences: Mapping[str, Difference]
    equivalent: Equivalent | None
    by_seed: Mapping[str, np.ndarray] = field(default_factory=dict, repr=False)

    def difference(self, name: str) -> Difference:
        """Return a difference by name, NaN where not known."""
        return self.differences.get(name, _NOTHING)


@dataclass(frozen=True)
class PoolResults:
    """All that is known of targets without data.

    Attributes:
        scores: Every way that was measured.
        budget: N.
        unit: What N counts.
        level: Confidence level of the intervals.
        curves: Learning curve of each target.
    """

    scores: Sequence[PoolScore]
    budget: int
    unit: str
    level: float
    curves: Mapping[str, TargetCurve] = field(default_factory=dict)

    @property
    def targets(self) -> list[str]:
        """Targets that have a pool or shots, sorted."""
        return sorted({s.target for s in self.scores if s.pool != DONOR})

    def of_target(self, target: str) -> list[PoolScore]:
        """Return the scores of a target."""
        return [score for score in self.scores if score.target == target]

    def best_pool(self, target: str) -> PoolScore | None:
        """Return the best pool of several donors without shots, by mean Perf."""
        found = [
            score
            for score in self.of_target(target)
            if score.pool not in (DONOR, ENCODER)
            and not score.shots
            and (chooser_of(score.pool) or ("",))[0] != "random"
        ]
        return max(found, key=lambda score: score.perf[0], default=None)

    def best_donor(self, target: str) -> PoolScore | None:
        """Return the best single donor, by mean Perf."""
        found = [s for s in self.of_target(target) if s.pool == DONOR]
        return max(found, key=lambda score: score.perf[0], default=None)

    def means(self) -> list[tuple[PoolScore, Mapping[str, Difference]]]:
        """Return the differences of every pool in the mean over all targets.

        Returns:
            One of its scores, and the mean differences with their intervals over seeds;
            a seed counts where every target has the difference.
        """
        ways: dict[tuple, list[PoolScore]] = {}
        for score in self.scores:
            if score.pool != DONOR:
                way = (score.pool, score.size, score.method, score.shots)
                ways.setdefault(way, []).append(score)
        found: list[tuple[PoolScore, Mapping[str, Difference]]] = []
        for scores in ways.values():
            if len(scores) < max(len(self.targets), 2):
                continue
            means = {
                name: mean_with_interval(
                    np.mean([score.by_seed[name] for score in scores], axis=0),
                    self.level,
                )
                for name in COMPARED
                if all(name in score.by_seed for score in scores)
            }
            found.append((scores[0], means))
        return found

    def after(self, pool: PoolScore) -> list[PoolScore]:
        """Return the shots after a pool, fewest first."""
        return sorted(
            (
                score
                for score in self.of_target(pool.target)
                if score.shots
                and (score.pool, score.size, score.method)
                == (pool.pool, pool.size, pool.method)
            ),
            key=lambda score: score.shots,
        )


def read_pool_results(
    path: Path, source: ResultsSource, settings: IntervalSettings
) -> PoolResults | None:
    """Read what is known of targets without data.

    Args:
        path: ``results.tsv``; the donors of the pools stand in ``data/`` beside it.
        source: Task, metric, N, steps and strategy.
        settings: How intervals are made.

    Returns:
        None where no such run was made.

    Raises:
        UserError: The table of pools is damaged.
    """
    runs = read_all_runs(path, source)
    chosen = read_pools(path.parent / POOLS.format(task=source.task))
    has_shots = ((runs["kind"] == "single") & (runs["budget"] != source.budget)).any()
    if source.budget is None or not (chosen or has_shots):
        return None
    seeds = tuple(sorted(map(int, runs["seed"].unique())))
    tested = _Tested(runs, seeds, source.budget)
    scores = [
        score
        for target in progress(
            tested.targets, description="Targets without data", unit="target"
        )
        for score in _of_target(
            tested, target, [pool for pool in chosen if pool.target == target], settings
        )
    ]
    curves = {target: tested.curve(target) for target in tested.targets}
    level = settings.confidence
    found = PoolResults(scores, source.budget, source.unit, level, curves)
    return found if found.targets else None


def read_all_runs(path: Path | str, source: ResultsSource) -> pd.DataFrame:
    """Read every run of a task: pools as well, and single and double runs of any N.

    Args:
        path: ``results.tsv``.
        source: Task, metric, steps and strategy of a matrix.

    Returns:
        Columns ``kind``, ``languages``, ``budget``, ``seed``, ``tested``, ``perf`` and
        ``pool``, a tuple of size, method and shots; no line where it is undefined, or
        where the file is of another format.

    Raises:
        UserError: The file can't be read as results.
    """
    table = read_results(path)
    if not is_results(table):
        columns = ["kind", "languages", "budget", "seed", "tested", "perf", "pool"]
        return pd.DataFrame(columns=columns)
    rows = table.rows
    table = table.where(
        (rows["task"] == source.task)
        & (rows["metric"] == source.metric)
        & (rows["steps"] == source.steps)
        & (rows[STRATEGY] == source.strategy)
        & (rows["kind"] != "pair")
        & ~is_cross_language(table)
    )
    metric = find_metrics(source.task, [source.metric])[source.metric]
    values = to_number(table, "value", minimum=metric.minimum, maximum=metric.maximum)
    shots = to_integer(table, "shots")
    rows = table.rows
    pool = (column.tolist() for column in (rows["size"], rows["method"], shots))
    found = pd.DataFrame(
        {
            "kind": rows["kind"],
            "languages": rows["languages"],
            "budget": to_budget(table),
            "seed": to_integer(table, "seed"),
            "tested": rows["test_language"],
            "perf": 1 - values if metric.lower_is_better else values,
            "pool": [*zip(*pool, strict=True)],
        }
    )
    return found[np.isfinite(found["perf"])]


class _Tested:
    """Perf by seed of everything tested on a target.

    Args:
        runs: Table of :func:`read_all_runs`.
        seeds: The s seeds.
        budget: N.
    """

    def __init__(self, runs: pd.DataFrame, seeds: Sequence[int], budget: int):
        self.seeds = tuple(seeds)
        self.budget = budget
        self._perf: dict[tuple, np.ndarray] = {}
        place = {seed: k for k, seed in enumerate(seeds)}
        of_run = ("kind", "languages", "budget", "tested")
        for *run, pool, seed, perf in zip(
            *(runs[name].tolist() for name in (*of_run, "pool", "seed", "perf")),
            strict=True,
        ):
            values = self._perf.setdefault((*run, *pool), self.nothing())
            values[place[seed]] = perf
        self.targets = sorted({key[3] for key in self._perf})

    def nothing(self) -> np.ndarray:
        """Return no score in any seed."""
        return np.full(len(self.seeds), np.nan)

    def single(self, trained: str, tested: str, budget: int) -> np.ndarray:
        """Return Perf of single runs, or of the double runs that are the same."""
        plain = (POOL_SIZES[0], JOINT, 0)
        found = self._perf.get(("single", trained, budget, tested, *plain))
        if found is None and budget == 2 * self.budget:
            found = self._perf.get(("double", trained, self.budget, tested, *plain))
        return self.nothing() if found is None else found

    def pool(
        self, pools: Sequence[ChosenPool], size: str, method: str, shots: int
    ) -> np.ndarray:
        """Return Perf of a pool, whose donors may differ from seed to seed."""
        values = self.nothing()
        for pool in pools:
            alone = len(pool.donors) == 1 and method == JOINT
            donors = "+".join(pool.donors)
            if alone and not shots:
                found = self.single(donors, pool.target, self.budget)
            else:
                key = ("pool", donors, self.budget, pool.target)
                size_of = POOL_SIZES[0] if alone else size
                found = self._perf.get((*key, size_of, method, shots), self.nothing())
            is_of = [pool.seed in (None, seed) for seed in self.seeds]
            values = np.where(is_of, found, values)
        return values

    def curve(self, target: str) -> TargetCurve:
        """Return a target's learning curve."""
        sizes = {k[2] for k in self._perf if k[0] == "single" and k[1] == k[3]}
        at = sorted({*sizes, 2 * self.budget})
        perf = np.stack([self.single(target, target, n) for n in at])
        kept = np.isfinite(perf).any(axis=1)
        return TargetCurve(
            tuple(n for n, keep in zip(at, kept, strict=True) if keep),
            perf[kept],
        )

    def variants(self) -> list[tuple[str, str, int]]:
        """Return sizes, methods and shots of all pools."""
        found = {key[4:] for key in self._perf if key[0] == "pool"}
        return sorted({*found, *((size, method, 0) for size, method, _ in found)})

    def donors(self, target: str) -> list[str]:
        """Return the languages whose single run of N was tested on the target."""
        return sorted(
            key[1]
            for key in self._perf
            if key[0] == "single"
            and key[2:4] == (self.budget, target)
            and key[1] != target
        )


@dataclass(frozen=True)
class _Way:
    """A way to a model for a target, see :class:`PoolScore`; Perf by seed."""

    pool: str
    donors: tuple[str, ...]
    size: str
    method: str
    shots: int
    perf: np.ndarray
    against: Mapping[str, np.ndarray] = field(default_factory=dict)


def _of_target(
    tested: _Tested,
    target: str,
    chosen: Sequence[ChosenPool],
    settings: IntervalSettings,
) -> list[PoolScore]:
    level, curve = settings.confidence, tested.curve(target)
    singles = {
        j: tested.single(j, target, tested.budget) for j in tested.donors(target)
    }
    means = {j: mean_with_interval(x, level)[0] for j, x in singles.items()}
    against_all = {"single": tested.single(target, target, tested.budget)}
    if means:
        against_all["best_donor"] = singles[max(means, key=lambda j: means[j])]
    scores = []
    for way in (*_alone(tested, target, singles), *_pooled(tested, target, chosen)):
        if not np.isfinite(way.perf).any():
            continue
        by_seed = {
            name: way.perf - other
            for name, other in {**against_all, **way.against}.items()
            if np.isfinite(way.perf - other).any()
            and not (name == "best_donor" and way.pool == DONOR)
        }
        scores.append(
            PoolScore(
                *(target, way.pool, way.donors, way.size, way.method, way.shots),
                int(np.isfinite(way.perf).sum()),
                mean_with_interval(way.perf, level),
                {name: mean_with_interval(x, level) for name, x in by_seed.items()},
                equivalent(curve, way.perf, settings),
                by_seed,
            )
        )
    return scores


def _alone(
    tested: _Tested, target: str, singles: Mapping[str, np.ndarray]
) -> Iterator[_Way]:
    """Yield single donors, and shots from the encoder alone."""
    plain = (POOL_SIZES[0], JOINT)
    for donor, perf in singles.items():
        yield _Way(DONOR, (donor,), *plain, 0, perf)
    for m in tested.curve(target).sizes:
        if m not in (tested.budget, 2 * tested.budget):
            yield _Way(ENCODER, (), *plain, m, tested.single(target, target, m))


def _pooled(
    tested: _Tested, target: str, chosen: Sequence[ChosenPool]
) -> Iterator[_Way]:
    """Yield pools, without and with shots."""
    by_name: dict[str, list[ChosenPool]] = {}
    for pool in chosen:
        by_name.setdefault(pool.pool, []).append(pool)
    for name, pools in by_name.items():
        random = by_name.get(f"random:{len(pools[0].donors)}", pools)
        is_one = len({pool.donors for pool in pools}) == 1
        for size, method, shots in tested.variants():
            if len(pools[0].donors) == 1 and size != POOL_SIZES[0]:
                continue
            against = {}
            if random is not pools:
                against["random"] = tested.pool(random, size, method, shots)
            if shots:
                against["no_shots"] = tested.pool(pools, size, method, 0)
                against["encoder"] = tested.single(target, target, shots)
            perf = tested.pool(pools, size, method, shots)
            donors = pools[0].donors if is_one else ()
            yield _Way(name, donors, size, method, shots, perf, against)


def write_pool_results(path: Path, results: PoolResults) -> None:
    """Write ``pools.tsv``."""
    limits = ("", "_low", "_high")
    header = ["target", "pool", "donors", "size", "method", "shots", "n_seeds"]
    header += [f"perf{end}" for end in limits]
    header += [f"equivalent{end}" for end in limits]
    header += [f"{name}_difference{end}" for name in COMPARED for end in limits]
    rows = [header]
    for one in results.scores:
        worth = one.equivalent
        numbers = (worth.n, worth.low, worth.high) if worth else _NOTHING
        fields = [one.target, one.pool, "+".join(one.donors), one.size, one.method]
        fields += [str(one.shots), str(one.n_seeds), *map(number_text, one.perf)]
        fields += [_worth_text(worth, n) for n in numbers]
        fields += [number_text(x) for name in COMPARED for x in one.difference(name)]
        rows.append(fields)
    write_rows(path, rows)


def _worth_text(worth: Equivalent | None, n: float) -> str:
    if worth is None or math.isnan(n):
        return ""
    if math.isinf(n):
        return f">{worth.largest}"
    return number_text(n) if n > 0 else f"<{worth.smallest}"
