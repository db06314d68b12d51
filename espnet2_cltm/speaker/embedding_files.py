"""Embeddings on disk, in Kaldi's form: ``embeddings.ark`` and ``embeddings.scp``.

The scp is written last: where it stands, the ark is whole.
"""

import tempfile
from collections.abc import Sequence
from pathlib import Path

import kaldiio
import numpy as np

from espnet2_cltm.errors import UserError
from espnet2_cltm.files import replacing, write_text


def write_embeddings(
    directory: Path | str, utts: Sequence[str], embeddings: np.ndarray
) -> None:
    """Write embeddings as float32 vectors.

    Args:
        directory: Made if it is missing.
        utts: Utterance ids.
        embeddings: (utts, size), one a row.

    Raises:
        UserError: An embedding is not finite, or the file system refuses.
    """
    odd = np.flatnonzero(~np.isfinite(embeddings).all(axis=1))
    if len(odd):
        raise UserError(
            f"The embedding of utterance {utts[odd[0]]} is not finite: the model's "
            "weights are damaged or its training diverged; train it again."
        )
    ark, scp = Path(directory) / "embeddings.ark", Path(directory) / "embeddings.scp"
    scp.unlink(missing_ok=True)
    rows = dict(zip(utts, embeddings.astype(np.float32), strict=True))
    with replacing(ark) as temporary, tempfile.NamedTemporaryFile("r") as listed:
        kaldiio.save_ark(str(temporary), rows, scp=listed.name)
        offsets = [line.rstrip("\n").rpartition(":")[2] for line in listed]
    lines = (f"{utt} {ark}:{at}\n" for utt, at in zip(rows, offsets, strict=True))
    write_text(scp, "".join(lines))
