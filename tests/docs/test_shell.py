"""Commands and options that the documentation names exist, and fit together."""

import argparse
import contextlib
import importlib
import io
import re
import shlex
from collections.abc import Iterator
from functools import lru_cache

import pytest

from tests.docs.markdown import blocks, documents

PAGES = documents()
SHELL = ("", "bash", "sh")
# Options of other people's commands.
FOREIGN = {
    "mkdocs": {"strict"},
    "pip": {"no-deps"},
    "hf": {"local-dir"},
    "git": set(),
}

_COMMAND = re.compile(
    r"^(?:python3? -m espnet2_cltm\.bin\.|(?:\./)?local/)(?P<name>\w+)(?:\.py)?$"
)


def commands(code: str) -> Iterator[list[str]]:
    """Yield the words of each simple command of a shell script."""
    for line in code.replace("\\\n", " ").split("\n"):
        with contextlib.suppress(ValueError):
            lexer = shlex.shlex(line, posix=True, punctuation_chars=";&|")
            lexer.whitespace_split = True
            words: list[str] = []
            for word in [*lexer, ";"]:
                if set(word) <= set(";&|"):
                    if words:
                        yield words
                    words = []
                elif words or "=" not in word:
                    words.append(word)


def called(words: list[str]) -> tuple[str | None, list[str]]:
    """Return the command of the package that is called, or None, and its arguments."""
    if words[0] in ("python", "python3") and words[1:2] == ["-m"]:
        words = [" ".join(words[:3]), *words[3:]]
    match = _COMMAND.match(words[0])
    return (match["name"] if match else None), words[1:]


@lru_cache
def parser(name: str) -> argparse.ArgumentParser:
    """Return the parser of a command."""
    return importlib.import_module(f"espnet2_cltm.bin.{name}").get_parser()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_commands_take_the_arguments_they_are_given(page):
    for block in blocks(page.read_text(encoding="utf-8")):
        if block.language not in SHELL:
            continue
        for words in commands(block.code):
            name, arguments = called(words)
            if name is None:
                continue
            if name.endswith("_train"):  # reads the file of --config
                assert set(arguments[::2]) <= set(parser(name)._option_string_actions)
                continue
            with contextlib.redirect_stderr(io.StringIO()) as message:
                try:
                    parser(name).parse_args(arguments)
                except SystemExit:
                    pytest.fail(f"{page.name}:{block.line}: {message.getvalue()}")
