"""The section on the layers of the encoder."""

from typing import Any

import numpy as np
import pandas as pd
from markupsafe import Markup

from espnet2_cltm.matrix.languages import family_of
from espnet2_cltm.report.contents import Report
from espnet2_cltm.report.layers import (
    CHANGE,
    PANELS,
    TO_DONORS,
    TO_DOUBLE,
    layer_curves,
    nearer_to_double,
    weights_by_family,
)
from espnet2_cltm.report.page.section import chart, folded, paragraphs, table
from espnet2_cltm.report.wording import MINUS


def layers_section(report: Report) -> str | None:
    """Show what runs did to each layer, and what a donor does of it."""
    layers = report.evidence.layers
    if layers is None:
        return None
    shown = {f"{title}: {kind}": found for title, kind, found in _curves(layers)}
    for found in layer_curves(layers, TO_DONORS).values():
        shown[f"1 {MINUS} CKA of pairs with other donors"] = found
    states = sorted({at for found in shown.values() for at in found.index})
    rows = [
        (f"{at:g}", *(_number(found["mean"].get(at)) for found in shown.values()))
        for at in states
    ]
    return (
        paragraphs(
            [
                "Hidden state 0 enters the first layer, k leaves the k-th. Means over "
                "seeds, donors and languages; shaded, from the lowest to the highest "
                "language.",
                *_findings(report, layers),
            ]
        )
        + chart("layers-chart", "Likeness and probes by hidden state", "wide chart")
        + folded("As a table", table("By hidden state", ("hidden state", *shown), rows))
        + _donors(report, layers)
        + _weights(report, layers)
    )


def _curves(layers: pd.DataFrame) -> list[tuple[str, str, pd.DataFrame]]:
    return [
        (title, kind, found)
        for name, title in PANELS.items()
        for kind, found in layer_curves(layers, name).items()
    ]


def _findings(report: Report, layers: pd.DataFrame) -> list[str]:
    lines = []
    change = layer_curves(layers, CHANGE)
    if "single" in change:
        most = change["single"]["mean"]
        at = _largest(most)
        lines.append(
            f"Single runs change hidden state {at:g} the most (1 - CKA = "
            f"{most[at]:.4f} with the pretrained encoder)."
        )
    nearer = nearer_to_double(layers)
    if len(nearer):
        means = nearer.groupby("at")["value"].mean()
        at = _largest(means.abs())
        of_targets = nearer[nearer["at"] == at].groupby("language")["value"].mean()
        is_nearer = means[at] > 0
        agreeing = int(((of_targets > 0) == is_nearer).sum())
        lines.append(
            f"Pairs are {'nearer to' if is_nearer else 'farther from'} the double run "
            f"of their target than its single run is, most in hidden state {at:g}: by "
            f"{abs(means[at]):.4f} in CKA, and so in {agreeing} of {len(of_targets)} "
            "targets. Where they are nearer, a donor's data change a state as more of "
            "the target's own data do."
        )
    return lines


def _largest(by_state: pd.Series) -> float:
    return float(by_state.index.to_numpy()[by_state.to_numpy().argmax()])


def _donors(report: Report, layers: pd.DataFrame) -> Markup:
    """Tell donors of the target's family from others."""
    nearer = nearer_to_double(layers)
    if not len(nearer):
        return Markup("")
    families = {code: family_of(one) for code, one in report.languages.items()}
    related = np.array(
        [
            families.get(target) is not None
            and families.get(target) == families.get(donor)
            for target, donor in zip(nearer["language"], nearer["donor"], strict=True)
        ]
    )
    groups = {"all donors": nearer}
    if related.any() and not related.all():
        groups["of the same family"] = nearer[related]
        groups["of other families"] = nearer[~related]
    means = {
        name: found.groupby("at")["value"].mean() for name, found in groups.items()
    }
    rows = [
        (f"{at:g}", *(_number(found.get(at), "+.4f") for found in means.values()))
        for at in sorted(set(nearer["at"]))
    ]
    caption = "CKA with the double run: pair - single"
    return table(caption, ("hidden state", *groups), rows)


def _weights(report: Report, layers: pd.DataFrame) -> Markup:
    weights = weights_by_family(layers, report.languages)
    if weights is None:
        return Markup("")
    rows = [
        (f"{at:g}", *(_number(x) for x in row))
        for at, row in zip(weights.index, weights.to_numpy(), strict=True)
    ]
    caption = "Learned weights of runs on one language, by its family"
    return table(caption, ("hidden state", *map(str, weights.columns)), rows)


def _number(value: float | None, form: str = ".4f") -> str:
    return "" if value is None or np.isnan(value) else f"{value:{form}}"


def layers_data(report: Report) -> list[dict[str, Any]]:
    """Return the curves to draw, a panel each."""
    layers = report.evidence.layers
    if layers is None:
        return []
    return [
        {
            "title": title,
            "kinds": {
                kind: {
                    "at": found.index.tolist(),
                    **{n: found[n].round(6).tolist() for n in ("mean", "low", "high")},
                }
                for kind, found in of_kinds.items()
            },
            "digits": 4,
            "from_zero": name in (CHANGE, TO_DOUBLE),
        }
        for name, title in PANELS.items()
        if (of_kinds := layer_curves(layers, name))
    ]
