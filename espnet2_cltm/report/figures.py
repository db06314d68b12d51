"""The figures that are written for papers: of a matrix, a regime, a comparison.

To add one, append it to the list of what it shows; see
:mod:`espnet2_cltm.report.drawing` for how it is drawn.
"""

from espnet2_cltm.report.drawing import Figure
from espnet2_cltm.report.heatmaps import draw_gains, draw_transfer, draw_zero_shot
from espnet2_cltm.report.layers import draw_layers
from espnet2_cltm.report.pools import draw_pools
from espnet2_cltm.report.rankings import draw_rankings
from espnet2_cltm.report.regime_figure import draw_regime
from espnet2_cltm.report.scatter import draw_scatter
from espnet2_cltm.report.strategies import draw_strategies
from espnet2_cltm.report.verification import draw_verification

MATRIX_FIGURES = [
    Figure("heatmap", draw_transfer),
    Figure("gains", draw_gains),
    Figure("rankings", draw_rankings),
    Figure("zero_shot", draw_zero_shot),
    Figure("verification", draw_verification),
    Figure("pools", draw_pools),
    Figure("strategies", draw_strategies),
    Figure("layers", draw_layers),
]
"""Figures of a :class:`~espnet2_cltm.report.contents.Report`."""

REGIME_FIGURES = [Figure("regime", draw_regime)]
"""Figures of a :class:`~espnet2_cltm.report.regime_figure.FoundRegime`."""

COMPARISON_FIGURES = [Figure("scatter", draw_scatter)]
"""Figures of a :class:`~espnet2_cltm.report.scatter.ComparedPair`."""
