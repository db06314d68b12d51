"""The runs of an experiment, and the plan: their table, one line per run.

A run is one training: ``single`` trains on N utterances of a language, ``double`` on
2N, ``pair`` on N of each of two. A pair represents both i+j and j+i: it is trained
once and tested on both. Single runs are tested on every language, which gives the
zero-shot matrix. ``pool`` trains on several donors without the target that it is tested
on, and may go on with a few utterances, *shots*, of the target.

Learning curves need single runs only: one of 2N takes the same utterances in the same
order as a double of N, and starts from the same head, so it is the same training.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations
from pathlib import Path

from espnet2_cltm.budget import read_budget
from espnet2_cltm.errors import UserError, require_known
from espnet2_cltm.files import read_rows, write_rows
from espnet2_cltm.language_codes import is_donor_only, without_donors
from espnet2_cltm.pooling.methods import MERGE, kind_of
from espnet2_cltm.results_format import (
    FULL,
    JOINT,
    POOL_SIZES,
    RESULT_DEFAULTS,
    RUN_KINDS,
    STEPS,
)

STEPS_CHOICES = (*STEPS, "both")
"""Optimiser steps of the runs (``--steps``), see :mod:`.steps`."""
KEEP_CHOICES = ("none", "single", "all")
"""Runs whose trained model is kept (``--keep_models``)."""
HEADER = (
    *("run", "task", "kind", "languages", "budget", "seed"),
    *("utterances", "train_seconds"),
    *("test_languages", "test_utterances", "test_seconds"),
    *("steps", "strategy", "shared_by", "size", "method", "target", "shots"),
)
MOST_NAMED = 6  # donors in a run's name, which is the name of a directory


@dataclass(frozen=True, order=True)
class Run:
    """The identity of one training within an experiment.

    Attributes:
        task: Name of the task.
        kind: ``single``, ``double``, ``pair`` or ``pool``.
        languages: Language code; two in sorted order for a pair; a pool's donors.
        budget: N of each language; a double takes twice as much.
        seed: Seed that draws the utterances and initialises the head.
        steps: ``data`` or ``equal``, see :mod:`.steps`.
        strategy: Name of its strategy, see :mod:`.strategies`.
        is_own: Whether that is what the training configuration itself says.
        size: What N counts in a pool, one of :data:`.POOL_SIZES`.
        method: How a pool's model is made, see :mod:`espnet2_cltm.pooling.methods`.
        target: Language whose shots a pool's model is trained on afterwards; empty
            without shots.
        shots: Their number, in the unit of N.
    """

    task: str
    kind: str
    languages: tuple[str, ...]
    budget: int
    seed: int
    steps: str = "data"
    strategy: str = FULL
    is_own: bool = True
    size: str = POOL_SIZES[0]
    method: str = JOINT
    target: str = ""
    shots: int = 0

    def __post_init__(self) -> None:
        require_known("kind", self.kind, RUN_KINDS)
        require_known("steps", self.steps, STEPS)
        require_known("size", self.size, POOL_SIZES)
        together = "+".join(self.languages)
        n_languages = {"pair": 2, "pool": max(len(self.languages), 1)}.get(self.kind, 1)
        if len(self.languages) != n_languages:
            raise UserError(f"A {self.kind} run cannot have the languages {together}.")
        if list(self.languages) != sorted(set(self.languages)):
            raise UserError(
                f"The languages {together} of a {self.kind} must differ and be in "
                "sorted order."
            )
        if bool(self.target) != bool(self.shots) or (
            self.kind != "pool" and (self.shots or self.size != POOL_SIZES[0])
        ):
            raise UserError(
                f"A {self.kind} run cannot have {self.shots} shots of "
                f"{self.target or 'no target'} and the size {self.size}."
            )
        if self.target in self.languages:
            raise UserError(
                f"The target {self.target} is one of the donors {together} of its pool."
            )

    @property
    def name(self) -> str:
        """Name of the run's directory, such as ``gender.pair.es+fi.n16.equal.s42``.

        The published design, ``data``, is not named, nor is the configuration's own
        strategy, nor what is the same for all runs that are no pools.
        """
        languages = "+".join(self.languages)
        if len(self.languages) > MOST_NAMED:
            digest = hashlib.blake2b(languages.encode(), digest_size=4).hexdigest()
            languages = f"{len(self.languages)}of{digest}"
        parts = [self.task, self.kind, languages, f"n{self.budget}"]
        parts += [self.size] if self.size != POOL_SIZES[0] else []
        parts += [self.method] if self.method != JOINT else []
        parts += [self.target, f"m{self.shots}"] if self.shots else []
        parts += [self.steps] if self.steps != "data" else []
        parts += [] if self.is_own else [self.strategy]
        return ".".join([*parts, f"s{self.seed}"])

    @property
    def parts(self) -> list[tuple[str, int]]:
        """Languages that the run is trained on, and how much of each, in units of N.

        What a divided N leaves over goes to donors in turn, from another one in each
        seed.
        """
        if self.shots:
            return [(self.target, self.shots)]
        if self.size == "total":
            k = len(self.languages)
            share, over = divmod(self.budget, k)
            return [
                (lang, type(self.budget)(share + ((place + self.seed) % k < over)))
                for place, lang in enumerate(self.languages)
            ]
        n = 2 * self.budget if self.kind == "double" else self.budget
        return [(lang, n) for lang in self.languages]

    @property
    def trained_on(self) -> tuple[str, ...]:
        """Languages of the last training: the target where there are shots."""
        return tuple(lang for lang, _ in self.parts)

    @property
    def start(self) -> "Run | None":
        """Run with whose model the training on shots begins."""
        if not self.shots:
            return None
        before = replace(self, target="", shots=0)
        return before.without_pool

    @property
    def without_pool(self) -> "Run":
        """The run itself, or the single run that a joint pool of one donor is."""
        is_single = len(self.languages) == 1 and self.method == JOINT
        if self.kind != "pool" or self.shots or not is_single:
            return self
        return replace(self, kind="single", size=POOL_SIZES[0])

    @property
    def needs(self) -> "tuple[Run, ...]":
        """Runs whose models must be there before this run is made.

        Those are the pool before the shots, and the single runs that are averaged.
        """
        if self.start:
            return (self.start,)
        if kind_of(self.method) != MERGE:
            return ()
        return tuple(
            Run(
                *(self.task, "single", (lang,), n, self.seed),
                *(self.steps, self.strategy, self.is_own),
            )
            for lang, n in self.parts
        )

    def is_kept(self, keep_models: str) -> bool:
        """Return whether the run's model is kept, by one of :data:`KEEP_CHOICES`."""
        return keep_models in ("all", self.kind)

    def test_languages(self, languages: Sequence[str], zero_shot: bool) -> list[str]:
        """Return the languages that the run is tested on.

        Args:
            languages: All languages of the experiment's task.
            zero_shot: Whether single runs are tested on all of them.
        """
        all_of_them = self.kind == "single" and zero_shot
        tested = sorted(languages) if all_of_them else self.trained_on
        return without_donors(tested)

    def tests_across(self, names: Sequence[str], zero_shot: bool) -> list[str]:
        """Return the tests across languages that the run takes part in.

        Args:
            names: Tests of the experiment's task, ``<language>~<language>``.
            zero_shot: Whether single runs are tested on all of them.

        Returns:
            Those of a pair's two languages, or those with another run's language.
        """
        if self.kind == "single" and zero_shot:
            return sorted(names)
        return sorted(
            name for name in names if set(self.languages) <= set(name.split("~"))
        )


@dataclass(frozen=True)
class PlannedStrategy:
    """A strategy of an experiment's task.

    Attributes:
        name: Its name.
        is_own: Whether it is what the training configuration says.
        alone_as: Strategy of the plan whose runs on one language are the same
            trainings, so that they are not repeated; empty for none.
    """

    name: str = FULL
    is_own: bool = True
    alone_as: str = ""


OWN_ALONE = (PlannedStrategy(),)


def all_runs(
    task: str,
    languages: Iterable[str],
    budget: int,
    seeds: Iterable[int],
    steps: str = "data",
    strategies: Sequence[PlannedStrategy] = OWN_ALONE,
) -> list[Run]:
    """Return n singles, n doubles and n(n-1)/2 pairs for every seed.

    What stands in for a language, such as ``sw@tts``, is a donor only: it has no double
    run, and none of its pairs is with another such. Runs are ordered by seed, so that a
    stopped experiment has complete seeds.

    Args:
        task: Name of the task.
        languages: Language codes.
        budget: N.
        seeds: Seeds of the runs.
        steps: One of :data:`STEPS_CHOICES`; with ``both`` the pairs are ``equal``.
        strategies: Strategies of the runs.
    """
    languages = sorted(set(languages))
    designs = ("equal", "data") if steps == "both" else (steps,)
    runs = []
    alone: dict[str, list[tuple[str, ...]]] = {
        "single": [(lang,) for lang in languages],
        "double": [(lang,) for lang in without_donors(languages)],
    }
    pairs: list[tuple[str, ...]] = [
        pair for pair in combinations(languages, 2) if not all(map(is_donor_only, pair))
    ]
    for seed in sorted(set(seeds)):
        for strategy in strategies:
            groups = [
                (kind, trained, design)
                for design in designs
                for kind, trained in alone.items()
                if not strategy.alone_as
            ]
            groups.append(("pair", pairs, designs[0]))
            runs += [
                Run(
                    *(task, kind, langs, budget, seed, design),
                    *(strategy.name, strategy.is_own),
                )
                for kind, trained, design in groups
                for langs in trained
            ]
    return runs


def check_grid(grid: Sequence[int]) -> None:
    """Refuse a grid that contains 0 or has no gain to measure.

    Args:
        grid: Numbers of ``--regime_budgets``; empty for a matrix.

    Raises:
        UserError: A number is 0, or none has its double in the grid.
    """
    if not all(grid):
        raise UserError(
            "--regime_budgets contains 0: give positive whole numbers, such as "
            "'4 8 16 32'."
        )
    if grid and not doubled(grid):
        raise UserError(
            f"--regime_budgets {' '.join(map(str, grid))} contains no N together with "
            f"its double, and the gain from N to 2N needs both: give for instance "
            f"'{grid[0]} {2 * grid[0]} {4 * grid[0]}'."
        )


def doubled(grid: Iterable[int]) -> list[int]:
    """Return every N of a grid whose double is in it, ascending."""
    there = set(grid)
    return sorted(n for n in there if 2 * n in there)


def curve_runs(
    task: str,
    grids: Mapping[str, Sequence[int]],
    seeds: Iterable[int],
    steps: str = "data",
    strategies: Sequence[PlannedStrategy] = OWN_ALONE,
) -> list[Run]:
    """Return a single run of every language at every N of its curve.

    Runs are ordered by seed, so that a stopped experiment has complete seeds.

    Args:
        task: The task.
        grids: Every N by language.
        seeds: Seeds of the runs.
        steps: One of :data:`STEPS_CHOICES`.
        strategies: Strategies of the runs.
    """
    return [
        Run(
            *(task, "single", (lang,), budget, seed, design),
            *(strategy.name, strategy.is_own),
        )
        for seed in sorted(set(seeds))
        for budget in sorted({n for grid in grids.values() for n in grid})
        for lang in sorted(grids)
        if budget in grids[lang]
        for design in (("equal", "data") if steps == "both" else (steps,))
        for strategy in strategies
        if not strategy.alone_as
    ]


@dataclass(frozen=True)
class PlannedRun:
    """One line of the plan, which shows what the run costs.

    Attributes:
        run: What is trained.
        utterances: Number of utterances in an epoch of training, each as often as it
            is used.
        train_seconds: Their total length.
        test_languages: Names of what it is tested on.
        test_utterances: Number of test utterances.
        test_seconds: Their total length.
        shared_by: Other strategies whose run this is as well, as it is on one language.
        needs: Lines of the runs whose models it needs, see :func:`linked`.
        needed_by: Names of the runs that need its model.
    """

    run: Run
    utterances: int
    train_seconds: float
    test_languages: tuple[str, ...]
    test_utterances: int
    test_seconds: float
    shared_by: tuple[str, ...] = ()
    needs: "tuple[PlannedRun, ...]" = field(default=(), compare=False, repr=False)
    needed_by: tuple[str, ...] = field(default=(), compare=False)

    @property
    def strategies(self) -> tuple[str, ...]:
        """Names of all strategies that it is a run of."""
        return (self.run.strategy, *self.shared_by)


def linked(plan: Sequence[PlannedRun]) -> list[PlannedRun]:
    """Return a plan whose lines know the runs that they need and that need them.

    Raises:
        UserError: A run needs one that is not in the plan.
    """
    lines = {planned.run: planned for planned in plan}
    needed_by: dict[Run, list[str]] = {}
    for run in lines:
        for other in run.needs:
            if other not in lines:
                raise UserError(f"The run {run.name} needs {other.name}.")
            needed_by.setdefault(other, []).append(run.name)
    done: dict[Run, PlannedRun] = {}

    def link(run: Run) -> PlannedRun:
        if run not in done:
            names = tuple(needed_by.get(run, ()))
            needs = tuple(map(link, run.needs))
            done[run] = replace(lines[run], needs=needs, needed_by=names)
        return done[run]

    return [link(planned.run) for planned in plan]


def write_plan(path: Path, plan: Iterable[PlannedRun]) -> None:
    """Write a plan."""
    rows: list[tuple[object, ...]] = [HEADER]
    for planned in plan:
        run = planned.run
        languages, tests = map("+".join, (run.languages, planned.test_languages))
        fields = (
            *(run.name, run.task, run.kind, languages, run.budget, run.seed),
            *(planned.utterances, f"{planned.train_seconds:.2f}"),
            *(tests, planned.test_utterances, f"{planned.test_seconds:.2f}"),
            *(run.steps, run.strategy, " ".join(planned.shared_by)),
            *(run.size, run.method, run.target, run.shots),
        )
        rows.append(fields)
    write_rows(path, rows)


def read_plan(path: Path) -> list[PlannedRun]:
    """Read a plan.

    Raises:
        UserError: The file is missing, or a line is damaged.
    """
    remedy = "run stage 3 again"
    plan = []
    defaults = {**RESULT_DEFAULTS, "shared_by": "", "target": ""}
    rows = read_rows(path, HEADER, "a plan of runs", remedy, defaults)
    for number, fields in enumerate(rows, start=2):
        row = dict(zip(HEADER, fields, strict=True))
        try:
            run = Run(
                row["task"],
                row["kind"],
                tuple(row["languages"].split("+")),
                read_budget(row["budget"]),
                int(row["seed"]),
                row["steps"],
                row["strategy"],
                size=row["size"],
                method=row["method"],
                target=row["target"],
                shots=int(row["shots"]),
            )
            if run.name != row["run"]:
                run = replace(run, is_own=False)
            if run.name != row["run"]:
                raise ValueError(f"it names {row['run']}")
            planned = PlannedRun(
                run,
                int(row["utterances"]),
                float(row["train_seconds"]),
                tuple(row["test_languages"].split("+")),
                int(row["test_utterances"]),
                float(row["test_seconds"]),
                tuple(row["shared_by"].split()),
            )
        except (ValueError, UserError) as error:
            raise UserError(
                f"{path}, line {number}, is not a planned run ({error}): {remedy}."
            ) from error
        plan.append(planned)
    try:
        return linked(plan)
    except UserError as error:
        raise UserError(f"{path} lacks a run ({error}): {remedy}.") from error
