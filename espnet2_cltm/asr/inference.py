"""Transcription with a trained model, and tables of transcripts.

The command line and the runner use the same batches, and write the same transcripts.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from espnet2_cltm.asr.model import CtcModel
from espnet2_cltm.corpus.datadir import read_table
from espnet2_cltm.errors import UserError
from espnet2_cltm.files import write_text
from espnet2_cltm.frontend.batches import batch_of


def transcribe(
    model: CtcModel,
    read_waveform: Callable[[str], np.ndarray],
    batches: Iterable[Sequence[str]],
    device: str = "cpu",
) -> dict[str, str]:
    """Transcribe every utterance.

    Args:
        model: Recogniser; it stays in evaluation mode.
        read_waveform: Function from an utterance id to its (samples,) float32 waveform
            in [-1, 1).
        batches: Utterance ids, as :func:`.length_batches` returns them.
        device: Device that the model is on.

    Returns:
        Transcripts in normal form by utterance id, sorted.
    """
    model.eval()
    texts: dict[str, str] = {}
    for batch in batches:
        found = model.transcribe(*batch_of(map(read_waveform, batch), device))
        texts |= dict(zip(batch, found, strict=True))
    return dict(sorted(texts.items()))


def write_transcripts(path: Path | str, texts: Mapping[str, str]) -> None:
    """Write transcripts as Kaldi's ``text``; one may be empty."""
    write_text(path, "".join(f"{u} {t}".rstrip() + "\n" for u, t in texts.items()))


def read_transcripts(path: Path | str) -> dict[str, str]:
    """Read what :func:`write_transcripts` wrote.

    Raises:
        UserError: The file is missing or is not such a table.
    """
    try:
        return read_table(path)
    except UserError as error:
        raise UserError(
            f"{path} is not a table of transcripts ({str(error).rstrip('.')}): delete "
            "its run's directory and run stage 4 again."
        ) from error
