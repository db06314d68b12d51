"""What runs did to the layers of their encoder, summed up in ``layers.tsv`` by stage 5.

A line is one measure of one hidden state (0 enters the first layer, k leaves the k-th)
in the runs of one kind on the same languages, seen from one of these: its mean over
seeds, the standard deviation, and the number of runs. Beside what each run measured
itself (:mod:`.layers`) there is its likeness to other runs of the same seed, on the
same utterances of the language:

* ``cka_double``, of a single or pair run: its CKA with the language's double run. Where
  a pair's is above the single's, the donor's data changed the layer towards what as
  much more of the language's own data makes of it;
* ``cka_donors``, of a pair run: its mean CKA with the language's pairs with other
  donors.
"""

import math
import zipfile
from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from espnet2_cltm.errors import UserError
from espnet2_cltm.experiment.layout import ExperimentDir
from espnet2_cltm.experiment.plan import PlannedRun
from espnet2_cltm.files import remove_if_there, write_rows
from espnet2_cltm.progress import progress
from espnet2_cltm.results_format import LAYER_COLUMNS, STRATEGY

TO_DOUBLE, TO_DONORS = "cka_double", "cka_donors"


class LayerTable:
    """The table in the making.

    Args:
        directory: The experiment.
    """

    def __init__(self, directory: ExperimentDir):
        self._directory = directory
        self._values: defaultdict[tuple, list[float]] = defaultdict(list)
        self._measured: list[PlannedRun] = []
        self._is_partial = False

    def add(self, planned: PlannedRun, metrics: Mapping[str, Any]) -> None:
        """Take in a run that is done.

        Args:
            planned: The run.
            metrics: Content of its ``metrics.json``.
        """
        measured = metrics.get("layers", {}).get("measures")
        if not measured:
            self._is_partial |= "layers" not in metrics
            return
        self._measured.append(planned)
        for lang, measures in measured.items():
            for name, by_layer in measures.items():
                self._take(planned, lang, name, by_layer)

    def write(self) -> bool:
        """Write the table, or remove it where no run was measured.

        Returns:
            Whether some runs were measured and others not.

        Raises:
            UserError: The views of a run's layers are missing or damaged.
        """
        path = self._directory.layer_table
        if not self._measured:
            remove_if_there(path)
            return False
        self._compare()
        rows: list[tuple[object, ...]] = [(*LAYER_COLUMNS, STRATEGY)]
        for (*where, layer, strategy), found in sorted(self._values.items()):
            sd = f"{np.std(found, ddof=1):.4g}" if len(found) > 1 else ""
            numbers = (layer, len(found), f"{np.mean(found):.6g}", sd)
            rows.append((*where, *numbers, strategy))
        write_rows(path, rows)
        return self._is_partial

    def _take(
        self,
        planned: PlannedRun,
        lang: str,
        name: str,
        by_layer: Sequence[float],
        strategies: Sequence[str] = (),
    ) -> None:
        run = planned.run
        languages = "+".join(run.languages)
        where = (run.task, run.kind, languages, run.budget, run.steps, lang, name)
        for strategy in strategies or planned.strategies:
            for layer, value in enumerate(by_layer):
                if math.isfinite(value):
                    self._values[(*where, layer, strategy)].append(value)

    def _compare(self) -> None:
        """Compare each target's runs of one seed."""
        targets: defaultdict[tuple, list[PlannedRun]] = defaultdict(list)
        for planned in self._measured:
            run = planned.run
            for lang in run.languages:
                for strategy in planned.strategies:
                    of = (run.task, run.budget, run.steps, run.seed, lang, strategy)
                    targets[of].append(planned)
        for (*_, lang, strategy), all_runs in progress(
            targets.items(), description="Comparing layers", unit="target"
        ):
            self._compare_target(all_runs, lang, strategy)

    def _compare_target(
        self, runs: Sequence[PlannedRun], lang: str, strategy: str
    ) -> None:
        if len(runs) == 1:
            return
        views = [
            read_views(self._directory.layers(planned.run.name), lang)
            for planned in runs
        ]
        kinds = [planned.run.kind for planned in runs]
        double = views[kinds.index("double")] if "double" in kinds else None
        donors = [
            found for found, kind in zip(views, kinds, strict=True) if kind == "pair"
        ]
        for planned, found in zip(runs, views, strict=True):
            of = partial(self._take, planned, lang, strategies=(strategy,))
            if double is not None and found is not double:
                of(TO_DOUBLE, _products(found, double))
            if planned.run.kind == "pair" and len(donors) > 1:
                others = (sum(donors) - found) / (len(donors) - 1)
                of(TO_DONORS, _products(found, others))


def read_views(path: Path, lang: str) -> np.ndarray:
    """Read the views of a run's layers on a language.

    Returns:
        (states, ...) float64, each of unit length.

    Raises:
        UserError: The file is missing or damaged.
    """
    try:
        with np.load(path, allow_pickle=False) as stored:
            found = stored[lang].astype(np.float64)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise UserError(
            f"{path} is missing or damaged ({error}): delete {path.parent} and run "
            "stage 4 again with --layers true."
        ) from error
    return found / np.linalg.norm(found, axis=1, keepdims=True)


def _products(one: np.ndarray, other: np.ndarray) -> list[float]:
    return np.einsum("lv,lv->l", one, other).tolist()
