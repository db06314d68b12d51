"""Reading pictures, of any size and format, into arrays of one size."""

import warnings
from pathlib import Path

import numpy as np

from espnet2_cltm.errors import UserError, foreign


def read_picture(path: Path | str, size: int) -> np.ndarray:
    """Read a picture's largest square in the middle.

    Args:
        path: File of any format that Pillow knows; what is transparent becomes white.
        size: Width and height in pixels that the square is scaled to.

    Returns:
        (size, size, 3) uint8, red, green and blue.

    Raises:
        UserError: The file is missing or holds no picture.
    """
    from PIL import Image, ImageOps

    if not Path(path).is_file():
        raise UserError(f"The picture {path} does not exist: correct its path.")
    with (
        foreign(f"The picture {path} is broken", "replace it"),
        warnings.catch_warnings(),
    ):
        # One that is suspiciously large is refused, not warned of.
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        with Image.open(path) as picture:
            upright = ImageOps.exif_transpose(picture).convert("RGBA")
        white = Image.new("RGBA", upright.size, "white")
        shown = Image.alpha_composite(white, upright).convert("RGB")
        return np.asarray(ImageOps.fit(shown, (size, size), Image.Resampling.BICUBIC))
