"""``learning_curves.tsv``: one line a language and N, with the gain to 2N where known.

Tab-separated: ``language n n_seeds perf perf_se gain gain_se n_paired relative_gain
noise slope ci_min``. ``perf`` is the mean over all seeds, ``gain`` that of Perf(2N) -
Perf(N) over the ``n_paired`` seeds that have both. An empty field is not available;
``inf`` is the noise index of a gain that is the same in every seed.
"""

from pathlib import Path

import numpy as np

from espnet2_cltm.files import write_text
from espnet2_cltm.matrix.regime_indices import INDICES, GainIndices, standard_error
from espnet2_cltm.matrix.regime_input import LearningCurves
from espnet2_cltm.matrix.scores import mean_over_seeds

COLUMNS = (
    "language",
    "n",
    "n_seeds",
    "perf",
    "perf_se",
    "gain",
    "gain_se",
    "n_paired",
    *INDICES,
    "ci_min",
)


def write_learning_curves(
    path: Path, curves: LearningCurves, indices: GainIndices
) -> None:
    """Write the table.

    Raises:
        UserError: The file cannot be written.
    """
    mean = mean_over_seeds(curves.perf)
    error = standard_error(curves.perf)
    count = np.isfinite(curves.perf).sum(axis=-1)
    column = {n: k for k, n in enumerate(indices.budgets)}
    lines = ["\t".join(COLUMNS)]
    for i, language in enumerate(curves.languages):
        for k in np.flatnonzero(count[i]):
            n = curves.sizes[k]
            gain = [""] * (len(COLUMNS) - 5)
            if n in column and indices.n_seeds[i, column[n]]:
                at = i, column[n]
                gain = [
                    _text(indices.gain[at]),
                    _text(indices.gain_se[at]),
                    str(indices.n_seeds[at]),
                    *(_text(getattr(indices, name)[at]) for name in INDICES),
                    _text(indices.ci_min[at]),
                ]
            known = (count[i, k], _text(mean[i, k]), _text(error[i, k]))
            lines.append("\t".join(map(str, (language, n, *known, *gain))))
    write_text(path, "\n".join(lines) + "\n")


def _text(value: float) -> str:
    return "" if np.isnan(value) else repr(float(value))
