"""What a search for the dynamic regime found: ``regime.json``, and text to print.

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
"""

from collections.abc import Mapping

import numpy as np

from espnet2_cltm import __version__
from espnet2_cltm.matrix.languages import Language
from espnet2_cltm.matrix.metrics import BUDGET_UNITS, METRICS
from espnet2_cltm.matrix.regime import NO_GAIN, Regime, limiting_index
from espnet2_cltm.matrix.regime_indices import INDICES, standard_error
from espnet2_cltm.matrix.regime_input import LearningCurves
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
    source, settings = curves.source, regime.settings
    return {
        "version": __version__,
        "results_file": source.file,
        "results_sha256": source.sha256,
        "task": source.task,
        "metric": source.metric,
        "metric_label": METRICS[source.metric].label,
        "seeds": list(curves.seeds),
        "notes": list(notes(curves, regime)),
        "settings": {
            "tau": settings.indices.tau,
            "z": settings.indices.z,
            "epsilon": settings.indices.epsilon,
            "threshold": settings.threshold,
            "smoothing": settings.smoothing,
            "drop_outliers": settings.drop_outliers,
        },
        "languages": _languages(curves, regime, languages),
        "by_n": {
            "n": list(regime.indices.budgets),
            "median": _numbers(regime.median),
            "n_languages": regime.n_languages.tolist(),
            "n_reaching": regime.n_reaching.tolist(),
            "is_in_regime": regime.is_in_regime.tolist(),
            "is_outlier": regime.is_outlier.tolist(),
            "mean_perf": _numbers(np.nanmean(regime.indices.perf, axis=0)),
            "mean_gain": _numbers(np.nanmean(regime.indices.gain, axis=0)),
        },
        "smoothed": {
            "n": _numbers(regime.curve_n),
            "ci_min": _numbers(regime.curve),
            "spans": [list(span) for span in regime.spans],
        },
        "regime": budgets_in_regime(regime),
        "suggested_n": regime.suggested,
        "best_n": regime.best,
        "conclusion": conclusion(curves, regime),
        "advice": list(advice(curves, regime)),
    }


def budgets_in_regime(regime: Regime) -> list[int]:
    """List every N of the grid that is in the regime."""
    return [
        n
        for n, is_in in zip(regime.indices.budgets, regime.is_in_regime, strict=True)
        if is_in
    ]


def conclusion(curves: LearningCurves, regime: Regime) -> str:
    """Say in one sentence what N to take, or that there is none."""
    unit = BUDGET_UNITS.get(curves.source.task, "utterances")
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
        f"Suggested: N = {regime.suggested} {unit} (median of CI_min {median}; "
        f"{regime.n_reaching[at]} of {regime.n_languages[at]} languages reach "
        f"{threshold}). In the dynamic regime: N = {within}."
    )


def advice(curves: LearningCurves, regime: Regime) -> tuple[str, ...]:
    """Say what is in the way where no N is in the regime, and where to look further."""
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


def notes(curves: LearningCurves, regime: Regime) -> tuple[str, ...]:
    """Say what was left out."""
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
    label = METRICS[curves.source.metric].label
    indices = regime.indices
    lines = [
        f"Dynamic regime, {curves.source.task}, {label}: "
        f"{len(curves.languages)} languages, {len(curves.seeds)} seed(s)",
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
        conclusion(curves, regime),
        *advice(curves, regime),
        *notes(curves, regime),
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
                "mean": _numbers(mean[i, there]),
                "se": _numbers(error[i, there]),
            },
            "gains": {
                "n": [indices.budgets[k] for k in gained],
                "n_seeds": indices.n_seeds[i, gained].tolist(),
                **{
                    name: _numbers(getattr(indices, name)[i, gained])
                    for name in ("gain", "gain_se", *INDICES, "ci_min")
                },
                "limit": [limits[i, k] or None for k in gained],
            },
        }
    return summary


def _numbers(values: np.ndarray) -> list[float | None]:
    """Turn an array into a list for JSON, which knows neither NaN nor infinity."""
    return [float(value) if np.isfinite(value) else None for value in values]
