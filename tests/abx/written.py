"""Invented results, as ``local/abx.py`` writes them."""

import pandas as pd

from espnet2_cltm.abx.averaging import write_speaker_errors
from espnet2_cltm.abx.measuring import COLUMNS, speaker_errors_path
from espnet2_cltm.files import write_rows

SPEAKERS = ["s1", "s2", "s3", "s4"]


def write_abx(directory, features, errors):
    """Write results of features: errors by language, a list by layer."""
    rows = [list(COLUMNS)]
    for lang, of_layers in errors.items():
        for layer, error in enumerate(of_layers):
            row = {"test": lang, "features": features, "layer": layer, "error": error}
            rows.append([str(row.get(name, "")) for name in COLUMNS])
            table = [
                ("a", "b", one, other, 1, error * (0.5 if one == "s1" else 1.5))
                for one, other in zip(
                    SPEAKERS, SPEAKERS[1:] + SPEAKERS[:1], strict=True
                )
            ]
            names = ["label", "other", "speaker", "x_speaker", "cells", "error"]
            path = speaker_errors_path(directory, lang, features, layer)
            write_speaker_errors(path, pd.DataFrame(table, columns=names))
    previous = directory / "abx.tsv"
    if previous.exists():
        rows += [line.split("\t") for line in previous.read_text().splitlines()[1:]]
    write_rows(previous, rows)
