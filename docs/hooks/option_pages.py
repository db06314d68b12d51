"""Reference of run.sh's options and of all commands, made from their declarations.

reference/options.md lists run.sh's options; those that every task has, such as
``--gender_budget``, once, as ``--<task>_budget``. reference/commands.md has a section
for each module of espnet2_cltm.bin with ``get_parser()``: what it does, and its
options, but for ESPnet's own training options, which a training takes besides.
"""

import argparse
import html
import importlib
import pkgutil
import re
from collections.abc import Iterator
from types import ModuleType

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

import espnet2_cltm.bin
from espnet2_cltm.experiment.recipe_options import BY_TASK, GROUPS, recipe_options
from espnet2_cltm.options import TEXT, WORDS, Option
from espnet2_cltm.registry import corpus_names, task_names

OPTIONS = f"""# Options of run.sh

Written `--name value` or `--name=value`; `-` and `_` in names are the same, and a value
with spaces stands in quotes. All options are checked before the first stage begins.
`./run.sh --help` prints this list, with the tasks and corpora that are installed.

Tasks that come with cltm: {", ".join(f"`{name}`" for name in task_names())}.
Corpora: {", ".join(f"`{name}`" for name in corpus_names())}.
"""
COMMANDS = """# Commands

Each is called as `python -m espnet2_cltm.bin.<name>`, after `. ./path.sh`, or, where
the package is installed, as `cltm <name>`. Those that belong to a stage of the recipe,
and some more, are in `local/` as well, as `local/<name>.py`. `--help` prints the same
on the terminal. Training commands take all of ESPnet's training options besides.
"""
TABLE = "| option | meaning |\n|---|---|\n"

_MARKUP = re.compile(r"([\\`*_\[\]|])")
_ROLE = re.compile(r":(?:class|func|meth|mod|data|attr|exc):`~?([^`]+)`")
_SPECIAL = re.compile(r"``[^`]*``|`[^`]*`|<")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add both pages."""
    groups = "".join(
        f"\n## {group}\n\n{TABLE}"
        + "".join(option_row(o) for o in options_once() if o.group == group)
        for group in GROUPS
    )
    sections = "".join(command_section(command) for command in commands())
    for page, text in (
        ("options", OPTIONS + groups),
        ("commands", COMMANDS + sections),
    ):
        files.append(File.generated(config, f"reference/{page}.md", content=text))
    return files


def options_once() -> Iterator[Option]:
    """Yield every option of run.sh, those that every task has once."""
    for name, (meaning, kind, stages) in BY_TASK.items():
        yield Option(f"<task>_{name}", meaning, kind, "", stages)
    by_task = {f"{task}_{name}" for task in task_names() for name in BY_TASK}
    yield from (o for name, o in recipe_options().items() if name not in by_task)


def option_row(option: Option) -> str:
    """Return an option's row: its name, meaning, what it takes, and default."""
    takes = "" if option.kind in (TEXT, WORDS) else option.kind.wanted
    return row(f"--{option.name}", option.help, takes, option.default)


def row(name: str, meaning: str, takes: str, default: str) -> str:
    """Return a row of a table; a second line says what is taken, and the default."""
    remarks = [takes, f"default: {default}" if default else ""]
    second = "; ".join(remark for remark in remarks if remark)
    return (
        f"| `{name}` | {_cell(meaning)}"
        + (f"<br>*{_cell(second)}*" if second else "")
        + " |\n"
    )


def commands() -> Iterator[ModuleType]:
    """Yield the module of every command, in alphabetical order."""
    for module in pkgutil.iter_modules(espnet2_cltm.bin.__path__):
        command = importlib.import_module(f"espnet2_cltm.bin.{module.name}")
        if hasattr(command, "get_parser"):
            yield command


def command_section(command: ModuleType) -> str:
    """Return one command's section: what it does, and its options, in Markdown."""
    parser = command.get_parser()
    # argparse has no public way to list its groups and their options.
    groups = [g for g in parser._action_groups if not _is_espnet(g.title or "")]
    is_training = len(groups) < len(parser._action_groups)
    description = command.__doc__ if is_training else parser.description
    rows = "".join(
        action_row(action)
        for group in groups
        for action in group._group_actions
        if action.help != argparse.SUPPRESS and "--help" not in action.option_strings
    )
    name = command.__name__.rpartition(".")[2]
    parts = [f"\n## {name}", _text(description), TABLE + rows, _text(parser.epilog)]
    return "\n\n".join(part for part in parts if part)


def action_row(action: argparse.Action) -> str:
    """Return the row of one option of argparse."""
    name = ", ".join(action.option_strings) or str(action.metavar or action.dest)
    meaning = " ".join((action.help or "").replace("%%", "%").split())
    takes = " or ".join(map(str, action.choices or ()))
    default = action.default
    if action.required and action.option_strings:
        takes = "; ".join(filter(None, ("required", takes)))
    if default in (None, "", argparse.SUPPRESS) or "(default" in meaning:
        default = ""
    elif isinstance(default, list | tuple):
        default = " ".join(map(str, default))
    elif isinstance(default, bool):
        default = str(default).lower()
    return row(name, meaning, takes, str(default))


def _is_espnet(title: str) -> bool:
    return title.endswith(" related") or title == "Common configuration"


def _cell(text: str) -> str:
    return html.escape(_MARKUP.sub(r"\\\1", text), quote=False)


def _text(text: str | None) -> str:
    """Turn a docstring into Markdown: roles are code, placeholders stay visible."""
    lines = _ROLE.sub(r"`\1`", text or "").replace("::\n", ":\n").strip().split("\n")
    return "\n".join(
        line
        if line.startswith("    ")
        else _SPECIAL.sub(lambda m: "&lt;" if m[0] == "<" else m[0], line)
        for line in lines
    )
