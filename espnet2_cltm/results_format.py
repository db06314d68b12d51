"""What stages 3 to 5 write and stage 6 reads: kinds of runs, files and columns."""


def _columns(names: str) -> tuple[str, ...]:
    return tuple(names.split())


KINDS = ("single", "double", "pair")
"""Kinds of runs that make a matrix."""

RUN_KINDS = (*KINDS, "pool")
"""Kinds of runs."""

POOL_SIZES = ("each", "total")
"""What N counts in a pool: utterances of each donor, or of all together."""

JOINT = "joint"
"""The way to make one model of several donors that trains on all together."""

STEPS = ("data", "equal")
"""Designs of a run's optimiser steps; of two in one file, the last makes the matrix."""

RESULT_COLUMNS = _columns(
    "run task kind languages budget seed test_language metric value n_test steps "
    "strategy size method shots"
)

FULL = "full"
"""The strategy that a training configuration has where it names none."""

STRATEGY = "strategy"
"""The last column of newer files."""

RESULT_DEFAULTS = {
    "steps": STEPS[0],
    "strategy": FULL,
    "size": POOL_SIZES[0],
    "method": JOINT,
    "shots": "0",
}
"""Columns that older files lack, and what holds for their runs."""

HELD_OUT = "held_out.tsv"  # beside results.tsv
HELD_OUT_COLUMNS = ("run", "test_language", "metric", "values")

DATA = "data.tsv"  # beside results.tsv, as the two below
DATA_COLUMNS = _columns(
    "task language split speakers utterances seconds items narrow remarks"
)

LEFT_OUT = "data/{task}/left_out.tsv"  # below results.tsv
LEFT_OUT_COLUMNS = ("language", "reason")

POOLS = "data/{task}/pools.tsv"  # below results.tsv
POOL_COLUMNS = ("target", "pool", "donors", "seed")

CURVES, SCORES = "curves.tsv", "scores.tsv"
MEASURE_COLUMNS = _columns("task kind budget steps language measure at runs mean")

COSTS = "costs.tsv"
RUN_COLUMNS = ("run", "task", "kind", "languages", "budget", "seed", "steps")
COST_COLUMNS = (
    "train_seconds",  # wall-clock, from reading the lists to the last epoch
    "train_cpu_seconds",  # of the process, its threads, and processes it waited for
    "test_seconds",  # wall-clock: predictions, scores, and packing a model that is kept
    "test_cpu_seconds",
    "real_time_factor",  # seconds a second of audio, utterances predicted one at a time
    "latency_seconds",  # the same, a mean over utterances
    "peak_bytes",  # highest resident memory of the process during the run
    "gpu_seconds",  # wall-clock seconds that the run held its GPU
    "gpu_peak_bytes",  # highest that PyTorch had allocated
    "cpu_joules",  # of the machine's processor packages meanwhile (RAPL)
    "gpu_joules",  # of the GPU meanwhile (NVML)
    "trainable_parameters",  # at the end of training
    "parameters",
    "stored_bytes",  # weights that a kept model holds
    "sent_bytes",  # weights that went to and from silos in all rounds, where there are
)
"""Costs of a run, empty where not known; behind them ``device`` and ``strategy``."""
LAYERS = "layers.tsv"
LAYER_COLUMNS = _columns(
    "task kind languages budget steps language measure layer runs mean sd"
)

CONFUSION_COLUMNS = _columns(
    "task kind languages budget test_language reference predicted count"
)
