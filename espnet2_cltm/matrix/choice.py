"""Which of the results in a file a matrix is made of."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Choice:
    """Which of a file's results to take; None takes the only or the default one.

    Attributes:
        task: ``gender``, ``speaker`` or ``asr``.
        metric: A name of :data:`espnet2_cltm.matrix.metrics.METRICS`.
        budget: N.
    """

    task: str | None = None
    metric: str | None = None
    budget: int | None = None
