"""Tests measured layer by layer, each result in a file as soon as it is there.

A directory of results holds ``abx.tsv``, a line for each test, kind of features and
layer; ``contrasts/<test>.<features>.<layer>.tsv``, its errors by pair of labels;
``speakers/``, the same by speaker, which comparisons take; and ``<test>.item``, the
items. ``parts/`` holds the lines one by one, so that a call that was interrupted goes
on where it was; a part whose items have changed is measured again.
"""

import hashlib
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from espnet2_cltm.abx.averaging import write_speaker_errors
from espnet2_cltm.abx.cells import Design, make_cells
from espnet2_cltm.abx.distances import prepare_frames
from espnet2_cltm.abx.features import Frames
from espnet2_cltm.abx.inputs import Material
from espnet2_cltm.abx.items import write_items
from espnet2_cltm.abx.scoring import cell_errors, collapse
from espnet2_cltm.errors import UserError
from espnet2_cltm.files import read_json, read_rows, write_json, write_rows, write_text

COLUMNS = (
    *("test", "features", "layer", "error", "low", "high", "on", "unit", "speaker"),
    *("context", "distance", "items", "short", "pairs", "speakers", "cells"),
    "triples",
)
"""Columns of ``abx.tsv``. ``short`` items have no frame and are left out."""


@dataclass(frozen=True)
class Setting:
    """How all tests of a directory are measured.

    Attributes:
        design: What is compared.
        unit: ``triphone`` or ``phone``; empty where items are neither.
        distance: One of :data:`.DISTANCES`.
        draws: Draws of the bootstrap.
    """

    design: Design
    unit: str
    distance: str
    draws: int


class Results:
    """A directory of results.

    Args:
        outdir: The directory.
        setting: How its tests are measured.
        tests: All tests, in the order of ``abx.tsv``.
    """

    def __init__(self, outdir: Path, setting: Setting, tests: Sequence[Material]):
        self.outdir = outdir
        self._setting = setting
        self._digests = {test.name: _digest(test) for test in tests}
        for test in tests:
            write_items(outdir / f"{test.name}.item", test.items)

    def frames(self, test: str, kind: str) -> Path:
        """Return the directory where frames lie while a test is measured."""
        return self.outdir / "frames" / test / kind

    def remove_frames(self, test: str) -> None:
        """Remove the frames of a test that is measured."""
        shutil.rmtree(self.outdir / "frames" / test, ignore_errors=True)

    def row(self, test: str, features: str, layer: int) -> dict[str, Any] | None:
        """Return a line of ``abx.tsv``; None where it is still to be measured."""
        path = self._part(test, features, layer)
        by_speaker = speaker_errors_path(self.outdir, test, features, layer)
        if not path.exists() or not by_speaker.exists():
            return None
        part = read_json(path, "delete it")
        return part["row"] if part["items"] == self._digests[test] else None

    def measure(
        self, test: Material, frames: Frames, features: str, layer: int, nj: int = 1
    ) -> dict[str, Any]:
        """Measure a test with one layer by so many threads, and write its files.

        Raises:
            UserError: Nothing can be compared, or the features do not fit.
        """
        setting = self._setting
        spans = frames.spans(test.items)
        has_frames = spans[:, 1] > spans[:, 0]
        if not has_frames.any():
            raise UserError(
                f"No item of {test.name} holds a frame of {frames.name}, at "
                f"{frames.rate:g} frames a second: correct --frequency or the items' "
                "times."
            )
        items = test.items[has_frames]
        cells = make_cells(items, setting.design)
        errors = cell_errors(
            prepare_frames(frames.values, setting.distance, frames.name),
            spans[has_frames],
            cells,
            setting.distance,
            f"{test.name}, {frames.name}",
            nj,
        )
        score = collapse(cells, errors, setting.draws, setting.design.seed)
        row = {
            "test": test.name,
            "features": features,
            "layer": layer,
            "error": score.error,
            "low": None if np.isnan(score.low) else score.low,
            "high": None if np.isnan(score.high) else score.high,
            "on": setting.design.on,
            "unit": setting.unit,
            "speaker": setting.design.speaker,
            "context": setting.design.context,
            "distance": setting.distance,
            "items": len(items),
            "short": int((~has_frames).sum()),
            "pairs": len(score.contrasts),
            "speakers": len(np.unique(cells.speakers)),
            "cells": len(cells),
            "triples": int(cells.n_triples().sum()),
        }
        name = f"{test.name}.{features}.{layer}.tsv"
        write_text(
            self.outdir / "contrasts" / name,
            score.contrasts.to_csv(sep="\t", index=False, lineterminator="\n"),
        )
        write_speaker_errors(
            speaker_errors_path(self.outdir, test.name, features, layer),
            score.by_speakers,
        )
        part = {"items": self._digests[test.name], "row": row}
        path = self._part(test.name, features, layer)
        write_json(path, part, allow_nan=True)
        return row

    def write(self) -> list[dict[str, Any]]:
        """Write ``abx.tsv`` of all parts that are there; return its lines."""
        rows = list(self._rows())
        fields = (["" if row[c] is None else row[c] for c in COLUMNS] for row in rows)
        write_rows(self.outdir / "abx.tsv", [COLUMNS, *fields])
        return rows

    def _rows(self) -> Iterator[dict[str, Any]]:
        for path in sorted((self.outdir / "parts").glob("*/*.json"), key=_place):
            part = read_json(path, "delete it")
            if self._digests.get(path.parent.name, part["items"]) == part["items"]:
                yield part["row"]

    def _part(self, test: str, features: str, layer: int) -> Path:
        return self.outdir / "parts" / test / f"{features}.{layer}.json"


def speaker_errors_path(outdir: Path, test: str, features: str, layer: int) -> Path:
    """Return the file of errors by speaker of a directory of results."""
    return outdir / "speakers" / f"{test}.{features}.{layer}.tsv.gz"


def read_results(outdir: Path, remedy: str) -> list[dict[str, str]]:
    """Read ``abx.tsv``, each line by the names of its columns.

    Args:
        outdir: Directory of results.
        remedy: What to do if it cannot be read.

    Raises:
        UserError: It is missing or damaged.
    """
    path = outdir / "abx.tsv"
    rows = read_rows(path, COLUMNS, "a table of local/abx.py", remedy)
    return [dict(zip(COLUMNS, row, strict=True)) for row in rows]


def _place(path: Path) -> tuple[str, str, int]:
    features, _, layer = path.stem.rpartition(".")
    return path.parent.name, features, int(layer)


def _digest(test: Material) -> str:
    return hashlib.sha256(test.items.to_csv(index=False).encode()).hexdigest()


def summary(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return a table for the terminal: tests below each other, layers side by side."""
    lines = [f"{'test':12s} {'features':16s} {'layer':>5s}  ABX error in %"]
    previous = None
    for row in rows:
        interval = ""
        if row["low"] is not None:
            interval = f"[{100 * row['low']:5.2f}, {100 * row['high']:5.2f}]"
        name = "" if row["test"] == previous else row["test"]
        previous = row["test"]
        lines.append(
            f"{name:12s} {row['features'][:16]:16s} {row['layer']:5d}  "
            f"{100 * row['error']:5.2f} {interval}".rstrip()
        )
    return "\n".join(lines)
