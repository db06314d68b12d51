"""Articulatory features of phones: those of PanPhon (Mortensen et al., COLING 2016).

They are shipped below ``espnet2_cltm/data/languages``, whose README tells how the table
is made. Its two features of tones are left out: no segment there has them.
"""

from functools import lru_cache
from pathlib import Path

import numpy as np

from espnet2_cltm import data
from espnet2_cltm.files import read_rows

FEATURES = Path(data.__file__).parent / "languages" / "articulatory_features.tsv"
REMEDY = "restore the file, which comes with the package"
_FEATURES = (
    *("syl", "son", "cons", "cont", "delrel", "lat", "nas", "strid", "voi", "sg", "cg"),
    *("ant", "cor", "distr", "lab", "hi", "lo", "back", "round", "velaric", "tense"),
    "long",
)
_TONES = ("hitone", "hireg")
_VALUES = {"+": 1.0, "0": 0.0, "-": -1.0}


@lru_cache(maxsize=1)
def read_features() -> dict[str, np.ndarray]:
    """Read the 22 features of each segment: 1, -1, or 0 where it has none.

    Segments are in Unicode's decomposed form (NFD).
    """
    header = ("segment", *_FEATURES, *_TONES)
    return {
        segment: np.array([_VALUES[value] for value in values[: len(_FEATURES)]])
        for segment, *values in read_rows(FEATURES, header, "a table", REMEDY)
    }
