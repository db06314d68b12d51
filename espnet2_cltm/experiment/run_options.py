"""The options of stage 4: who makes the runs, with what, and which models are kept.

No result depends on them. run.sh, ``run_plan``, ``run_worker`` and the dry run of
stage 3 take them from here.
"""

import argparse
import os

from espnet2_cltm.experiment.plan import KEEP_CHOICES
from espnet2_cltm.options import CONF_FILE, POSITIVE, TRUTH, WHOLE, Kind, Option, one_of


def _option(name: str, text: str, kind: Kind, default: str, *stages: int) -> Option:
    return Option(name, text, kind, default, stages, "Resources", shapes_result=False)


WORKER_OPTIONS = (
    _option(
        "audio_cache",
        "MB of prepared test audio that a process keeps in memory, and as many of what "
        "is frozen of the encoder",
        WHOLE,
        "500",
        *(3, 4),
    ),
    _option(
        "keep_models",
        "runs whose trained model is kept as model.zip: none, single or all; a "
        "language that is added later is only tested on models of single runs",
        one_of(*KEEP_CHOICES),
        "none",
        *(3, 4),
    ),
    _option(
        "layers",
        "measure what each run does to every layer of its encoder; a run that was made "
        "without is measured if its model is kept",
        TRUTH,
        "false",
        *(3, 4),
    ),
)
"""What is handed on to every worker."""

RUN_OPTIONS = (
    _option(
        "nj",
        "number of processes; without it, the number of cores, or ngpu * jobs_per_gpu",
        POSITIVE,
        "",
        *(1, 2, 3, 4),
    ),
    _option("ngpu", "number of GPUs, 0 for the CPU", WHOLE, "0", 3, 4),
    _option("jobs_per_gpu", "runs made at once on each GPU", POSITIVE, "1", 3, 4),
    _option(
        "executor",
        "where the runs are made: local (on this machine) or slurm (jobs of a cluster)",
        one_of("local", "slurm"),
        "local",
        *(3, 4),
    ),
    _option(
        "slurm_config",
        "what each Slurm job asks for, in place of --nj and --jobs_per_gpu",
        CONF_FILE,
        "conf/slurm.yaml",
        *(3, 4),
    ),
    _option(
        "retry",
        "runs that failed before: failed to make them again, none to leave them",
        one_of("failed", "none"),
        "failed",
        4,
    ),
    *WORKER_OPTIONS,
)


def handed_on(args: argparse.Namespace) -> list[str]:
    """Return the command-line options that every worker gets.

    Args:
        args: Parsed :data:`RUN_OPTIONS`.
    """
    given = {option.name: getattr(args, option.name) for option in WORKER_OPTIONS}
    # Python's True is the recipe's true.
    texts = {k: str(v).lower() if isinstance(v, bool) else v for k, v in given.items()}
    return [word for k, text in texts.items() for word in (f"--{k}", str(text))]


def number_of_workers(nj: int | None, ngpu: int, jobs_per_gpu: int) -> int:
    """Return the number of processes of this machine that make runs.

    Args:
        nj: ``--nj``; None: ``jobs_per_gpu`` on each GPU, without GPU one a core.
        ngpu: Number of GPUs.
        jobs_per_gpu: Number of runs made at once on each GPU.
    """
    return nj or ngpu * jobs_per_gpu or len(os.sched_getaffinity(0))
