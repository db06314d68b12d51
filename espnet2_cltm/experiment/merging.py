"""Merging experiments with equal settings that were made in different directories.

They may have different seeds, languages or pairs, made for instance on machines that
share no file system. The merged directory is an experiment like any other, whose plan
is the union of theirs. Its files are theirs, as hard links where the file system allows
it: nothing writes into them, they are replaced. What the experiments have in common
must be equal, or they are refused; what none of them has, such as pairs of their
languages, is added by stages 3 and 4. The experiments themselves do not change. A merge
can be interrupted, and made again when they have grown.
"""

import filecmp
import logging
import os
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from pathlib import Path
from typing import Any

from espnet2_cltm.errors import UserError
from espnet2_cltm.experiment.encoder import read_encoders
from espnet2_cltm.experiment.layout import ExperimentDir
from espnet2_cltm.experiment.plan import PlannedRun, Run, read_plan, write_plan
from espnet2_cltm.experiment.results import read_metrics
from espnet2_cltm.experiment.settings import (
    Settings,
    list_differences,
    read_settings,
    write_settings,
)
from espnet2_cltm.files import cannot_write, read_text, write_json, write_text
from espnet2_cltm.pools import read_pools, write_pools
from espnet2_cltm.progress import progress
from espnet2_cltm.results_format import RUN_KINDS

# Where the audio lies, and which share of the pairs was drawn first: no result depends
# on it.
_MAY_DIFFER = ("dumpdir", "pairs_seed")


@dataclass(frozen=True)
class Source:
    """An experiment that is merged.

    Attributes:
        directory: The experiment.
        settings: Its settings.
        plan: Its runs; none where it is a merge that was interrupted.
    """

    directory: ExperimentDir
    settings: Settings
    plan: Sequence[PlannedRun]


def merge_experiments(experiments: Sequence[Path], outdir: Path) -> list[PlannedRun]:
    """Merge experiments.

    Args:
        experiments: Their directories, ``exp/<tag>``. What may differ, such as the
            place of the audio, is taken from the first.
        outdir: Directory to be made. One that was merged before keeps what it has.

    Returns:
        The merged plan. A run of several experiments is tested on what it is tested on
        in one of them, the one with the most tests.

    Raises:
        UserError: The experiments cannot be merged; the first difference is named.
    """
    merged = ExperimentDir(outdir)
    sources = _read_sources(experiments, merged)
    first = sources[0]
    for other in sources[1:]:
        _require_equal_settings(first, other)
    _require_equal_languages_of_shared_speakers(sources)
    encoders = _merge_encoders(sources)
    all_settings = [source.settings for source in sources]
    curves = sorted({n for settings in all_settings for n in settings.regime_budgets})
    for settings in reversed(all_settings):  # tasks that are there stay
        settings = replace(
            settings,
            pairs_fraction=max(s.pairs_fraction for s in all_settings),
            regime_budgets=tuple(curves),
        )
        write_settings(merged.settings, settings)
    if encoders:
        write_json(merged.encoders, encoders)
    has_shots = any(settings.pools for settings in all_settings)
    _merge_data(sources, merged, may_grow=bool(curves) or has_shots)
    for task in {task for settings in all_settings for task in settings.tasks}:
        pools = [p for s in sources for p in read_pools(s.directory.pools(task))]
        write_pools(merged.pools(task), dict.fromkeys(pools))
    plan: dict[Run, PlannedRun] = {}
    for planned in (planned for source in sources for planned in source.plan):
        known = plan.setdefault(planned.run, planned)
        more = max(known, planned, key=lambda one: len(one.test_languages))
        shared = sorted({*known.shared_by, *planned.shared_by})
        plan[planned.run] = replace(more, shared_by=tuple(shared))
    runs = sorted(plan, key=_order)
    made_with: set[str] = set()
    for run in progress(runs, description="Merging runs", unit="run"):
        made_with |= _merge_run(sources, merged, run.name)
    if len(made_with) > 1:
        logging.warning(
            "The runs were made with different versions or devices: %s.",
            "; ".join(sorted(made_with)),
        )
    write_plan(merged.plan, [plan[run] for run in runs])
    return [plan[run] for run in runs]


def _read_sources(experiments: Sequence[Path], merged: ExperimentDir) -> list[Source]:
    """Read the experiments, before them the merged one where it was made before."""
    directories = {path.resolve(): ExperimentDir(path) for path in experiments}
    if len(directories) < 2:
        raise UserError(
            "One experiment alone cannot be merged: give --exp two directories or more."
        )
    if merged.root.resolve() in directories:
        raise UserError(
            f"{merged.root} is one of the experiments to be merged: give a new "
            "--outdir."
        )
    sources = [
        Source(directory, read_settings(directory.settings), read_plan(directory.plan))
        for directory in directories.values()
    ]
    if merged.settings.exists():
        plan = read_plan(merged.plan) if merged.plan.exists() else []
        sources.insert(0, Source(merged, read_settings(merged.settings), plan))
    elif merged.root.exists() and (
        not merged.root.is_dir() or any(merged.root.iterdir())
    ):
        raise UserError(
            f"{merged.root} exists and is not an experiment: give a new --outdir."
        )
    return sources


def _require_equal_settings(first: Source, other: Source) -> None:
    places = f"{first.directory.root} and {other.directory.root}"
    if bool(first.settings.regime_budgets) != bool(other.settings.regime_budgets):
        raise UserError(
            f"{places} cannot be merged: one is for a transfer matrix, the other for "
            "learning curves (--regime_budgets); merge experiments of one kind."
        )
    alike = {name: getattr(first.settings, name) for name in _MAY_DIFFER}
    differences = list_differences(first.settings, replace(other.settings, **alike))
    if differences:
        shown = "; ".join(f"{name}: {one} and {two}" for name, one, two in differences)
        raise UserError(
            f"{places} cannot be merged, they were made with different settings "
            f"({shown}): make one of them again with the settings of the other."
        )


def _require_equal_languages_of_shared_speakers(sources: Sequence[Source]) -> None:
    """Refuse a union in which somebody may be trained on and tested.

    Who is left out of the training data follows from all languages of an experiment.
    """
    first, *others = [source for source in sources if source.plan]
    for other in others if first.settings.shared_speakers else ():
        for task in sorted({*first.settings.tasks} & {*other.settings.tasks}):
            one, two = (
                {x for p in s.plan if p.run.task == task for x in p.run.languages}
                for s in (first, other)
            )
            if one != two:
                raise UserError(
                    f"{first.directory.root} and {other.directory.root} cannot be "
                    f"merged: with --shared_speakers true both need the same languages "
                    f"of {task}, {min(one ^ two)} is in one only; make both with all "
                    "--langs, and share out the seeds."
                )


def _merge_encoders(sources: Sequence[Source]) -> dict[str, str]:
    """Put together which encoders were found, or refuse other ones of one name."""
    seen: dict[str, tuple[Path, str]] = {}
    for source in sources:
        for model, identity in read_encoders(source.directory).items():
            root, before = seen.setdefault(model, (source.directory.root, identity))
            if before != identity:
                raise UserError(
                    f"{root} and {source.directory.root} cannot be merged: the encoder "
                    f"{model} was another ({before[:20]} and {identity[:20]}); make "
                    "one of them again with the encoder of the other."
                )
    return {model: identity for model, (_, identity) in sorted(seen.items())}


def _merge_data(
    sources: Sequence[Source], merged: ExperimentDir, may_grow: bool
) -> None:
    """Link the utterance lists and trials of all into the merged experiment.

    Args:
        sources: The experiments.
        merged: The merged one.
        may_grow: Whether of two lists one may be the beginning of the other, as in
            learning curves and with few-shot runs.

    Raises:
        UserError: Two experiments have drawn differently.
    """
    for source in sources:
        root = source.directory.root
        found = sorted(path for path in root.glob("data/*/*/*") if path.name[0] != ".")
        for path in progress(found, description="Merging subsets", unit="file"):
            target = merged.root / path.relative_to(root)
            if target == path or (
                target.exists() and filecmp.cmp(path, target, shallow=False)
            ):
                continue
            if not target.exists() or _is_longer(path, target, may_grow):
                target.parent.mkdir(parents=True, exist_ok=True)
                _link(path, target)


def _is_longer(path: Path, known: Path, may_grow: bool) -> bool:
    """Tell whether a list goes on where the known one ends; refuse a different one."""
    # After utterance, label and length a list has the place of the audio, which may
    # differ, and the speaker, whom an older list lacks.
    lines, known_lines = (
        [
            "\t".join(line.split("\t")[:3]) if p.suffix == ".tsv" else line
            for line in read_text(p, "restore it").splitlines()
        ]
        for p in (path, known)
    )
    for number, (one, two) in enumerate(zip_longest(known_lines, lines), start=1):
        if may_grow and (one is None or two is None):
            return one is None
        if one != two:
            one, two = (
                "no line" if line is None else line.replace("\t", " ")
                for line in (one, two)
            )
            raise UserError(
                f"{known} and {path} differ, first in line {number} ({one} and {two}): "
                "the experiments drew from different data and cannot be merged."
            )
    return False


def _merge_run(sources: Sequence[Source], merged: ExperimentDir, name: str) -> set[str]:
    """Link a run into the merged experiment, where it is done anywhere.

    Args:
        sources: The experiments; the merged one may be the first of them.
        merged: The merged one.
        name: Name of the run.

    Returns:
        What it was made with, in words, once for each version or device.

    Raises:
        UserError: Two experiments have different results of it, or files are damaged.
    """
    found = {
        source.directory: metrics
        for source in sources
        if (metrics := read_metrics(source.directory.metrics(name))) is not None
    }
    if not found:
        return set()
    _require_equal_results(name, found)
    # The one with the most tests, and a model; the first of them.
    best = max(found, key=lambda d: (len(found[d]["test"]), d.model(name).exists()))
    if best != merged:
        _take_over(best, merged, name)
    return {
        ", ".join(f"{key} {value}" for key, value in metrics["versions"].items())
        for metrics in found.values()
        if "versions" in metrics
    }


def _require_equal_results(
    name: str, found: Mapping[ExperimentDir, Mapping[str, Any]]
) -> None:
    seen: dict[str, tuple[ExperimentDir, Mapping[str, Any]]] = {}
    for source, metrics in found.items():
        for test, values in metrics["test"].items():
            before, expected = seen.setdefault(test, (source, values))
            # One of another version may have metrics that the other lacks.
            for metric in sorted(expected.keys() & values.keys()):
                # repr: a value that is not a number equals itself, -0.0 is not 0.0.
                if repr(expected[metric]) != repr(values[metric]):
                    raise UserError(
                        f"The run {name} gives another {metric} on {test} in "
                        f"{before.root} ({expected[metric]}) than in {source.root} "
                        f"({values[metric]}): find out which is right, and delete "
                        "the run's directory in the other."
                    )


def _take_over(source: ExperimentDir, merged: ExperimentDir, name: str) -> None:
    """Link a run's directory; its configuration names the files where they are now."""
    target = merged.run(name)
    temporary = target.with_name(f".{name}.{os.getpid()}")
    try:
        ignored = shutil.ignore_patterns(".*", "failed.txt")
        shutil.copytree(source.run(name), temporary, False, ignored, _link)
        path = temporary / "train.yaml"
        if path.exists():
            text = path.read_text(encoding="utf-8")
            place = re.search(rf"(?m)^[ -]+(\S.*)/runs/{re.escape(name)}/", text)
            if place:
                text = text.replace(f" {place[1]}/", f" {merged.root}/")
                write_text(path, text)
        shutil.rmtree(target, ignore_errors=True)
        temporary.rename(target)
    except OSError as error:
        raise cannot_write(target, error) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _link(path: str | Path, target: str | Path) -> None:
    """Make a file appear in another place as well: a hard link, or else a copy."""
    try:
        Path(target).unlink(missing_ok=True)
        if Path(path).name == "train.log":  # which is appended to
            raise OSError
        os.link(path, target)
    except OSError:  # another file system, or one without hard links
        shutil.copyfile(path, target)


def _order(run: Run) -> tuple:
    """Sort as stage 3 does."""
    kind = RUN_KINDS.index(run.kind)
    of_kind = (kind, run.budget, run.languages, run.steps)
    of_pool = (run.size, run.method, run.target, run.shots)
    return run.task, run.seed, not run.is_own, run.strategy, *of_kind, *of_pool
