"""How much disk a run will take, from what a small run has left.

Every file and directory takes whole blocks, which is most of it: a run leaves a dozen
small files.
"""

from espnet2_cltm.experiment.drawn import Planned
from espnet2_cltm.experiment.keep_choices import is_kept
from espnet2_cltm.experiment.plan import PlannedRun
from espnet2_cltm.experiment.timed_runs import TimedTask

BLOCK = 4096
"""Bytes, the unit of the usual file systems."""

METRICS_BYTES = 400
"""Of each further test in ``metrics.json``, as measured on finished runs."""


def run_bytes(
    planned: Planned, run: PlannedRun, timed: TimedTask, keep_models: str
) -> int:
    """Predict what a run leaves on disk.

    Args:
        planned: The plan.
        run: The run.
        timed: What a small run of the task has left.
        keep_models: Of which runs the models are kept.

    Returns:
        Bytes, in whole blocks.
    """
    task = run.run.task
    left = timed.large[-1]
    n_dev = sum(
        len(planned.drawn[task, lang].dev.utterances) for lang in run.run.languages
    )
    size = 0
    directories = {"."}
    for name, n_bytes in left.files.items():
        part, _, below = name.partition("/")
        if below:
            directories.add(part)
        if part == "predictions":
            for test in run.test_languages:
                n_items = planned.tested(task, test).n_items
                size += _blocks(n_bytes * n_items / left.test_items)
        elif part == "train":
            size += _blocks(n_bytes * run.utterances / left.utterances)
        elif part == "valid":
            # ESPnet wants some even where nothing is validated.
            n_valid = n_dev or run.utterances
            size += _blocks(
                n_bytes * n_valid / (left.dev_utterances or left.utterances)
            )
        elif part == "metrics.json":
            size += _blocks(n_bytes + METRICS_BYTES * (len(run.test_languages) - 1))
        elif part != "model.zip" or is_kept(keep_models, run.run):
            size += _blocks(n_bytes)
    return size + BLOCK * len(directories)


def _blocks(n_bytes: float) -> int:
    return BLOCK * -(-round(n_bytes) // BLOCK)
