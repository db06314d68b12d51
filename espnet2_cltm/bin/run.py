"""Run the recipe in the working directory, with the options of run.sh."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from espnet2_cltm.bin.command_line import run_command
from espnet2_cltm.errors import UserError

RECIPE = Path(__file__).parents[1] / "recipe" / "run.sh"


def main(cmd: Sequence[str] | None = None) -> None:
    """Become run.sh, in this Python's environment."""
    arguments = list(sys.argv[1:] if cmd is None else cmd)
    run_command(lambda: _become_the_recipe(arguments))


def _become_the_recipe(arguments: Sequence[str]) -> NoReturn:
    here = {"CLTM_RECIPE_DIR": os.getcwd()}
    environment = {**here, **os.environ, "CLTM_PYTHON": sys.executable}
    try:
        os.execvpe("bash", ["bash", str(RECIPE), *arguments], environment)
    except FileNotFoundError:
        raise UserError(
            "bash, which runs the recipe, is missing: install it."
        ) from None


if __name__ == "__main__":
    main()
