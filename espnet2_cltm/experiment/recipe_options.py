"""The options of run.sh: their declarations, and the help that lists them.

Those of stages 1 and 2 are in :mod:`espnet2_cltm.corpus.options`, those of stage 4 in
:mod:`espnet2_cltm.experiment.run_options`, a task's own beside the task, the others
here.
"""

from dataclasses import replace

from espnet2_cltm.corpus.options import (
    DATADIR,
    DECODE,
    DUMPDIR,
    STAGE_1_OPTIONS,
    STAGE_2_OPTIONS,
)
from espnet2_cltm.errors import UserError
from espnet2_cltm.experiment.adaptive import DESIGNS, FULL_DESIGN
from espnet2_cltm.experiment.plan import STEPS_CHOICES
from espnet2_cltm.experiment.run_options import RUN_OPTIONS
from espnet2_cltm.options import (
    AMOUNT,
    AMOUNTS,
    CONF_FILE,
    DIRECTORY,
    NAME,
    NUMBERS,
    POSITIVE,
    SEEDS,
    SHARE,
    TEXT,
    TRUTH,
    WHOLE,
    WORDS,
    Kind,
    Option,
    help_lines,
    one_of,
    stage_up_to,
)
from espnet2_cltm.pools import POOLS_KIND, SIZES_KIND
from espnet2_cltm.registry import corpus_names, find_task, task_names
from espnet2_cltm.task import TaskSpec


def _read_freeze(text: str) -> str:
    if text not in ("none", "cnn", "all") and not text.isdecimal():
        raise ValueError
    return text


STAGE = stage_up_to(6)
FREEZE = Kind(_read_freeze, "none, cnn, all or a number of transformer layers")

FLOW_OPTIONS = (
    Option("stage", "first stage", STAGE, "1", (), "Flow", False),
    Option("stop_stage", "last stage", STAGE, "6", (), "Flow", False),
    Option(
        "dry_run",
        "stop in stage 3 after printing what the experiment will cost",
        TRUTH,
        "false",
        (3,),
        "Flow",
        False,
    ),
    Option("task", "tasks, separated by spaces", WORDS, "gender speaker", (3,), "Flow"),
    Option(
        "corpus",
        "name of the corpus; demo is the tasks' own demo (asr: demo_words)",
        TEXT,
        "demo",
        (1, 2, 3),
        "Data",
    ),
)


def _of_stage_3(name: str, text: str, kind: Kind = TEXT, default: str = "") -> Option:
    return Option(name, text, kind, default, (3,))


STAGE_3_OPTIONS = (
    Option("budget", "N of a single run, in the unit of each task", POSITIVE),
    _of_stage_3("seeds", "seeds, each with one run of every kind", SEEDS, "42-51"),
    _of_stage_3(
        "model",
        "encoder (HuBERT, wav2vec 2.0, XLS-R, WavLM, w2v-BERT, data2vec-audio, "
        "UniSpeech): hub id, directory, or YAML file of a small random one; left out, "
        "the one in the training configuration",
    ),
    _of_stage_3(
        "freeze",
        "part of the encoder to keep fixed, computed once for each utterance: none, "
        "cnn, all or the number of lowest transformer layers; left out, as in the "
        "training configuration",
        FREEZE,
    ),
    _of_stage_3(
        "steps",
        "optimiser steps of a run: equal (those of a double run, for all), data (as "
        "published: twice the data, twice the steps) or both (equal, and single and "
        "double runs as data, too)",
        one_of(*STEPS_CHOICES),
        "equal",
    ),
    _of_stage_3(
        "strategy",
        "how the encoder is adapted, such as 'full lora llrd' or 'lora+augment': files "
        "conf/strategies/<name>.yaml, each laid over the training configuration, for "
        "runs and a matrix of its own; left out, as the training configuration says",
        WORDS,
    ),
    _of_stage_3("zero_shot", "test single runs on every language", TRUTH, "true"),
    _of_stage_3(
        "pairs_fraction",
        "share of the pairs of languages that is measured, balanced over languages; in "
        "an adaptive design, the largest share of their runs",
        SHARE,
        "1",
    ),
    _of_stage_3(
        "design",
        "which pairs are measured: full (all, or a balanced share) or adaptive (in "
        "rounds, those that tell most about each target's best three donors, until "
        "--certainty, or --pairs_fraction of the runs of pairs)",
        one_of(*DESIGNS),
        FULL_DESIGN,
    ),
    _of_stage_3(
        "certainty",
        "probability with which the best donors of every target are to be known, where "
        "an adaptive design ends",
        SHARE,
        "0.9",
    ),
    _of_stage_3("pairs_seed", "seed that draws which pairs", WHOLE, "0"),
    _of_stage_3(
        "regime_budgets",
        "every N of learning curves, such as '4 8 16 32', in place of a matrix: a "
        "single run of every language at every N, tested on that language; at least "
        "one N needs its double in the list, and --budget is not used",
        AMOUNTS,
    ),
    _of_stage_3(
        "pools",
        "pools of donors for targets taken as having no data: all (other languages), "
        "nearest:3, recommended:3 (as predicted from the results that there are), "
        "random:3, donors joined by '+'; each is trained without its target and tested "
        "on it",
        POOLS_KIND,
    ),
    _of_stage_3(
        "pool_sizes",
        "what N counts in a pool: each (donor), total (of all donors) or both",
        SIZES_KIND,
        "each",
    ),
    _of_stage_3(
        "pool_targets",
        "languages taken as having no data; left out, every language in turn",
        WORDS,
    ),
    _of_stage_3(
        "pool_method",
        "how one model is made of a pool's donors: joint (one training on all), merge "
        "(their single runs averaged), fedavg, fedprox, reptile, fomaml, one or more; "
        "files conf/pool_methods/<name>.yaml hold their options",
        WORDS,
        "joint",
    ),
    _of_stage_3("pools_seed", "seed that draws random pools", WHOLE, "0"),
    _of_stage_3(
        "shots",
        "numbers of the target's own utterances, such as '1 2 4 8', in the unit of N: "
        "training goes on with them after each pool, and begins with as many from the "
        "encoder alone",
        NUMBERS,
    ),
    _of_stage_3(
        "shared_speakers",
        "treat speakers of one name, apart from <lang>-, as one person in all "
        "languages, and train on nobody who is tested; left out, the corpus decides",
        TRUTH,
    ),
    _of_stage_3(
        "test_batch_bins",
        "most samples in a test batch (affects memory, and the last bits of results)",
        POSITIVE,
        "480000",
    ),
    Option(
        "tag",
        "name of the experiment; left out, made of the corpus, the tasks and N, such "
        "as demo_gender_n2_speaker_n32 or demo_gender_regime",
        NAME,
    ),
)
STAGE_5_OPTIONS = (
    Option(
        "rescore",
        "score the predictions again, instead of reading each run's metrics.json",
        TRUTH,
        "false",
        (5,),
        "Experiment",
        False,
    ),
)
DISTANCES = Option(
    "distances",
    "table of distances between languages, of those that are not known here or of "
    "another kind, such as local/measure_distances.py writes",
    TEXT,
    "",
    (3, 6),
    "Places",
)
STAGE_6_OPTIONS = (
    Option(
        "languages_conf",
        "names and families of languages",
        CONF_FILE,
        "conf/languages.yaml",
        (6,),
        "Places",
    ),
    DISTANCES,
)
PLACE_OPTIONS = (
    DATADIR,
    DUMPDIR,
    Option("expdir", "directory of experiments", DIRECTORY, "exp", (), "Places"),
)
BY_TASK = {
    "budget": (
        "another N for this task; where it can count seconds of audio, also 120s",
        AMOUNT,
        (3,),
    ),
    "config": ("ESPnet training configuration", TEXT, (3,)),
    "metric": ("metric of the matrix; left out, the task's first", TEXT, ()),
}
"""Options that every task has, ``--<task>_<name>``: help, kind and stages."""

_HELP = """\
Usage: {program} [--stage 1] [--stop_stage 6] [--option value ...]

Measures how much speech of one language helps a task in another, and draws the
cross-lingual transfer matrix of each task. Without options it builds the demo.

Stages: 1 prepare each language   2 decode audio   3 draw subsets, write the plan
        4 make every run          5 score          6 matrix, figures, report
Each can be run again alone; it does only what is missing.
"""
GROUPS = ("Flow", "Data", "Experiment", "Resources", "Places")


def task_options(spec: TaskSpec) -> list[Option]:
    """Return the options of one task: those that every task has, and its own."""
    return [
        Option(f"{spec.name}_{name}", help_text, kind, "", stages)
        for name, (help_text, kind, stages) in BY_TASK.items()
    ] + [_of_task(option, spec) for option in spec.options]


def _of_task(option: Option, spec: TaskSpec) -> Option:
    return replace(option, help=f"{spec.name}: {option.help}", stages=(3,))


def recipe_options() -> dict[str, Option]:
    """Return every option of run.sh by name.

    Raises:
        UserError: Two declarations have one name.
    """
    declared = [
        *FLOW_OPTIONS,
        *STAGE_1_OPTIONS,
        *STAGE_2_OPTIONS,
        DECODE,
        *STAGE_3_OPTIONS,
        *(o for name in task_names() for o in task_options(find_task(name))),
        *STAGE_5_OPTIONS,
        *STAGE_6_OPTIONS,
        *RUN_OPTIONS,
        *PLACE_OPTIONS,
    ]
    options: dict[str, Option] = {}
    for option in declared:
        if option.name in options and options[option.name].kind != option.kind:
            raise UserError(
                f"Two tasks, corpora or parts of the recipe declare the option "
                f"--{option.name}: rename it in one of them."
            )
        options.setdefault(option.name, option)
    return options


def help_text(program: str = "./run.sh") -> str:
    """Return run.sh's help: every option with its default, by group.

    Args:
        program: What the recipe is called as.
    """
    lines = [
        _HELP.format(program=program),
        f"Tasks: {', '.join(task_names())}, and those of conf/tasks/*.yaml.",
        f"Corpora: {', '.join(corpus_names())}.",
    ]
    by_task = {f"{task}_{name}" for task in task_names() for name in BY_TASK}
    options = [o for o in recipe_options().values() if o.name not in by_task]
    options += [Option(f"<task>_{n}", h, k) for n, (h, k, _) in BY_TASK.items()]
    return "\n".join([*lines, *help_lines(options, GROUPS)]) + "\n"
