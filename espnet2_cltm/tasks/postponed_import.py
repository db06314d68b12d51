"""Putting off the import of a module until one of its names is used."""

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any


@contextmanager
def importing_later(name: str) -> Iterator[None]:
    """Make ``import <name>`` free within the block.

    What the block imports holds a stand-in, whose first use imports the module;
    where it is not installed that raises ``ModuleNotFoundError``, as an import
    would. Nothing happens where the module has been imported already.

    Args:
        name: A top-level module.
    """
    if name in sys.modules:
        yield
        return
    stand_in = _PostponedModule(name)
    sys.modules[name] = stand_in
    try:
        yield
    finally:
        if sys.modules.get(name) is stand_in:
            del sys.modules[name]


class _PostponedModule(ModuleType):
    def __getattr__(self, attribute: str) -> Any:
        # The import system and inspection ask for dunders; they are no use of it.
        if attribute.startswith("__"):
            raise AttributeError(attribute)
        if sys.modules.get(self.__name__) is self:
            del sys.modules[self.__name__]
        return getattr(importlib.import_module(self.__name__), attribute)
