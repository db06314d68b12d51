"""The runs of targets without data: pools of donors, and few utterances after them.

A pool's N utterances of donor j are those of single(j), its head is that of all runs of
the seed, and m shots of target i are the first m of single(i): differences between
runs of one seed are paired. A pool that several targets share is trained once. Beside
the shots after a pool stand single runs of as many utterances, from the encoder alone.
"""

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType

from espnet2_cltm.errors import UserError
from espnet2_cltm.experiment.plan import PlannedStrategy, Run
from espnet2_cltm.language_codes import is_donor_only
from espnet2_cltm.pooling.methods import Joint, Method, Rounds
from espnet2_cltm.pools import ChosenPool, PoolOptions
from espnet2_cltm.results_format import JOINT

Tests = dict[Run, set[str]]
"""Languages that runs are tested on."""

JOINT_ALONE: Mapping[str, Method] = MappingProxyType({JOINT: Joint()})


def pool_runs(
    task: str,
    chosen: Sequence[ChosenPool],
    options: PoolOptions,
    targets: Iterable[str],
    budget: int,
    seeds: Iterable[int],
    steps: str,
    strategies: Sequence[PlannedStrategy],
    methods: Mapping[str, Method] = JOINT_ALONE,
) -> Tests:
    """Return the runs of targets without data, in the order in which they are made.

    Runs are ordered by seed, and shots follow the pool whose model they go on with.

    Args:
        task: Name of the task.
        chosen: Donors of each target.
        options: What is asked for.
        targets: The targets.
        budget: N.
        seeds: Seeds of the runs.
        steps: Design of the steps, ``data`` or ``equal``.
        strategies: Strategies of the runs.
        methods: Ways to make a pool's model, by name.

    Raises:
        UserError: N cannot be divided among the donors of a pool, or they are too few
            for a method.
    """
    tests: Tests = {}
    targets = sorted(targets)
    # Twice N are there already: the double run is the same training.
    singles = [m for m in options.few if m != 2 * budget]
    for seed in sorted(set(seeds)):
        for strategy in strategies:
            more = (seed, steps, strategy.name, strategy.is_own)
            if not strategy.alone_as:
                for target in targets:
                    for m in singles:
                        run = Run(task, "single", (target,), m, *more)
                        tests.setdefault(run, set()).add(target)
            for pool in _of_seed(chosen, seed):
                if strategy.alone_as and len(pool.donors) == 1:
                    continue
                for method in methods.values():
                    if isinstance(method, Rounds):
                        method.for_silos(len(pool.donors))
                for size in options.sizes:
                    _require_share(pool, size, budget)
                    for name in methods:
                        run = Run(
                            *(task, "pool", pool.donors, budget, *more),
                            *(size, name),
                        ).without_pool
                        if strategy.alone_as and run.needs:
                            continue  # its single runs are another strategy's
                        for needed in run.needs:
                            own = needed.languages[0]
                            tested = pool.target if is_donor_only(own) else own
                            tests.setdefault(needed, set()).add(tested)
                        tests.setdefault(run, set()).add(pool.target)
                        for m in options.few:
                            after = Run(
                                *(task, "pool", pool.donors, budget, *more),
                                *(size if run.kind == "pool" else "each", name),
                                *(pool.target, m),
                            )
                            tests.setdefault(after, set()).add(pool.target)
    return tests


def _of_seed(chosen: Iterable[ChosenPool], seed: int) -> list[ChosenPool]:
    """Return the pools of a seed; targets that share donors follow one another."""
    of_seed = (one for one in chosen if one.seed in (None, seed))
    return sorted(of_seed, key=lambda one: (len(one.donors), one.donors, one.target))


def _require_share(pool: ChosenPool, size: str, budget: int) -> None:
    k = len(pool.donors)
    if size == "total" and budget < k:
        raise UserError(
            f"--pool_sizes total: N = {budget} cannot be divided among the {k} donors "
            f"of {pool.pool}: raise --budget to {k} or more, ask for fewer donors, or "
            "leave total out."
        )
