"""Which layers change, and which a donor changes as the target's own data would.

The numbers of ``layers.tsv`` (``--layers true``) and their figure. Likeness is linear
CKA, close to 1 nearly everywhere, so that 1 - CKA is shown: 0 where nothing differs.
"""

from collections.abc import Mapping

import matplotlib.figure
import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from espnet2_cltm.matrix.languages import Language, family_of
from espnet2_cltm.report.colours import INK, OKABE_ITO
from espnet2_cltm.report.contents import Report
from espnet2_cltm.report.drawing import AXIS_SIZE, dress, frame, new_figure
from espnet2_cltm.report.evidence import by_kind
from espnet2_cltm.report.verification import KIND_COLOURS, LABEL_SIZE
from espnet2_cltm.report.wording import MINUS

WIDTH, PLOT_HEIGHT = 9.2, 2.5  # inches
PRETRAINED = "pretrained"
CHANGE, TO_DOUBLE, TO_DONORS = "cka_pretrained", "cka_double", "cka_donors"
PANELS = {
    CHANGE: f"1 {MINUS} CKA with the pretrained encoder",
    TO_DOUBLE: f"1 {MINUS} CKA with the double run",
    "task_probe": "probe of the task, accuracy",
    "language_probe": "probe of the language, accuracy",
}
"""Measures by layer, and what they are called."""

Curves = dict[str, pd.DataFrame]
"""By kind of run: ``mean``, ``low`` and ``high`` over languages, by hidden state."""


def layer_curves(layers: pd.DataFrame, name: str) -> Curves:
    """Return a measure by kind of run, of probes also before fine-tuning.

    Donors weigh the same in a language, languages in the mean.

    Args:
        layers: ``layers`` of :class:`~espnet2_cltm.report.evidence.Evidence`.
        name: One of the measures; of CKA, 1 - CKA is returned.
    """
    curves = by_kind(_of_languages(layers), name)
    if before := by_kind(_of_languages(layers), f"{name}_{PRETRAINED}"):
        curves = {PRETRAINED: next(iter(before.values())), **curves}
    if name not in (CHANGE, TO_DOUBLE, TO_DONORS):
        return curves
    return {
        kind: pd.DataFrame(
            {
                "mean": 1 - found["mean"],
                "low": 1 - found["high"],
                "high": 1 - found["low"],
            }
        )
        for kind, found in curves.items()
    }


def _of_languages(layers: pd.DataFrame) -> pd.DataFrame:
    keys = ["kind", "language", "measure", "at"]
    return layers.groupby(keys, as_index=False).agg(
        mean=("mean", "mean"), runs=("runs", "sum")
    )


def nearer_to_double(layers: pd.DataFrame) -> pd.DataFrame:
    """Return how much nearer to the double run a pair is than the single run is.

    Returns:
        Columns ``language``, ``donor``, ``at`` and ``value``, the difference of CKA:
        positive where the donor changed the hidden state as own data do.
    """
    found = layers[layers["measure"] == TO_DOUBLE]
    singles = found[found["kind"] == "single"].set_index(["language", "at"])["mean"]
    pairs = found[found["kind"] == "pair"]
    alone = singles.reindex(pd.MultiIndex.from_frame(pairs[["language", "at"]]))
    donors = [
        next(code for code in languages.split("+") if code != language)
        for languages, language in zip(
            pairs["languages"], pairs["language"], strict=True
        )
    ]
    values = pairs["mean"].to_numpy() - alone.to_numpy()
    table = pairs[["language", "at"]].assign(donor=donors, value=values)
    return table[np.isfinite(table["value"])]


def weights_by_family(
    layers: pd.DataFrame, languages: Mapping[str, Language]
) -> pd.DataFrame | None:
    """Return the learned layer weights of runs on one language, by its family.

    Returns:
        A column a family, a row a hidden state; None where no weights are learned.
    """
    found = layers[(layers["measure"] == "weight") & (layers["kind"] != "pair")]
    if not len(found):
        return None
    means = found.groupby(["language", "at"])["mean"].mean().unstack("at")
    families = [
        (family_of(languages[code]) or "no family") if code in languages else "others"
        for code in means.index
    ]
    return means.groupby(families).mean().T


def draw_layers(report: Report) -> matplotlib.figure.Figure | None:
    """Draw what runs did to each layer; None where that was not measured."""
    layers = report.evidence.layers
    if layers is None:
        return None
    curves = {name: layer_curves(layers, name) for name in PANELS}
    curves = {name: of_kinds for name, of_kinds in curves.items() if of_kinds}
    if not curves:
        return None
    weights = weights_by_family(layers, report.languages)
    places = [*curves, *(["weight"] if weights is not None else [])]
    rows = [places[k : k + 2] for k in range(0, len(places), 2)]
    mosaic = [row if len(row) == 2 else [*row, "."] for row in rows]
    figure = new_figure(WIDTH, gap=0.08)
    axes: dict[str, Axes] = figure.subplot_mosaic(mosaic)  # type: ignore[arg-type]
    for name, of_kinds in curves.items():
        for kind, found in of_kinds.items():
            at = found.index.to_numpy(dtype=float)
            colour = KIND_COLOURS.get(kind, OKABE_ITO[-1])
            style = "--" if kind == PRETRAINED else "-"
            axes[name].plot(
                at, found["mean"], style, color=colour, label=kind, marker="o", ms=3
            )
            axes[name].fill_between(
                at, found["low"], found["high"], color=colour, alpha=0.12, linewidth=0
            )
        _finish(axes[name], PANELS[name], at)
    if weights is not None:
        for k, family in enumerate(weights.columns):
            at = weights.index.to_numpy(dtype=float)
            colour = OKABE_ITO[k % len(OKABE_ITO)]
            axes["weight"].plot(
                at, weights[family], color=colour, label=family, marker="o", ms=3
            )
        _finish(axes["weight"], "learned weight, by family of the language", at)
    notes = [
        "Hidden state 0 enters the first layer, k leaves the k-th. Means over seeds, "
        "donors and languages; shaded, from the lowest to the highest language."
    ]
    title = f"What runs do to each layer, {report.source.task_title}"
    size = (None, PLOT_HEIGHT)
    frame(figure, axes[places[0]], size, title, report.subtitle, notes)
    return figure


def _finish(axes: Axes, title: str, at: np.ndarray) -> None:
    dress(axes)
    axes.set_title(title, loc="left", size=AXIS_SIZE, color=INK)
    axes.set_xlabel("hidden state", size=AXIS_SIZE)
    axes.set_xticks(at[:: max(len(at) // 8, 1)])
    axes.legend(loc="best", fontsize=LABEL_SIZE, frameon=False)
