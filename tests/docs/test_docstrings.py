"""Names that docstrings refer to are those of objects of the package."""

import re
from collections.abc import Iterator

import griffe

from tests.docs.markdown import ROOT

_REFERENCE = re.compile(
    r":(?:class|func|meth|mod|data|attr|exc):`~?(espnet2_cltm[\w.]*)`"
)


def objects(module: griffe.Module) -> Iterator[griffe.Object]:
    """Yield everything that a module defines, itself first."""
    yield module
    for member in module.members.values():
        if isinstance(member, griffe.Module):
            yield from objects(member)
        elif isinstance(member, griffe.Object):
            yield member
            yield from (
                m for m in member.members.values() if isinstance(m, griffe.Object)
            )


def is_in(package: griffe.Module, path: str) -> bool:
    """Return whether a dotted path leads to something, also through an alias."""
    try:
        package[path]
    except KeyError:
        return False
    return True


def test_references_of_docstrings_are_there():
    package = griffe.load("espnet2_cltm", search_paths=[ROOT])
    assert isinstance(package, griffe.Module)
    stale = []
    for one in objects(package):
        for name in _REFERENCE.findall(one.docstring.value if one.docstring else ""):
            path = name.partition(".")[2]
            if path and not is_in(package, path):
                stale.append(f"{one.path} refers to {name}")
    assert not stale
