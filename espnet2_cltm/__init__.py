"""Cross-lingual transfer matrices of paralinguistic speech tasks on ESPnet."""

import sys

from espnet2_cltm.foreign_imports import MissingESPnet, TorchaudioFitting

__version__ = "0.1.0"

# Only where nothing else finds ESPnet, and before anything else finds torchaudio.
sys.meta_path.append(MissingESPnet())
sys.meta_path.insert(0, TorchaudioFitting())
