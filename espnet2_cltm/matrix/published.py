"""The transfer matrices that the method's authors published, by name.

They are shipped with the package, in ``espnet2_cltm/data/published``: read off the
figures of arXiv:2603.08231 and Odyssey 2026 (doi 10.21437/Odyssey.2026-44), CC BY 4.0;
attribution in the README there. Two decimals, no standard errors.
"""

from pathlib import Path
from types import MappingProxyType

from espnet2_cltm import data
from espnet2_cltm.errors import UserError
from espnet2_cltm.matrix.matrix_files import LabelledMatrix
from espnet2_cltm.matrix.read_matrix import read_matrix

PUBLISHED = MappingProxyType(
    {
        "gender_mhubert": "gender identification, mHuBERT-147",
        "speaker_mhubert": "speaker verification, mHuBERT-147",
        "speaker_ecapa": "speaker verification, ECAPA-TDNN",
        "speaker_siamese": "speaker verification, Siamese network",
        "speaker_speechllm": "speaker verification, speech LLM",
        "asr_mhubert": "speech recognition, mHuBERT-147",
    }
)


def published_path(name: str) -> Path:
    """Give the file of a published matrix.

    Raises:
        UserError: There is no matrix of this name.
    """
    if name not in PUBLISHED:
        raise UserError(
            f"there is no published matrix '{name}'; known are {', '.join(PUBLISHED)}."
        )
    return Path(data.__file__).parent / "published" / f"{name}.csv"


def read_published(name: str) -> LabelledMatrix:
    """Read a published matrix.

    Args:
        name: One of :data:`PUBLISHED`.

    Raises:
        UserError: There is no matrix of this name.
    """
    return read_matrix(published_path(name))
