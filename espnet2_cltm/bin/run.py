"""Run the recipe in the working directory, with the options of run.sh."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from espnet2_cltm.bin.command_line import entry_point
from espnet2_cltm.errors import UserError

RECIPE = Path(__file__).parents[1] / "recipe" / "run.sh"


def _become_the_recipe(arguments: Sequence[str]) -> NoReturn:
    here = {"CLTM_RECIPE_DIR": os.getcwd()}
    environment = {**here, **os.environ, "CLTM_PYTHON": sys.executable}
    try:
        os.execvpe("bash", ["bash", str(RECIPE), *arguments], environment)
    except FileNotFoundError:
        raise UserError(
            "bash, which runs the recipe, is missing: install it."
        ) from None


main = entry_point(_become_the_recipe)

if __name__ == "__main__":
    main()
