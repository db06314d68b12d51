"""No message advises an option that does not exist."""

import ast
import importlib
import re
from pathlib import Path

import pytest

import espnet2_cltm
from espnet2_cltm.experiment.recipe_options import recipe_options
from espnet2_cltm.gap.options import GAP_OPTIONS
from espnet2_cltm.pretraining.options import SSL_OPTIONS

PACKAGE = Path(espnet2_cltm.__file__).parent
# Of Slurm, of pip, of style sheets, of cltm itself, and in place of any option.
FOREIGN = {
    *("help", "parsable", "array", "format", "clusters", "noheader", "state"),
    *("user", "no", "share", "name", "option", "ssl", "gap", "version"),
}


def messages(tree: ast.AST) -> set[str]:
    """Every text of a file but docstrings."""
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef)
    docs = {
        node.body[0].value
        for node in ast.walk(tree)
        if isinstance(node, documented) and node.body
        if isinstance(node.body[0], ast.Expr)
    }
    return {
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
        if node not in docs
    }


def known_options() -> set[str]:
    recipes = (*SSL_OPTIONS, *GAP_OPTIONS)
    names = {*recipe_options(), *(option.name for option in recipes), *FOREIGN}
    for path in PACKAGE.glob("bin/*.py"):
        module = importlib.import_module(f"espnet2_cltm.bin.{path.stem}")
        if hasattr(module, "get_parser"):
            names |= {
                word.removeprefix("--")
                for action in module.get_parser()._actions
                for word in action.option_strings
            }
    return names


@pytest.mark.slow
def test_messages_name_options_that_exist():
    known = known_options()
    unknown = {}
    for path in PACKAGE.rglob("*.py"):
        for text in messages(ast.parse(path.read_text())):
            for name in re.findall(r"(?<![\w-])--([a-z]\w+)", text):
                if name not in known:
                    unknown.setdefault(name, path.relative_to(PACKAGE))
    assert not unknown, " ".join(sorted(unknown))
