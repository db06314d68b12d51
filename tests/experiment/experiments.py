"""An experiment of a few planned runs, with the files that runs leave."""

import json

from espnet2_cltm.experiment.layout import ExperimentDir
from espnet2_cltm.experiment.plan import PlannedRun, all_runs, write_plan
from espnet2_cltm.files import write_text


def planned_experiment(root, languages=("es", "fi", "tr"), seeds=(42,)):
    """Write a plan; give the experiment and the names of its runs."""
    directory = ExperimentDir(root)
    runs = all_runs("gender", languages, 3, seeds)
    write_plan(
        directory.plan,
        [
            PlannedRun(r, 6, 1.0, tuple(r.test_languages(languages, True)), 4, 1.0)
            for r in runs
        ],
    )
    return directory, [run.name for run in runs]


def end_run(directory, planned):
    """Leave what a run leaves that is done."""
    tested = {lang: {} for lang in planned.test_languages}
    write_text(directory.metrics(planned.run.name), json.dumps({"test": tested}))


def fail_run(directory, name, reason="out of luck"):
    """Leave what a run leaves that has failed."""
    write_text(directory.failure(name), f"{reason}\n\nwith details\n")
