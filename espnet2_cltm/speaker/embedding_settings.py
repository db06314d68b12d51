"""How an utterance becomes an embedding: the options of ``embedding_conf``."""

from collections.abc import Sequence
from dataclasses import dataclass

from espnet2_cltm.errors import UserError

SOURCES = ("hidden_layers", "pooling", "projector")


@dataclass(frozen=True)
class EmbeddingSettings:
    """Settings of speaker embeddings.

    Attributes:
        source: ``projector``: the network's own embedding; ``pooling``: what goes
            into the projector; ``hidden_layers``: the mean over time of the mean of
            the last ``num_layers`` hidden states of the frontend ``hubert``.
        num_layers: How many hidden states ``hidden_layers`` takes.
        speeds: Tempo factors (0.98: slower); an utterance's embedding is the mean
            over them of normalised embeddings, normalised again.
        trim_db: Leading and trailing silence this far (dB) below the loudest frame
            is left out; None: nothing is.
        length_multiple: Where padding would change an embedding (``ecapa_tdnn`` and
            other encoders that look at it), waveforms are cut to a multiple of so
            many samples, so that there are batches of one length.

    Raises:
        UserError: A value is out of range.
    """

    source: str = "projector"
    num_layers: int = 4
    speeds: Sequence[float] = (1.0, 0.98, 1.02)
    trim_db: float | None = 20.0
    length_multiple: int = 1600

    def __post_init__(self) -> None:
        problem = None
        if self.source not in SOURCES:
            problem = f"source: {self.source} is unknown: give {', '.join(SOURCES)}"
        elif self.num_layers < 1:
            problem = f"num_layers: {self.num_layers} must be 1 or more"
        elif not self.speeds or not all(0.5 <= speed <= 2 for speed in self.speeds):
            problem = f"speeds: {self.speeds} must be factors between 0.5 and 2"
        elif self.trim_db is not None and self.trim_db <= 0:
            problem = f"trim_db: {self.trim_db} must be above 0, or null"
        elif self.length_multiple < 1:
            problem = f"length_multiple: {self.length_multiple} must be 1 or more"
        if problem:
            raise UserError(f"embedding_conf: {problem}.")
