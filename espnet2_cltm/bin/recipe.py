"""Check a recipe's options and print, as bash assignments, what its stages need."""

import os
import sys
from collections.abc import Sequence

from espnet2_cltm.bin.command_line import run_command
from espnet2_cltm.experiment.recipe import called_as, resolve
from espnet2_cltm.experiment.recipe_options import help_text
from espnet2_cltm.pretraining.options import resolve_ssl, ssl_help


def main(cmd: Sequence[str] | None = None) -> None:
    """Resolve the options of run.sh, given as arguments.

    A leading ``--ssl`` selects the pretraining recipe.
    """
    arguments = list(sys.argv[1:] if cmd is None else cmd)
    is_ssl = arguments[:1] == ["--ssl"]
    arguments = arguments[is_ssl:]
    program = called_as(os.environ)
    sys.argv[0] = program  # the name that messages begin with
    if "--help" in arguments or "-h" in arguments:
        text = ssl_help() if is_ssl else help_text(program)
        # run.sh evaluates this, and stops.
        print(f"cat <<'CLTM_HELP'\n{text}CLTM_HELP\nexit 0")
    elif is_ssl:
        run_command(lambda: print(resolve_ssl(arguments, os.environ), end=""))
    else:
        run_command(lambda: print(resolve(arguments, os.environ).shell(), end=""))


if __name__ == "__main__":
    main()
