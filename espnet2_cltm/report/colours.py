"""The colours of values, CLTM and others, safe for any kind of colour vision.

The same CLTM has the same colour in every figure. Two values of it mean something: 0,
a donor is worth nothing, and 1, it is worth as much as more target data. Colours run
from neutral at 0 to blue at 1 and turn to violet above; below 0 they turn to orange
and brown. Lightness falls monotonically away from 0 on either side, so the scale can
be read in print too.

Relative gain is neutral at 0 and symmetric. Values of which none means something by
itself, such as Perf, have the colours of cividis from the smallest to the largest.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import matplotlib
import numpy as np
from matplotlib.colors import Colormap, LinearSegmentedColormap, Normalize, to_hex
from matplotlib.ticker import MaxNLocator

INK, FAINT = "#1a1a1a", "#5f5f5f"  # text and lines

# Okabe and Ito (https://jfly.uni-koeln.de/color/): told apart with any kind of colour
# vision. Their yellow is too light for a line; grey takes its place.
BLUE, VERMILION = "#0072b2", "#d55e00"
OKABE_ITO = (
    *(BLUE, VERMILION, "#009e73", "#cc79a7", "#e69f00", "#56b4e9"),
    *("#000000", "#7f7f7f"),
)

# CLTM and its colour; between them colours are interpolated.
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
CLTM_MEANINGS = {0.0: "worth nothing", 1.0: "as good as\ntarget data"}
LOSS_AND_GAIN = ("#7f2f04", "#ee9a50", "#f6f5f2", "#72b2d7", "#1a4f80")

NARROWEST = 1e-3  # smaller range of Perf than this has no colours of its own
PAGE_STOPS = 65  # the middle one is the centre of a symmetric scale


@dataclass(frozen=True)
class ColourScale:
    """The colours of some values.

    Attributes:
        low: Value from which on downwards all have one colour.
        high: Value from which on upwards all have one colour.
        colormap: Colours from ``low`` to ``high``.
        name: Name of the values.
        meanings: Meanings of single values, in words.
        steps: Distances that ticks may have, times a power of ten.
    """

    low: float
    high: float
    colormap: Colormap
    name: str = ""
    meanings: Mapping[float, str] = field(default_factory=dict)
    steps: tuple[int, ...] = (1, 2, 5, 10)

    @property
    def norm(self) -> Normalize:
        """Map from values to positions on the colour map."""
        return Normalize(self.low, self.high, clip=True)

    def ticks(self, most: int) -> np.ndarray:
        """Return round values from ``low`` to ``high``, about ``most`` or fewer."""
        locator = MaxNLocator(most, steps=self.steps)
        ticks = np.asarray(locator.tick_values(self.low, self.high))
        slack = 1e-9 * (self.high - self.low)
        return ticks[(ticks >= self.low - slack) & (ticks <= self.high + slack)]

    def rgb(self, value: float) -> np.ndarray:
        """Return the colour of a value, three numbers from 0 to 1."""
        return np.array(self.colormap(self.norm(value))[:3])

    def text_colour(self, value: float) -> str:
        """Return black or white, whichever is easier to read on a value's colour."""
        return "white" if relative_luminance(self.rgb(value)) < 0.22 else INK

    def for_page(self) -> dict[str, Any]:
        """Return the scale as the report page's plotting library takes it."""
        positions = np.linspace(0, 1, PAGE_STOPS)
        return {
            "low": round(self.low, 6),
            "high": round(self.high, 6),
            "colours": [[float(x), to_hex(self.colormap(x))] for x in positions],
        }


def transfer_scale(values: np.ndarray) -> ColourScale:
    """Choose the range for CLTM values.

    It reaches at least from -0.5 to 1.5, covers all but the most extreme hundredth on
    either side, and never goes beyond -3 and 2.

    Args:
        values: Array of any shape; NaN is left out.
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
    return ColourScale(
        float(low), float(high), colormap, "CLTM[i, j]", CLTM_MEANINGS, (1, 5, 10)
    )


def gain_scale(values: np.ndarray) -> ColourScale:
    """Choose the symmetric range of values that are neutral at 0, such as gains."""
    sizes = np.abs(values[np.isfinite(values)])
    reach = float(np.quantile(sizes, 0.99, method="higher")) if len(sizes) else 0.0
    reach = reach or 1.0
    colormap = LinearSegmentedColormap.from_list("gain", LOSS_AND_GAIN)
    return ColourScale(-reach, reach, colormap)


def perf_scale(values: np.ndarray, name: str = "") -> ColourScale:
    """Choose colours from the smallest of some values to the largest.

    Args:
        values: Array of any shape; NaN is left out.
        name: Name of the values.
    """
    values = values[np.isfinite(values)]
    low, high = (values.min(), values.max()) if len(values) else (0.0, 1.0)
    if high - low < NARROWEST:
        middle = (low + high) / 2
        low, high = middle - NARROWEST / 2, middle + NARROWEST / 2
    colormap = matplotlib.colormaps["cividis"]
    return ColourScale(float(low), float(high), colormap, name)


def relative_luminance(rgb: np.ndarray) -> float:
    """Return the relative luminance of an sRGB colour, 0 to 1 (WCAG 2)."""
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    return float(linear @ np.array([0.2126, 0.7152, 0.0722]))
