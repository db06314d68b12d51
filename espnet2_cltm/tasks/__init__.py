"""The tasks, as ESPnet tasks.

ESPnet's phoneme tokenizer, which its collate function brings along, imports
``g2p_en``. That import takes seconds, tries to download data, and is of no use to
these tasks, so it is put off until something asks for it.
"""

from contextlib import redirect_stdout
from importlib.util import find_spec
from io import StringIO

from espnet2_cltm.tasks.postponed_import import importing_later

if find_spec("espnet2") is None:
    raise ModuleNotFoundError(
        "ESPnet is missing in this environment: run tools/install.sh, or install it "
        "with pip install --no-deps -r tools/requirements-espnet.txt",
        name="espnet2",
    )

with importing_later("g2p_en"):
    import espnet2.text.phoneme_tokenizer  # noqa: F401

# It prints that Flash Attention is not installed, which nobody here asked for.
with redirect_stdout(StringIO()):
    import espnet.nets.pytorch_backend.transformer.attention  # noqa: F401
