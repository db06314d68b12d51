"""Colour scales of the page's matrices, in the form its plotting library takes.

Scales have a centre where one means something: CLTM has the colours of the static
heatmap, neutral at 0 and blue at 1; relative gain is neutral at 0 and symmetric. Perf
has no such value and runs from its smallest to its largest. All can be told apart with
any kind of colour vision, and in print.
"""

from typing import Any

import matplotlib
import numpy as np
from matplotlib.colors import Colormap, LinearSegmentedColormap, to_hex

from espnet2_cltm.report.colour_scale import colour_scale

STOPS = 65  # the middle one is the centre of a symmetric scale
LOSS_AND_GAIN = ("#7f2f04", "#ee9a50", "#f6f5f2", "#72b2d7", "#1a4f80")


def transfer_scale(identified: np.ndarray, every: np.ndarray) -> dict[str, Any]:
    """Give the scale of CLTM values, of the identified ones where there are any.

    Args:
        identified: (n, n), NaN where not identified.
        every: (n, n), all estimates.
    """
    off_diagonal = ~np.eye(len(every), dtype=bool)
    shown = identified if np.isfinite(identified[off_diagonal]).any() else every
    scale = colour_scale(shown)
    return _scale(scale.low, scale.high, scale.colormap)


def gain_scale(values: np.ndarray) -> dict[str, Any]:
    """Give the symmetric scale of values that are neutral at 0."""
    there = np.abs(values[np.isfinite(values)])
    reach = float(np.quantile(there, 0.99)) if len(there) else 0.0
    reach = reach or 1.0
    colormap = LinearSegmentedColormap.from_list("gain", LOSS_AND_GAIN)
    return _scale(-reach, reach, colormap)


def perf_scale(values: np.ndarray) -> dict[str, Any]:
    """Give the scale of Perf, from the smallest to the largest value."""
    there = values[np.isfinite(values)]
    low, high = (float(there.min()), float(there.max())) if len(there) else (0.0, 1.0)
    return _scale(low, max(high, low + 1e-6), matplotlib.colormaps["cividis"])


def _scale(low: float, high: float, colormap: Colormap) -> dict[str, Any]:
    positions = np.linspace(0, 1, STOPS)
    return {
        "low": round(low, 6),
        "high": round(high, 6),
        "colours": [[float(x), to_hex(colormap(x))] for x in positions],
    }
