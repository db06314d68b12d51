"""The stages of run.sh in one process, which imports ESPnet once.

``python -m tests.integration.stages OPTIONS`` does what ``./run.sh OPTIONS`` does in
the working directory, its runs included.
"""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from espnet2_cltm.bin import (
    build_matrix,
    dump_audio,
    find_regime,
    make_plan,
    prepare_data,
    run_plan,
    score,
)
from espnet2_cltm.bin.command_line import run_command
from espnet2_cltm.experiment.layout import ExperimentDir
from espnet2_cltm.experiment.recipe import Recipe, resolve

ROOT = Path(__file__).parents[2]


def do_stages(
    options: Sequence[object],
    directory: Path,
    make: Callable[[ExperimentDir], object] | None = None,
    checked: Callable[[], object] = lambda: None,
) -> None:
    """Do what run.sh is asked to.

    Args:
        options: Options of run.sh.
        directory: The recipe's directory, which is the working directory.
        make: Function that makes an experiment's runs; None has workers of their own do
            that.
        checked: Function that is called once the options are checked.
    """
    environment = {"CLTM_ROOT": str(ROOT), "CLTM_RECIPE_DIR": str(directory)}
    environment |= {"DEMO": "downloads/demo", "cmd_backend": "local"}
    found: list[Recipe] = []
    run_command(lambda: found.append(resolve([*map(str, options)], environment)))
    checked()
    (recipe,) = found
    mains = {
        1: prepare_data.main,
        2: dump_audio.main,
        3: make_plan.main,
        4: (lambda _: make(ExperimentDir(recipe.exp))) if make else run_plan.main,
        5: score.main,
    }
    for stage in range(recipe.stage, min(recipe.stop_stage, 5) + 1):
        mains[stage](recipe.arguments[f"stage{stage}"])
    for task in recipe.tasks if recipe.stop_stage == 6 else ():
        show = find_regime.main if recipe.is_regime else build_matrix.main
        show(recipe.arguments[f"stage6_{task}"])


if __name__ == "__main__":
    from espnet2_cltm.experiment.worker import work

    do_stages(sys.argv[1:], Path.cwd(), work)
