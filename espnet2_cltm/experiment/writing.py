"""Writing a planned experiment down, made anew or grown, and saying what it lacks.

An experiment that has a run keeps its settings and its data.
"""

import logging
import shutil
from collections.abc import Sequence

from espnet2_cltm.errors import UserError
from espnet2_cltm.experiment.drawn import Planned, check_same_data, write_drawn
from espnet2_cltm.experiment.layout import ExperimentDir
from espnet2_cltm.experiment.plan import PlannedRun, read_plan, write_plan
from espnet2_cltm.experiment.settings import check_unchanged, write_settings
from espnet2_cltm.experiment.states import Claims
from espnet2_cltm.files import remove_if_there


def is_begun(directory: ExperimentDir) -> bool:
    """Return whether an experiment has a run that is done or being made."""
    names = [path.name for path in directory.runs.glob("*")]
    if any(directory.metrics(name).exists() for name in names):
        return True
    if not directory.claims.exists():
        return False
    claims = Claims(directory.claims)
    is_taken = any(claims.holder(name) is not None for name in names)
    claims.close()
    return is_taken


def write_experiment(directory: ExperimentDir, planned: Planned) -> None:
    """Write what the runner needs; the plan comes last.

    Args:
        directory: Directory of a new or growing experiment. One without any run is
            made anew where its settings or data are others, or damaged.
        planned: Plan from :func:`.planning.make_plan`.

    Raises:
        UserError: The experiment has runs, and other settings or other data.
    """
    try:
        check_unchanged(directory.settings, planned.settings)
        check_same_data(directory, planned)
    except UserError as error:
        if is_begun(directory):
            raise
        logging.warning(
            "%s is made anew, as it had no run yet, and other settings or data: %s",
            directory.root,
            error,
        )
        for path in (directory.root / "data", directory.runs):
            shutil.rmtree(path, ignore_errors=True)
        remove_if_there(directory.plan, directory.settings, directory.encoders)
    write_settings(directory.settings, planned.settings)
    write_drawn(directory, planned)
    _say_what_leaves(directory, planned.runs)
    write_plan(directory.plan, planned.runs)


def log_notes(planned: Planned) -> None:
    """Log what is left out of the tasks and why, one line each."""
    for (task, lang), reason in planned.left_out.items():
        logging.warning("%s is left out of %s: %s", lang, task, reason)
    for (task, lang), language in planned.drawn.items():
        for note in language.notes:
            logging.info("%s, %s, %s", lang, task, note)


def _say_what_leaves(directory: ExperimentDir, runs: Sequence[PlannedRun]) -> None:
    """Log how many runs of the previous plan are not in the new one."""
    if not directory.plan.exists():
        return
    names = {planned.run.name for planned in runs}
    try:
        gone = [p for p in read_plan(directory.plan) if p.run.name not in names]
    except UserError:  # damaged, and written again now
        return
    if gone:
        logging.warning(
            "%d runs of the previous plan, %s first, are no longer in the plan; those "
            "done are kept. To have them in the matrix, give all --langs, --seeds, "
            "tasks and strategies (and for a curve every N of --regime_budgets).",
            len(gone),
            gone[0].run.name,
        )
