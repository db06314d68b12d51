"""Invented results, as stage 5 would write them."""

from collections.abc import Callable, Iterable
from pathlib import Path

from espnet2_cltm.results_format import RESULT_COLUMNS


def perf_rows(
    languages: Iterable[str],
    seeds: Iterable[int],
    perf: Callable[[str, str, str, int], float],
    metric: str = "macro_f1",
    task: str = "gender",
    budget: int = 60,
) -> list[list[str]]:
    """Make all lines of an experiment.

    Args:
        languages: Codes.
        seeds: Training seeds.
        perf: Gives the value for kind, tested language, donor (the language trained on
            for single and double runs) and seed.
        metric: Name of the metric.
        task: Name of the task.
        budget: N.
    """
    languages = sorted(languages)
    rows = []
    for seed in seeds:
        for i in languages:
            runs = [("single", i, j, i) for j in languages] + [("double", i, i, i)]
            for j in languages:
                if i < j:
                    runs += [("pair", f"{i}+{j}", i, j), ("pair", f"{i}+{j}", j, i)]
            for kind, trained, tested, donor in runs:
                value = perf(kind, tested, donor, seed)
                rows.append(
                    [
                        f"{task}_{kind}_{trained}_{budget}_{seed}",
                        task,
                        kind,
                        trained,
                        str(budget),
                        str(seed),
                        tested,
                        metric,
                        repr(float(value)),
                        "200",
                    ]
                )
    return rows


def write_results(path: Path, rows: Iterable[list[str]]) -> Path:
    """Write lines under the header of ``results.tsv``, or an older one."""
    rows = list(rows)
    header = RESULT_COLUMNS[: max(map(len, rows), default=None)]
    lines = ["\t".join(row) for row in [header, *rows]]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path
