"""Reference of commands, made from each one's own parser.

Every module of espnet2_cltm.bin that has ``get_parser()`` is a command and becomes a
section of reference/commands.md: what it does, and a table of its options. ESPnet's own
training options, which a training takes besides, are left out.
"""

import argparse
import html
import importlib
import pkgutil
import re
from collections.abc import Iterator

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

import espnet2_cltm.bin

INTRODUCTION = """# Commands

Each is called as `python -m espnet2_cltm.bin.<name>`, after `. ./path.sh`. Those that
belong to a stage of the recipe, and some more, are in `local/` as well, as
`local/<name>.py`. `<name> --help` prints the same on the terminal.

"""
_ROLE = re.compile(r":(?:class|func|meth|mod|data|attr|exc):`~?([^`]+)`")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the page of commands."""
    text = INTRODUCTION + "\n".join(
        command_section(name, parser) for name, parser in command_parsers()
    )
    files.append(File.generated(config, "reference/commands.md", content=text))
    return files


def command_parsers() -> Iterator[tuple[str, argparse.ArgumentParser]]:
    """Yield the name and the parser of every command, in alphabetical order."""
    for module in pkgutil.iter_modules(espnet2_cltm.bin.__path__):
        command = importlib.import_module(f"espnet2_cltm.bin.{module.name}")
        if hasattr(command, "get_parser"):
            yield module.name, command.get_parser()


def command_section(name: str, parser: argparse.ArgumentParser) -> str:
    """Return one command's section: description and options, in Markdown."""
    # argparse has no public way to list its groups and their options.
    groups = [
        group for group in parser._action_groups if not _is_espnet(group.title or "")
    ]
    rows = "\n".join(
        _row(action)
        for group in groups
        for action in group._group_actions
        if action.help != argparse.SUPPRESS and "--help" not in action.option_strings
    )
    return (
        f"## {name}\n\n{as_markdown(parser.description or '')}\n\n"
        f"| option | meaning | default |\n|---|---|---|\n{rows}\n\n"
        f"{as_markdown(parser.epilog or '')}\n"
    )


def _is_espnet(title: str) -> bool:
    return title.endswith(" related") or title == "Common configuration"


def _row(action: argparse.Action) -> str:
    names = ", ".join(action.option_strings) or str(action.metavar or action.dest)
    if action.choices is not None:
        names += " {" + ",".join(map(str, action.choices)) + "}"
    required = action.required and action.option_strings
    default = "required" if required else _shown(action.default)
    meaning = " ".join((action.help or "").replace("%%", "%").split())
    return f"| `{names}` | {_cell(meaning)} | {default} |"


def _shown(default: object) -> str:
    if default is None or default in ("", argparse.SUPPRESS):
        return ""
    if isinstance(default, list | tuple):
        default = " ".join(map(str, default))
    return f"`{default}`".replace("|", r"\|")


def _cell(text: str) -> str:
    return html.escape(text, quote=False).replace("|", r"\|")


def as_markdown(text: str) -> str:
    """Turn a docstring's reStructuredText into Markdown."""
    return _ROLE.sub(r"`\1`", text).replace("::\n", ":\n").strip()
