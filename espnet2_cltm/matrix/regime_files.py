"""What a search for the dynamic regime found: its files, and text to print.

``regime.json``, None (null) standing for not available throughout:

``version results_file results_sha256 task metric metric_label seeds notes``
    where the numbers come from.
``settings``
    ``tau z epsilon threshold smoothing drop_outliers``.
``languages``
    by code: ``name family``; ``curve`` (lists ``n n_seeds mean se``, N ascending);
    ``gains`` (lists ``n n_seeds gain gain_se relative_gain noise slope ci_min
    limit``, every N whose double was measured). ``noise`` is null with one seed and
    where all seeds gain the same; ``limit`` names what keeps CI_min below the
    threshold: ``no_gain``, ``relative_gain``, ``noise``, ``slope``, or null.
``by_n``
    lists over N with its double: ``n median n_languages n_reaching is_in_regime
    is_outlier mean_perf mean_gain``.
``smoothed``
    lists ``n ci_min``: the curve through the medians; ``spans``: its stretches
    ``[first N, last N]`` at or above the threshold.
``regime``
    every N of the grid in it; ``suggested_n`` (null where there is none), ``best_n``
    (highest median), ``conclusion`` and ``advice``, sentences.

``learning_curves.tsv``: one line a language and N, with the gain to 2N where known;
tab-separated ``language n n_seeds perf perf_se gain gain_se n_paired relative_gain
noise slope ci_min``. ``perf`` is the mean over all seeds, ``gain`` that of Perf(2N) -
Perf(N) over the ``n_paired`` seeds that have both. An empty field is not available;
``inf`` is the noise index of a gain that is the same in every seed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from types import NoneType
from typing import Any

import numpy as np

from espnet2_cltm import __version__
from espnet2_cltm.counting import counted
from espnet2_cltm.errors import UserError
from espnet2_cltm.files import for_json, read_json, write_rows
from espnet2_cltm.matrix.languages import Language
from espnet2_cltm.matrix.matrix_files import number_text
from espnet2_cltm.matrix.regime import (
    INDICES,
    NO_GAIN,
    GainIndices,
    LearningCurves,
    Regime,
    limiting_index,
    standard_error,
)
from espnet2_cltm.matrix.scores import mean_over_seeds

INDEX_TITLES = {
    NO_GAIN: "no gain",
    "relative_gain": "relative gain",
    "noise": "noise",
    "slope": "slope",
}


def summarise_regime(
    curves: LearningCurves, regime: Regime, languages: Mapping[str, Language]
) -> dict:
    """Collect what ``regime.json`` holds."""
    source = curves.source
    found = {
        "version": __version__,
        "results_file": source.file,
        "results_sha256": source.sha256,
        "task": source.task,
        "metric": source.metric,
        "metric_label": source.metric_title,
        "seeds": list(curves.seeds),
        "notes": list(regime_notes(curves, regime)),
        "settings": asdict(regime.settings),
        "languages": _languages(curves, regime, languages),
        "by_n": {
            "n": list(regime.indices.budgets),
            "median": regime.median.tolist(),
            "n_languages": regime.n_languages.tolist(),
            "n_reaching": regime.n_reaching.tolist(),
            "is_in_regime": regime.is_in_regime.tolist(),
            "is_outlier": regime.is_outlier.tolist(),
            "mean_perf": np.nanmean(regime.indices.perf, axis=0).tolist(),
            "mean_gain": np.nanmean(regime.indices.gain, axis=0).tolist(),
        },
        "smoothed": {
            "n": regime.curve_n.tolist(),
            "ci_min": regime.curve.tolist(),
            "spans": [list(span) for span in regime.spans],
        },
        "regime": budgets_in_regime(regime),
        "suggested_n": regime.suggested,
        "best_n": regime.best,
        "conclusion": regime_conclusion(curves, regime),
        "advice": list(regime_advice(curves, regime)),
    }
    return for_json(found)


def budgets_in_regime(regime: Regime) -> list[int]:
    """List every N of the grid that is in the regime."""
    return [
        n
        for n, is_in in zip(regime.indices.budgets, regime.is_in_regime, strict=True)
        if is_in
    ]


def regime_conclusion(curves: LearningCurves, regime: Regime) -> str:
    """Return one sentence that says what N to take, or that there is none."""
    threshold = f"{regime.settings.threshold:g}"
    at = regime.indices.budgets.index(regime.suggested or regime.best)
    median = f"{regime.median[at]:.2f}"
    if regime.suggested is None:
        return (
            f"No N of the grid is in the dynamic regime: the median of CI_min is "
            f"highest at N = {regime.best} ({median}), below {threshold}."
        )
    within = " ".join(map(str, budgets_in_regime(regime)))
    return (
        f"Suggested: N = {regime.suggested} {curves.source.unit} (median of CI_min "
        f"{median}; {regime.n_reaching[at]} of {regime.n_languages[at]} languages "
        f"reach {threshold}). In the dynamic regime: N = {within}."
    )


def regime_advice(curves: LearningCurves, regime: Regime) -> tuple[str, ...]:
    """Return what is in the way where no N is in the regime, and where to look on."""
    budgets = regime.indices.budgets
    at = budgets.index(regime.suggested or regime.best)
    sentences = []
    if regime.suggested is None:
        limits = limiting_index(regime.indices, regime.settings.threshold)[:, at]
        counts = {name: int((limits == name).sum()) for name in (NO_GAIN, *INDICES)}
        main = max(counts, key=lambda name: counts[name])
        found = ", ".join(
            f"{INDEX_TITLES[name]} in {count}"
            for name, count in counts.items()
            if count
        )
        sentences.append(
            f"At N = {budgets[at]}, of {regime.n_languages[at]} languages this keeps "
            f"CI_min below {regime.settings.threshold:g}: {found}."
        )
        sentences.append(_remedy(curves, regime, main, at))
    if len(budgets) == 1:
        sentences.append(
            "The grid has one N with its double: another N, smaller or larger, may be "
            "better."
        )
    elif at == 0:
        sentences.append(
            f"N = {budgets[at]} is the smallest of the grid: smaller N may be better."
        )
    elif at == len(budgets) - 1:
        sentences.append(
            f"N = {budgets[at]} is the largest of the grid with its double: larger N "
            "may be better."
        )
    return tuple(sentences)


def regime_notes(curves: LearningCurves, regime: Regime) -> tuple[str, ...]:
    """Return sentences about what was left out."""
    found = list(curves.source.notes)
    indices = regime.indices
    one_seed = (indices.n_seeds == 1).any(axis=1)
    if one_seed.any():
        langs = " ".join(np.array(curves.languages)[one_seed])
        found.append(
            "One seed gives no standard error: the noise index is left out where there "
            f"is one ({langs}), and CI_min is the smaller of the other two."
        )
    largest = indices.budgets[-1]
    for lang, values in zip(curves.languages, indices.ci_min, strict=True):
        there = np.flatnonzero(np.isfinite(values))
        if not len(there):
            found.append(f"{lang} has no N together with its double: it has no part.")
        elif indices.budgets[there[-1]] < largest:
            found.append(
                f"{lang} has gains up to N = {indices.budgets[there[-1]]} only: larger "
                "N rest on the other languages."
            )
    dropped = [
        str(n)
        for n, drop in zip(indices.budgets, regime.is_outlier, strict=True)
        if drop
    ]
    if dropped:
        found.append(
            f"N = {' '.join(dropped)}: the median of CI_min lies beyond Q3 + 1.5 IQR "
            "of all N; dropped from curve and suggestion."
        )
    return tuple(found)


def regime_text(curves: LearningCurves, regime: Regime) -> str:
    """Write table and conclusion for the terminal."""
    label = curves.source.metric_title
    indices = regime.indices
    lines = [
        f"Dynamic regime, {curves.source.task}, {label}: "
        f"{counted(len(curves.languages), 'language')}, "
        f"{counted(len(curves.seeds), 'seed')}",
        f"{'N':>7} {'2N':>7} {'languages':>9} {'Perf(N)':>8} {'gain':>8} "
        f"{'CI_min':>7}  reach {regime.settings.threshold:g}   (CI_min: median)",
    ]
    for k, n in enumerate(indices.budgets):
        mark = "  in the regime" if regime.is_in_regime[k] else ""
        mark = "  outlier" if regime.is_outlier[k] else mark
        lines.append(
            f"{n:>7} {2 * n:>7} {regime.n_languages[k]:>9} "
            f"{np.nanmean(indices.perf[:, k]):>8.3f} "
            f"{np.nanmean(indices.gain[:, k]):>+8.3f} {regime.median[k]:>7.2f}  "
            f"{regime.n_reaching[k]} of {regime.n_languages[k]}{mark}"
        )
    lines += [
        regime_conclusion(curves, regime),
        *regime_advice(curves, regime),
        *regime_notes(curves, regime),
    ]
    return "\n".join(lines)


def _remedy(curves: LearningCurves, regime: Regime, main: str, at: int) -> str:
    if main == "noise":
        noise = regime.indices.noise[:, at]
        noise = noise[np.isfinite(noise) & (noise > 0)]
        needed = len(curves.seeds) * float(np.median(noise)) ** -2 if len(noise) else 0
        more = f"about {int(np.ceil(needed))} in place of {len(curves.seeds)}"
        return (
            "The gain is lost in the differences between seeds: take more seeds"
            f"{f' ({more})' if needed else ''} or larger test sets."
        )
    if main == NO_GAIN:
        return (
            "Twice the data does not help: the curves are flat there, or the training "
            "configuration does not learn; look at the curves, and at other N."
        )
    return (
        "The gain is too small to be divided by: the curves are nearly flat there; "
        "try N where they are steeper, or lower --tau and --epsilon if many seeds make "
        "small gains certain."
    )


def _languages(
    curves: LearningCurves, regime: Regime, languages: Mapping[str, Language]
) -> dict[str, dict]:
    mean = mean_over_seeds(curves.perf)
    error = standard_error(curves.perf)
    count = np.isfinite(curves.perf).sum(axis=-1)
    limits = limiting_index(regime.indices, regime.settings.threshold)
    indices = regime.indices
    summary = {}
    for i, code in enumerate(curves.languages):
        there = np.flatnonzero(count[i])
        gained = np.flatnonzero(indices.n_seeds[i])
        summary[code] = {
            "name": languages[code].name,
            "family": languages[code].family,
            "curve": {
                "n": [curves.sizes[k] for k in there],
                "n_seeds": count[i, there].tolist(),
                "mean": mean[i, there].tolist(),
                "se": error[i, there].tolist(),
            },
            "gains": {
                "n": [indices.budgets[k] for k in gained],
                "n_seeds": indices.n_seeds[i, gained].tolist(),
                **{
                    name: getattr(indices, name)[i, gained].tolist()
                    for name in ("gain", "gain_se", *INDICES, "ci_min")
                },
                "limit": [limits[i, k] or None for k in gained],
            },
        }
    return summary


CURVE_COLUMNS = (
    *("language", "n", "n_seeds", "perf", "perf_se", "gain", "gain_se", "n_paired"),
    *(*INDICES, "ci_min"),
)


def write_learning_curves(
    path: Path, curves: LearningCurves, indices: GainIndices
) -> None:
    """Write the table.

    Raises:
        UserError: The file can't be written.
    """
    mean = mean_over_seeds(curves.perf)
    error = standard_error(curves.perf)
    count = np.isfinite(curves.perf).sum(axis=-1)
    column = {n: k for k, n in enumerate(indices.budgets)}
    rows: list[Sequence[str]] = [CURVE_COLUMNS]
    for i, language in enumerate(curves.languages):
        for k in np.flatnonzero(count[i]):
            n = curves.sizes[k]
            gain = [""] * (len(CURVE_COLUMNS) - 5)
            if n in column and indices.n_seeds[i, column[n]]:
                at = i, column[n]
                numbers = (
                    number_text(getattr(indices, name)[at])
                    for name in ("gain", "gain_se", *INDICES, "ci_min")
                )
                gain = [next(numbers), next(numbers), str(indices.n_seeds[at])]
                gain += numbers
            known = (number_text(mean[i, k]), number_text(error[i, k]))
            rows.append([language, str(n), str(count[i, k]), *known, *gain])
    write_rows(path, rows)


NUMBER = (int, float, NoneType)
# What a reader of the file relies on: types by name, ``...`` for any name, one type in
# a list for any number of them. Lists of numbers beside each other have one length.
SHAPE = {
    "task": str,
    "metric_label": str,
    "suggested_n": (int, NoneType),
    "conclusion": str,
    "advice": [str],
    "notes": [str],
    "settings": {"threshold": (int, float)},
    "by_n": {
        "n": [NUMBER],
        "median": [NUMBER],
        "n_languages": [NUMBER],
        "n_reaching": [NUMBER],
        "is_in_regime": [NUMBER],
        "is_outlier": [NUMBER],
    },
    "smoothed": {"n": [NUMBER], "ci_min": [NUMBER], "spans": [[NUMBER, NUMBER]]},
    "languages": {
        ...: {
            "name": str,
            "curve": {
                "n": [NUMBER],
                "mean": [NUMBER],
                "se": [NUMBER],
                "n_seeds": [NUMBER],
            },
        }
    },
}


def read_regime(path: Path, task: str) -> dict[str, Any]:
    """Read what a search for the dynamic regime found.

    Args:
        path: ``regime.json``.
        task: Task that it has to be of.

    Raises:
        UserError: The file can't be read, is another file, or is of another task.
    """
    remedy = "find the regime again, or leave --regime out"
    content = read_json(path, remedy)
    wrong = _what_is_wrong(content, SHAPE)
    if wrong:
        raise UserError(f"{path} is not a regime.json ({wrong}): {remedy}.")
    if content["task"] != task:
        raise UserError(
            f"{path} is of task {content['task']}, the matrix of {task}: give the "
            f"regime.json of {task}, or leave --regime out."
        )
    return content


def _what_is_wrong(content: Any, shape: Any, where: str = "") -> str:
    """Name the first part that is not of the shape wanted; empty if none."""
    if isinstance(shape, dict):
        if not isinstance(content, dict):
            return f"{where or 'it'} is not a table"
        lengths = set()
        for name in content if ... in shape else shape:
            if name not in content:
                return f"{where or 'it'} has no {name}"
            wanted = shape.get(name, shape.get(...))
            wrong = _what_is_wrong(content[name], wanted, f"{where}.{name}".lstrip("."))
            if wrong:
                return wrong
            if wanted == [NUMBER]:
                lengths.add(len(content[name]))
        return f"{where} has lists of different lengths" if len(lengths) > 1 else ""
    if isinstance(shape, list):
        if not isinstance(content, list) or len(shape) not in (1, len(content)):
            return f"{where} is not such a list"
        wrongs = (_what_is_wrong(part, shape[0], where) for part in content)
        return next(filter(None, wrongs), "")
    return "" if isinstance(content, shape) else f"{where} is of another type"
