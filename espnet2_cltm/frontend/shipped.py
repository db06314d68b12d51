"""Encoders that come with the package, and where they lie.

They have names of their own, which are the same wherever the package is installed.
"""

from importlib.resources import files

SHIPPED = ("hubert-small",)
"""Directories of ``espnet2_cltm.data`` in Hugging Face's layout, with a model card."""


def locate_encoder(name: str) -> str:
    """Give the directory of an encoder that comes with the package.

    Args:
        name: Its name; anything else (a hub id, another directory) stays as it is. A
            directory of one's own that has such a name is given as ``./<name>``.
    """
    return str(files("espnet2_cltm.data") / name) if name in SHIPPED else name
