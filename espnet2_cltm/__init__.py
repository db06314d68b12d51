"""Cross-lingual transfer matrices of paralinguistic speech tasks on ESPnet."""

__version__ = "0.1.0"
