"""Check a recipe's options and print, as bash assignments, what its stages need."""

import os
import sys
from collections.abc import Callable, Mapping, Sequence

from espnet2_cltm.bin.command_line import run_command
from espnet2_cltm.calling import recipe_call
from espnet2_cltm.experiment.recipe import resolve
from espnet2_cltm.experiment.recipe_options import help_text
from espnet2_cltm.gap.options import gap_help, resolve_gap
from espnet2_cltm.pretraining.options import resolve_ssl, ssl_help

_RECIPES: Mapping[str, tuple[Callable[[], str], Callable[..., str]]] = {
    "--ssl": (ssl_help, resolve_ssl),
    "--gap": (gap_help, resolve_gap),
}


def _resolve(arguments: Sequence[str], environment: Mapping[str, str]) -> str:
    return resolve(arguments, environment).shell()


def main(cmd: Sequence[str] | None = None) -> None:
    """Resolve the options of run.sh, given as arguments.

    A leading ``--ssl`` selects the pretraining recipe, ``--gap`` that of the
    multilingual gap.
    """
    arguments = list(sys.argv[1:] if cmd is None else cmd)
    recipe = arguments.pop(0) if arguments and arguments[0] in _RECIPES else ""
    program = recipe_call()
    sys.argv[0] = program  # the name that messages begin with
    show_help, assignments = _RECIPES.get(
        recipe, (lambda: help_text(program), _resolve)
    )
    if "--help" in arguments or "-h" in arguments:
        # run.sh evaluates this, and stops.
        print(f"cat <<'CLTM_HELP'\n{show_help()}CLTM_HELP\nexit 0")
    else:
        run_command(lambda: print(assignments(arguments, os.environ), end=""))


if __name__ == "__main__":
    main()
