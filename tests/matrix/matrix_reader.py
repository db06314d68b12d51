"""Reading back the comma-separated matrices, independently of what wrote them."""

import csv
from pathlib import Path

import numpy as np

from espnet2_cltm.matrix.matrix_files import LabelledMatrix


def read_matrix(path: Path | str) -> LabelledMatrix:
    """Read a matrix of this project or of the published data set."""
    with Path(path).open(encoding="utf-8", newline="") as file:
        (_, *columns), *lines = csv.reader(file)
    values = [[float(field or "nan") for field in line[1:]] for line in lines]
    return LabelledMatrix(
        tuple(line[0] for line in lines), tuple(columns), np.array(values)
    )
