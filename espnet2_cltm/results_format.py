"""What stages 3 to 5 write and stage 6 reads: kinds of runs, files and columns."""

KINDS = ("single", "double", "pair")
"""Kinds of runs."""

STEPS = ("data", "equal")
"""Designs of a run's optimiser steps; of two in one file, the last makes the matrix."""

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

RESULT_DEFAULTS = {"steps": STEPS[0]}
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
