"""The colours of CLTM values: the same value has the same colour in every figure.

Two values mean something: 0, a donor is worth nothing, and 1, it is worth as much as
more target data. Colours run from neutral at 0 to blue at 1 and turn to violet above;
below 0 they turn to orange and brown. Lightness falls monotonically away from 0 on
either side, so the scale can be read in print and with any kind of colour vision.
"""

from dataclasses import dataclass

import numpy as np
from matplotlib.colors import LinearSegmentedColormap, Normalize

# Of text and lines.
INK = "#1a1a1a"
FAINT = "#5f5f5f"

# Value and colour; between them colours are interpolated.
ANCHORS = (
    (-3.0, "#4f1a00"),
    (-2.0, "#7f2f04"),
    (-1.0, "#c65a11"),
    (-0.5, "#ee9a50"),
    (-0.2, "#fbd3aa"),
    (0.0, "#f6f5f2"),
    (0.25, "#dcebf3"),
    (0.5, "#b0d5e8"),
    (0.75, "#72b2d7"),
    (1.0, "#2f80bb"),
    (1.15, "#3d5ba8"),
    (1.3, "#4a3590"),
    (1.6, "#391468"),
    (2.0, "#1d0636"),
)
LOWEST, HIGHEST = ANCHORS[0][0], ANCHORS[-1][0]


@dataclass(frozen=True)
class ColourScale:
    """What a figure shows, and the colours of it.

    Attributes:
        low: Values below have the colour of this one.
        high: Values above have the colour of this one.
        colormap: Colours from ``low`` to ``high``.
    """

    low: float
    high: float
    colormap: LinearSegmentedColormap

    @property
    def norm(self) -> Normalize:
        """Map from value to position on the colour map."""
        return Normalize(self.low, self.high, clip=True)

    def rgb(self, value: float) -> np.ndarray:
        """Colour of a value, three numbers from 0 to 1."""
        return np.array(self.colormap(self.norm(value))[:3])

    def text_colour(self, value: float) -> str:
        """Black or white, whichever is easier to read on a value's colour."""
        return "white" if relative_luminance(self.rgb(value)) < 0.22 else INK


def colour_scale(values: np.ndarray) -> ColourScale:
    """Choose the range for some CLTM values.

    It reaches at least from -0.5 to 1.5, covers all but the most extreme hundredth on
    either side, and never goes beyond -3 and 2.

    Args:
        values: Any shape; NaN is left out.
    """
    values = values[np.isfinite(values)]
    low, high = -0.5, 1.5
    if len(values):
        bottom, top = np.quantile(values, [0.01, 0.99])
        low = max(min(low, np.floor(bottom * 2) / 2), LOWEST)
        high = min(max(high, np.ceil(top * 2) / 2), HIGHEST)
    positions = np.array([value for value, _ in ANCHORS])
    inside = positions[(positions > low) & (positions < high)]
    full = LinearSegmentedColormap.from_list(
        "cltm_full",
        [((value - LOWEST) / (HIGHEST - LOWEST), colour) for value, colour in ANCHORS],
        N=2048,
    )
    stops = [
        ((value - low) / (high - low), full((value - LOWEST) / (HIGHEST - LOWEST)))
        for value in (low, *inside, high)
    ]
    colormap = LinearSegmentedColormap.from_list("cltm", stops, N=1024)
    return ColourScale(float(low), float(high), colormap)


def relative_luminance(rgb: np.ndarray) -> float:
    """Relative luminance of an sRGB colour, 0 to 1 (WCAG 2)."""
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    return float(linear @ np.array([0.2126, 0.7152, 0.0722]))
