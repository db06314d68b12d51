"""Small experiments of both tasks, made in this process, their models kept or not."""

from pathlib import Path

from espnet2_cltm.experiment.execution import make_run
from espnet2_cltm.experiment.layout import ExperimentDir
from espnet2_cltm.experiment.plan import read_plan
from espnet2_cltm.experiment.planning import make_plan
from espnet2_cltm.experiment.results import collect_results, write_results
from espnet2_cltm.experiment.settings import Settings, read_settings
from espnet2_cltm.experiment.states import runs_left
from espnet2_cltm.experiment.writing import write_experiment
from tests.speech import TINY_GENDER, TINY_HUBERT, TINY_SPEAKER

# Dropout, layer drop and masks draw from every generator there is.
HUBERT = {
    **TINY_HUBERT,
    "hidden_dropout": 0.1,
    "layerdrop": 0.1,
    "apply_spec_augment": True,
    "mask_time_prob": 0.3,
}
GENDER = {**TINY_GENDER, "frontend_conf": {"model": HUBERT}}
# Large steps: the epochs differ enough for the languages to choose different ones.
SPEAKER = {
    **TINY_SPEAKER,
    "frontend_conf": {"model": HUBERT},
    "optim_conf": {"lr": 1.0e-2},
    "max_epoch": 4,
}
BUDGETS = {"gender": 2, "speaker": 4}
CONFIGS = {"gender": GENDER, "speaker": SPEAKER}
SPEAKERS = {"train": 3, "dev": 2, "test": 2}


def settings_for(store, tasks=("gender",), **changes):
    """Give settings of an experiment on a store of ``write_dump``."""
    return Settings(
        **{
            "corpus": "demo",
            "dumpdir": str(store),
            "budget": {task: BUDGETS[task] for task in tasks},
            "train_config": {task: CONFIGS[task] for task in tasks},
            **changes,
        }
    )


def plan_experiment(root, settings, languages, seeds=(42,)):
    """Do stage 3."""
    directory = ExperimentDir(Path(root))
    plan = make_plan(settings, languages, seeds, directory)
    write_experiment(directory, plan)
    return directory


def make_left(directory, keep_models="none", make=make_run):
    """Do stage 4; give the names of the runs that were made."""
    settings = read_settings(directory.settings)
    left = runs_left(directory, read_plan(directory.plan))
    for planned in left:
        make(directory, settings, planned, keep_models=keep_models)
    return [planned.run.name for planned in left]


def results_of(directory):
    """Do stage 5; give the bytes of ``results.tsv``."""
    plan = read_plan(directory.plan)
    write_results(directory.results, collect_results(directory, plan))
    return directory.results.read_bytes()


def predictions_of(directory):
    """Give the bytes of every file of predictions."""
    return {
        str(path.relative_to(directory.root)): path.read_bytes()
        for path in sorted(directory.root.glob("runs/*/predictions/*"))
    }
