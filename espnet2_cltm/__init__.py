"""Cross-lingual transfer matrices of paralinguistic speech tasks on ESPnet."""

import sys

from espnet2_cltm.foreign_imports import (
    FrontendOffer,
    MissingESPnet,
    TorchaudioFitting,
    offer_frontend,
)

__version__ = "0.1.0"

# Only where nothing else finds ESPnet, and before anything else finds what is changed.
sys.meta_path.append(MissingESPnet())
sys.meta_path[:0] = [TorchaudioFitting(), FrontendOffer()]
offer_frontend()
