"""Commands and options that the documentation names exist, and fit together."""

import argparse
import contextlib
import importlib
import io
import pkgutil
import re
import shlex
from collections.abc import Iterator
from functools import lru_cache

import pytest

import espnet2_cltm.bin
from espnet2_cltm.experiment.recipe import choose_tasks
from espnet2_cltm.experiment.recipe_options import BY_TASK, recipe_options
from espnet2_cltm.options import parse
from espnet2_cltm.registry import find_corpus
from tests.docs.markdown import ROOT, blocks, documents, without_blocks

PAGES = documents()
SHELL = ("", "bash", "sh")
SCRIPTS = ("test.sh", "tools/install.sh")
# Options of other people's commands.
FOREIGN = {"no-deps", "strict", "local-dir", "insecure"}
RECIPES = [
    ROOT / "egs2" / "cltm" / name / "README.md" for name in ("asr1", "gender1", "spk1")
]
NEEDS_TORCH = re.compile(
    r"\w+_(train|inference|worker|pretrain|export|targets|experiments)"
)

_COMMAND = re.compile(
    r"^(?:python3? -m espnet2_cltm\.bin\.|(?:\./)?local/)(?P<name>\w+)(?:\.py)?$"
)
_OPTION = re.compile(r"--([A-Za-z<][\w<>-]*)")


def commands(code: str) -> Iterator[list[str]]:
    """Yield the words of each simple command of a shell script."""
    for line in code.replace("\\\n", " ").split("\n"):
        lexer = shlex.shlex(line, posix=True, punctuation_chars=";&|")
        lexer.whitespace_split = True
        words: list[str] = []
        with contextlib.suppress(ValueError):  # not shell: an apostrophe in a text
            for word in [*lexer, ";"]:
                if word and set(word) <= set(";&|"):
                    if words:
                        yield words
                    words = []
                elif words or "=" not in word:
                    words.append(word)


def called(words: list[str]) -> tuple[str | None, list[str]]:
    """Return the command of the package that is called, or None, and its arguments."""
    if words[0] == "cltm" and words[1:]:
        return words[1], words[2:]
    if words[0] in ("python", "python3") and words[1:2] == ["-m"]:
        words = [" ".join(words[:3]), *words[3:]]
    match = _COMMAND.match(words[0])
    return (match["name"] if match else None), words[1:]


@lru_cache
def parser(name: str) -> argparse.ArgumentParser:
    """Return the parser of a command."""
    return importlib.import_module(f"espnet2_cltm.bin.{name}").get_parser()


def check_command(name: str, arguments: list[str]) -> None:
    """Fail where a command does not take arguments."""
    if name.endswith("_train"):  # would read the file of --config
        assert set(arguments[::2]) <= set(parser(name)._option_string_actions)
        return
    with contextlib.redirect_stderr(io.StringIO()) as message:
        try:
            parser(name).parse_args(arguments)
        except SystemExit:
            pytest.fail(message.getvalue())


def shell_commands() -> list[tuple[str, list[str]]]:
    """Return the commands of all pages, each with its page and line."""
    return [
        (f"{page.relative_to(ROOT)}:{block.line}", words)
        for page in PAGES
        for block in blocks(page.read_text(encoding="utf-8"))
        if block.language in SHELL
        for words in commands(block.code)
    ]


def named(needs_torch: bool) -> list:
    """Return the commands of the package that pages call, as parameters of a test."""
    found = []
    for place, words in shell_commands():
        name, arguments = called(words)
        if (
            name not in (None, "run")
            and bool(NEEDS_TORCH.fullmatch(name)) == needs_torch
        ):
            found.append(pytest.param(name, arguments, id=f"{place}-{name}"))
    return found


@pytest.mark.parametrize(("name", "arguments"), named(needs_torch=False))
def test_commands_take_the_arguments_they_are_given(name, arguments):
    check_command(name, arguments)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "arguments"), named(needs_torch=True))
def test_commands_with_torch_take_the_arguments_they_are_given(name, arguments):
    check_command(name, arguments)


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(words[1 + (words[0] == "cltm") :], id=place)
        for place, words in shell_commands()
        if (words[0] == "./run.sh" or words[:2] == ["cltm", "run"])
        if "…" not in words
    ],
)
def test_run_sh_takes_the_options_it_is_given(arguments):
    texts = parse(arguments, recipe_options())
    choose_tasks(texts["task"].split())
    find_corpus(texts["corpus"])


@pytest.mark.slow
def test_options_named_in_the_text_exist():
    known = {*FOREIGN, *recipe_options(), *(f"<task>_{name}" for name in BY_TASK)}
    known |= {"option", "system"}  # the latter of egs2/cltm/spk1/run.sh
    for module in pkgutil.iter_modules(espnet2_cltm.bin.__path__):
        command = importlib.import_module(f"espnet2_cltm.bin.{module.name}")
        if hasattr(command, "get_parser"):
            for option in command.get_parser()._option_string_actions:
                known.add(option.removeprefix("--"))
    for script in SCRIPTS:
        known |= set(_OPTION.findall((ROOT / script).read_text(encoding="utf-8")))
    for page in [*PAGES, *RECIPES]:
        text = page.read_text(encoding="utf-8")
        declared = declared_options(text)
        for code in re.findall(r"`([^`\n]+)`", without_blocks(text)):
            for option in _OPTION.findall(code):
                assert option in known | declared, f"{page.name} names --{option}"


def declared_options(page: str) -> set[str]:
    """Return the options that tasks declared on a page bring along."""
    code = "".join(block.code for block in blocks(page) if block.title)
    tasks = re.findall(r'\bname="(\w+)"', code)
    own = re.findall(r'\bOption\(\s*"(\w+)"', code)
    return {*own, *(f"{task}_{name}" for task in tasks for name in BY_TASK)}
