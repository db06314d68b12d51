"""The command ``cltm`` of the installed package: ``cltm <command> [option ...]``.

Its commands are the modules of this package that end in ``main()``: ``cltm abx`` is
``python -m espnet2_cltm.bin.abx``. Only the one that is called is imported.
"""

import ast
import difflib
import importlib
import sys
from collections.abc import Sequence
from pathlib import Path

from espnet2_cltm import __version__

_NONE_OF_THEM = ("cltm", "recipe")  # this module, and what run.sh evaluates


def commands() -> dict[str, str]:
    """Return the first sentence of what each command does, by its name."""
    found = {}
    for path in sorted(Path(__file__).parent.glob("[a-z]*.py")):
        code = path.read_text(encoding="utf-8")
        if code.endswith("\n    main()\n") and path.stem not in _NONE_OF_THEM:
            first = (ast.get_docstring(ast.parse(code)) or "").partition("\n\n")[0]
            found[path.stem] = " ".join(first.split())
    return found


def help_text() -> str:
    """Return the list of the commands."""
    known = commands()
    width = max(map(len, known))
    return "\n".join(
        [
            "Usage: cltm <command> [--option value ...]",
            "",
            *(f"  {name:<{width}}  {does}" for name, does in known.items()),
            "",
            "cltm run --stage 1 --stop_stage 6 builds the demo. --help after a command "
            "lists its options.",
        ]
    )


def main(cmd: Sequence[str] | None = None) -> None:
    """Call the command that the first argument names with the others."""
    arguments = list(sys.argv[1:] if cmd is None else cmd)
    if not arguments or arguments[0] in ("--help", "-h", "help"):
        print(help_text())
        return
    if arguments[0] == "--version":
        print(f"cltm {__version__}")
        return
    name = arguments[0].replace("-", "_")
    known = commands()
    if name not in known:
        near = difflib.get_close_matches(name, known, 1)
        hint = f"did you mean {near[0]}? " if near else ""
        print(
            f"cltm: error: {arguments[0]} is not a command: {hint}--help lists them.",
            file=sys.stderr,
        )
        sys.exit(2)
    sys.argv = [f"cltm {name}", *arguments[1:]]  # the name that messages begin with
    importlib.import_module(f"espnet2_cltm.bin.{name}").main()


if __name__ == "__main__":
    main()
