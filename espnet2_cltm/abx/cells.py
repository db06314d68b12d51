"""Cells: which items are compared with which.

A triple asks whether X is nearer to A, of the same label, than to B, of another. A cell
holds all triples of the same labels, contexts and speakers:

* ``within``: A, B and X are of one speaker;
* ``across``: A and B are of one speaker, X of another;
* contexts ``within``: all have the same neighbours; ``any``: whatever they are.

Of languages, A and X are of one and B of another, so that B has other speakers than A;
A and X have two. All three share what ``match`` names, such as the gender.

As in ZeroSpeech and fastabx, a cell has at most so many items on each side, and of the
speakers of X at most so many are taken for each A and B. The draws depend on the seed,
the items and the names of labels, contexts and speakers, not on the order of anything.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from espnet2_cltm.errors import UserError
from espnet2_cltm.subsets import random_order

ON = ("phone", "language")
SPEAKERS = ("across", "within")
CONTEXTS = ("within", "any")
MATCH = "match"
"""Column of items, where there is one, that A, B and X share."""


@dataclass(frozen=True)
class Design:
    """What is compared.

    Attributes:
        on: ``phone`` or ``language``.
        speaker: ``across`` or ``within``.
        context: ``within`` or ``any``.
        max_group: Most items on each side of a cell; 0 for all.
        max_x_speakers: Most speakers of X for each A and B; 0 for all.
        seed: Seed of the draws under those two limits.

    Raises:
        UserError: The parts do not fit.
    """

    on: str = "phone"
    speaker: str = "across"
    context: str = "within"
    max_group: int = 10
    max_x_speakers: int = 5
    seed: int = 0

    def __post_init__(self) -> None:
        if self.on == "language" and self.speaker == "within":
            raise UserError(
                "--on language needs --speaker across: who speaks one language alone "
                "cannot be compared with himself in another."
            )


@dataclass(frozen=True)
class Cells:
    """Cells of a test, one an entry.

    Attributes:
        groups: Numbers of the items of each group.
        a: (cells,) group of A, and of X where ``is_symmetric``.
        b: (cells,) group of B.
        x: (cells,) group of X.
        labels: (cells, 2) label of A and X, and of B.
        contexts: (cells,) what A, B and X share beside the speaker.
        speakers: (cells, 2) speaker of A, and of X.
        is_symmetric: Whether A and X are the same items.
    """

    groups: list[np.ndarray]
    a: np.ndarray
    b: np.ndarray
    x: np.ndarray
    labels: np.ndarray
    contexts: np.ndarray
    speakers: np.ndarray
    is_symmetric: bool

    def __len__(self) -> int:
        return len(self.a)

    def n_triples(self) -> np.ndarray:
        """Return the (cells,) numbers of triples."""
        size = np.array([len(group) for group in self.groups])
        n_x = size[self.x] - 1 if self.is_symmetric else size[self.x]
        return size[self.a] * size[self.b] * n_x


def make_cells(items: pd.DataFrame, design: Design) -> Cells:
    """Make the cells of a test.

    Args:
        items: Items with :data:`.items.COLUMNS`, and :data:`MATCH` where something is
            to be shared.
        design: What is compared.

    Raises:
        UserError: No A, B and X can be found.
    """
    shared = [MATCH] if MATCH in items.columns else []
    shared += ["prev", "next"] if design.context == "within" else []
    items = items.reset_index(drop=True)
    sides = _group(items, ["label", *shared, "speaker"], design)
    groups = list(sides.pop("items"))
    others = sides
    if design.on == "language":
        others = _group(items, ["label", *shared], design)
        others["group"] += len(groups)
        groups += list(others.pop("items"))
    is_symmetric = design.speaker == "within"
    if is_symmetric:
        sides = sides[[len(groups[group]) >= 2 for group in sides["group"]]]
    b_shares = shared if design.on == "language" else [*shared, "speaker"]
    cells = _join(sides, others, b_shares, "_b")
    cells = cells[cells["label"] != cells["label_b"]]
    if is_symmetric:
        cells = cells.assign(group_x=cells["group"], speaker_x=cells["speaker"])
    else:
        cells = _join(cells, sides, ["label", *shared], "_x")
        cells = cells[cells["speaker"] != cells["speaker_x"]]
        cells = _limit_speakers(cells, [*shared, "label_b"], design)
    if not len(cells):
        raise UserError(_nothing_to_compare(items, design))
    context = cells[shared].astype(str).agg(" ".join, axis=1) if shared else ""
    return Cells(
        groups=groups,
        a=cells["group"].to_numpy(),
        b=cells["group_b"].to_numpy(),
        x=cells["group_x"].to_numpy(),
        labels=cells[["label", "label_b"]].to_numpy(str),
        contexts=np.broadcast_to(np.asarray(context, dtype=str), len(cells)),
        speakers=cells[["speaker", "speaker_x"]].to_numpy(str),
        is_symmetric=is_symmetric,
    )


def _group(items: pd.DataFrame, by: list[str], design: Design) -> pd.DataFrame:
    """Return a line for each group, with the numbers of its items, those drawn."""
    names = items["file"] + " " + items["onset"].map("{:.4f}".format)
    names += " " + items["offset"].map("{:.4f}".format)
    rank = {
        name: n for n, name in enumerate(random_order(set(names), design.seed, "abx"))
    }
    ordered = items.assign(place=names.map(rank)).sort_values(["place", *by])
    rows = []
    for key, numbers in ordered.groupby(by, sort=True).groups.items():
        drawn = numbers.to_numpy()[: design.max_group or None]
        rows.append((*(key if isinstance(key, tuple) else (key,)), drawn))
    groups = pd.DataFrame(rows, columns=[*by, "items"])
    return groups.assign(group=np.arange(len(groups)))


def _join(
    left: pd.DataFrame, right: pd.DataFrame, on: Sequence[str], suffix: str
) -> pd.DataFrame:
    """Pair lines that agree in ``on``; other columns of the right get the suffix."""
    renamed = {name: f"{name}{suffix}" for name in right.columns if name not in on}
    right = right.rename(columns=renamed)
    return left.merge(right, on=list(on)) if on else left.merge(right, how="cross")


def _limit_speakers(cells: pd.DataFrame, by: list[str], design: Design) -> pd.DataFrame:
    """Keep some of the speakers of X for each A and B."""
    if not design.max_x_speakers:
        return cells
    kept = []
    for key, of_x in cells.groupby([*by, "label", "speaker"], sort=True):
        speakers = of_x["speaker_x"]
        if len(of_x) > design.max_x_speakers:
            order = random_order(
                speakers, design.seed, f"abx {' '.join(map(str, key))}"
            )
            of_x = of_x[speakers.isin(order[: design.max_x_speakers])]
        kept.append(of_x)
    return pd.concat(kept) if kept else cells


def _nothing_to_compare(items: pd.DataFrame, design: Design) -> str:
    labels = sorted(items["label"].unique())
    if len(labels) < 2:
        return (
            f"All {len(items)} items are of one {design.on}, '{labels[0]}', and ABX "
            "compares two: give items of more."
        )
    wanted = "A and B of one speaker and X of another"
    if design.on == "language":
        wanted = "A and X of two speakers of one language, and B of another language"
    elif design.speaker == "within":
        wanted = "A, B and X of one speaker"
    shared = ["the same neighbours"] if design.context == "within" else []
    shared += [f"one {MATCH}"] if MATCH in items.columns else []
    return (
        f"Of {len(items)} items of {len(labels)} {design.on}s and "
        f"{items['speaker'].nunique()} speakers no three can be compared "
        f"({', '.join([wanted, *shared])}): give more speech, or choose another "
        "--unit, --speaker or --context."
    )
