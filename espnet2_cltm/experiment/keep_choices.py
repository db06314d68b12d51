"""Of which runs ``--keep_models`` keeps the models; free of torch, for the runner."""

from espnet2_cltm.experiment.run import Run

KEEP_CHOICES = ("none", "single", "all")


def is_kept(keep_models: str, run: Run) -> bool:
    """Tell whether a run's model is to be kept.

    Args:
        keep_models: One of :data:`KEEP_CHOICES`.
        run: The run.
    """
    return keep_models == "all" or keep_models == run.kind
