"""Drawing the colour bar of a heatmap: the scale, and what values on it mean."""

import numpy as np
from matplotlib.figure import Figure

from espnet2_cltm.report.colour_scale import INK, ColourScale
from espnet2_cltm.report.heatmap_contents import MINUS
from espnet2_cltm.report.heatmap_layout import (
    BAR_SIZE,
    BAR_TEXT,
    BAR_WIDTH,
    POINTS,
    Layout,
    wrap,
)


def draw_colour_bar(
    figure: Figure,
    scale: ColourScale,
    layout: Layout,
    left: float,
    bottom: float,
    side: float,
) -> None:
    """Draw the scale of colours beside the matrix, with what values mean.

    Args:
        figure: Where it is drawn.
        scale: Colours and their range.
        layout: Gives the size of the figure.
        left: Left edge of the bar in inches.
        bottom: Lower edge of the matrix in inches.
        side: Height of the matrix in inches.
    """
    # Bold is wider than what is measured; a second line takes from the bar's height.
    name = wrap(scale.name, BAR_WIDTH + BAR_TEXT, BAR_SIZE * 1.12)
    side -= (len(name) - 1) * BAR_SIZE * 1.2 / POINTS
    height = min(side, 5.5)
    axes = figure.add_axes(
        (
            left / layout.width,
            (bottom + side - height) / layout.height,
            BAR_WIDTH / layout.width,
            height / layout.height,
        )
    )
    steps = np.linspace(scale.low, scale.high, 401)
    middles = (steps[:-1] + steps[1:]) / 2
    mesh = axes.pcolormesh(
        [0, 1],
        steps,
        middles[:, None],
        cmap=scale.colormap,
        norm=scale.norm,
        edgecolors="face",
        linewidth=0.2,
    )
    mesh.set_rasterized(False)
    axes.set_xticks([])
    axes.yaxis.tick_right()
    ticks = scale.ticks(10 if height > 2 else 5)
    decimals = max(1, int(np.ceil(-np.log10(np.diff(ticks).min()) - 1e-9)))
    axes.set_yticks(ticks, [""] * len(ticks))
    axes.tick_params(length=3, width=0.6, color=INK)
    per_inch = (scale.high - scale.low) / height
    for tick in ticks:
        bold = tick in scale.meanings
        axes.text(
            1.42,
            tick,
            f"{tick:.{decimals}f}".replace("-", MINUS),
            va="center",
            size=BAR_SIZE,
            fontweight="bold" if bold else "normal",
        )
        if bold:
            axes.axhline(tick, color=INK, linewidth=0.9)
            axes.text(
                3.6,
                tick,
                scale.meanings[tick],
                va="center",
                size=BAR_SIZE * 0.94,
                color=INK,
                linespacing=1.1,
            )
    axes.text(
        0,
        scale.high + 0.09 * per_inch,
        "\n".join(name),
        va="bottom",
        size=BAR_SIZE,
        fontweight="bold",
    )
    axes.set_ylim(scale.low, scale.high)
    for spine in axes.spines.values():
        spine.set_color(INK)
