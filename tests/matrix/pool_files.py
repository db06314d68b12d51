"""Invented results of targets without data."""

from pathlib import Path

from espnet2_cltm.files import write_text
from espnet2_cltm.pools import ChosenPool, write_pools
from tests.matrix.results_files import perf_rows, write_results

LANGUAGES = ("ca", "es", "gl", "pt")
BUDGET, SEEDS, FEW = 8, (42, 43, 44), (2, 4)
GOOD = 0.06  # what a pool without shots has above single(N)


def curve(n: int) -> float:
    """Give Perf of single runs: 0.1 more for every factor 2."""
    return 0.5 + 0.1 * {2: 0, 4: 1, 8: 2, 16: 3}[n]


def noise(seed: int) -> float:
    return (seed - 43) * 0.01


def perf(kind: str, tested: str, donor: str, seed: int) -> float:
    value = {"single": 8, "double": 16, "pair": 8}[kind]
    if kind == "single" and tested != donor:
        return 0.55 + noise(seed) + (0.02 if donor == "pt" else 0.0)
    return curve(value) + noise(seed) + (0.05 if kind == "pair" else 0.0)


def row(
    kind: str,
    languages: str,
    budget: int,
    seed: int,
    tested: str,
    value: float,
    shots: int = 0,
) -> list[str]:
    """Make a line of ``results.tsv``."""
    name = f"gender.{kind}.{languages}.n{budget}.{tested}.m{shots}.s{seed}"
    fields = [name, "gender", kind, languages, budget, seed, tested]
    fields += ["macro_f1", repr(value), 200, "data", "full", "each", "joint", shots]
    return list(map(str, fields))


def write_pool_experiment(root: Path) -> Path:
    """Write results and pools of every target; give the path of ``results.tsv``."""
    rows = [
        [*line, "data", "full", "each", "joint", "0"]
        for line in perf_rows(LANGUAGES, SEEDS, perf, budget=BUDGET)
    ]
    chosen = []
    for target in LANGUAGES:
        donors = tuple(lang for lang in LANGUAGES if lang != target)
        chosen.append(ChosenPool(target, "all", donors))
        for seed in SEEDS:
            chosen.append(ChosenPool(target, "random:2", donors[:2], seed))
            for m in FEW:
                value = curve(m) + noise(seed)
                rows.append(row("single", target, m, seed, target, value))
            together = "+".join(donors)
            for m in (0, *FEW):
                value = curve(BUDGET) + GOOD + 0.01 * m + noise(seed)
                rows.append(row("pool", together, BUDGET, seed, target, value, m))
            value = 0.6 + noise(seed)
            few = "+".join(donors[:2])
            rows.append(row("pool", few, BUDGET, seed, target, value))
    write_pools(root / "data" / "gender" / "pools.tsv", chosen)
    path = write_results(root / "results.tsv", rows)
    write_text(root / "experiment.yaml", "corpus: demo\n")
    return path
