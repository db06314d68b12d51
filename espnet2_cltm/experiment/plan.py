"""The plan: the table of all runs of an experiment, one line a run.

Its lengths let anybody see what an experiment will cost: ``utterances`` and
``train_seconds`` are what one epoch of the run reads, ``test_utterances`` and
``test_seconds`` what it predicts.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from espnet2_cltm.errors import UserError
from espnet2_cltm.experiment.run import Run
from espnet2_cltm.files import read_rows, write_text

HEADER = (
    "run",
    "task",
    "kind",
    "languages",
    "budget",
    "seed",
    "utterances",
    "train_seconds",
    "test_languages",
    "test_utterances",
    "test_seconds",
)


@dataclass(frozen=True)
class PlannedRun:
    """One line of the plan.

    Attributes:
        run: What is trained.
        utterances: Number of training utterances.
        train_seconds: Their length.
        test_languages: What it is tested on, sorted.
        test_utterances: Number of test utterances.
        test_seconds: Their length.
    """

    run: Run
    utterances: int
    train_seconds: float
    test_languages: tuple[str, ...]
    test_utterances: int
    test_seconds: float


def write_plan(path: Path, plan: Iterable[PlannedRun]) -> None:
    """Write a plan."""
    lines = ["\t".join(HEADER)]
    for planned in plan:
        run = planned.run
        fields = (
            run.name,
            run.task,
            run.kind,
            "+".join(run.languages),
            run.budget,
            run.seed,
            planned.utterances,
            f"{planned.train_seconds:.2f}",
            "+".join(planned.test_languages),
            planned.test_utterances,
            f"{planned.test_seconds:.2f}",
        )
        lines.append("\t".join(map(str, fields)))
    write_text(path, "\n".join(lines) + "\n")


def read_plan(path: Path) -> list[PlannedRun]:
    """Read a plan.

    Raises:
        UserError: The file is missing, or a line is damaged.
    """
    remedy = "run stage 3 again"
    plan = []
    rows = read_rows(path, HEADER, "a plan of runs", remedy)
    for number, fields in enumerate(rows, start=2):
        row = dict(zip(HEADER, fields, strict=True))
        try:
            run = Run(
                row["task"],
                row["kind"],
                tuple(row["languages"].split("+")),
                int(row["budget"]),
                int(row["seed"]),
            )
            if run.name != row["run"]:
                raise ValueError(f"it names {row['run']}")
            planned = PlannedRun(
                run,
                int(row["utterances"]),
                float(row["train_seconds"]),
                tuple(row["test_languages"].split("+")),
                int(row["test_utterances"]),
                float(row["test_seconds"]),
            )
        except (ValueError, UserError) as error:
            raise UserError(
                f"{path}, line {number}, is not a planned run ({error}): {remedy}."
            ) from error
        plan.append(planned)
    return plan
