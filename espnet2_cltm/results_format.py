"""Columns of ``results.tsv``, which stage 5 writes and stage 6 reads."""

RESULT_COLUMNS = (
    "run",
    "task",
    "kind",
    "languages",
    "budget",
    "seed",
    "test_language",
    "metric",
    "value",
    "n_test",
    "steps",
)

RESULT_DEFAULTS = {"steps": "data"}
"""Columns that older files lack, and what holds for their runs."""

HELD_OUT = "held_out.tsv"  # beside results.tsv
HELD_OUT_COLUMNS = ("run", "test_language", "metric", "values")

DATA = "data.tsv"  # beside results.tsv, as the two below
DATA_COLUMNS = (
    "task",
    "language",
    "split",
    "speakers",
    "utterances",
    "seconds",
    "items",
    "narrow",
    "remarks",
)

LEFT_OUT = "data/{task}/left_out.tsv"  # below results.tsv
LEFT_OUT_COLUMNS = ("language", "reason")

CURVES, SCORES = "curves.tsv", "scores.tsv"
MEASURE_COLUMNS = (
    "task",
    "kind",
    "budget",
    "steps",
    "language",
    "measure",
    "at",
    "runs",
    "mean",
)

CONFUSION_COLUMNS = (
    "task",
    "kind",
    "languages",
    "budget",
    "test_language",
    "reference",
    "predicted",
    "count",
)
