"""Drawing the colour bar of a heatmap: the scale, and what 0 and 1 on it mean."""

import numpy as np
from matplotlib.figure import Figure

from espnet2_cltm.report.colour_scale import INK, ColourScale
from espnet2_cltm.report.heatmap_contents import MINUS
from espnet2_cltm.report.heatmap_layout import BAR_SIZE, BAR_WIDTH, Layout


def draw_colour_bar(
    figure: Figure,
    scale: ColourScale,
    layout: Layout,
    left: float,
    bottom: float,
    side: float,
) -> None:
    """Draw the scale of colours beside the matrix, with what 0 and 1 mean.

    Args:
        figure: Where it is drawn.
        scale: Colours and their range.
        layout: Gives the size of the figure.
        left: Left edge of the bar in inches.
        bottom: Lower edge of the matrix in inches.
        side: Height of the matrix in inches.
    """
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
    step = 0.5 if height > 2 or scale.high - scale.low <= 2.5 else 1.0
    ticks = np.arange(np.ceil(scale.low / step), scale.high / step + 0.01) * step
    meanings = {0.0: "worth nothing", 1.0: "as good as\ntarget data"}
    axes.set_yticks(ticks, [""] * len(ticks))
    axes.tick_params(length=3, width=0.6, color=INK)
    per_inch = (scale.high - scale.low) / height
    for tick in ticks:
        bold = tick in meanings
        axes.text(
            1.42,
            tick,
            f"{tick:.1f}".replace("-", MINUS),
            va="center",
            size=BAR_SIZE,
            fontweight="bold" if bold else "normal",
        )
        if bold:
            axes.axhline(tick, color=INK, linewidth=0.9)
            axes.text(
                3.6,
                tick,
                meanings[tick],
                va="center",
                size=BAR_SIZE * 0.94,
                color=INK,
                linespacing=1.1,
            )
    axes.text(
        0,
        scale.high + 0.09 * per_inch,
        "CLTM[i, j]",
        va="bottom",
        size=BAR_SIZE,
        fontweight="bold",
    )
    axes.set_ylim(scale.low, scale.high)
    for spine in axes.spines.values():
        spine.set_color(INK)
