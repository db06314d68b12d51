"""What Python imports as it starts, where ``cltm python`` has put this first.

Imports the package, which has ESPnet's tasks offer its frontend, in this process and,
by the environment, in every one that it starts; then what it hides.
"""

import sys
from importlib.machinery import PathFinder
from importlib.util import module_from_spec
from pathlib import Path

import espnet2_cltm  # noqa: F401

_HERE = Path(__file__).parent
_others = [place for place in sys.path if Path(place).absolute() != _HERE]
_hidden = PathFinder.find_spec("sitecustomize", _others)
if _hidden is not None and _hidden.loader is not None:
    _hidden.loader.exec_module(module_from_spec(_hidden))
