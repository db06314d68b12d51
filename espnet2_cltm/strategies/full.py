"""Everything is trained: the published way, and the default."""

from espnet2_cltm.strategies.strategy import Strategy


class Full(Strategy):
    """Train every parameter that the frontend's own options do not freeze."""
