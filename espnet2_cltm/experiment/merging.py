"""Merging experiments with equal settings that were made in different directories.

They may have different seeds, languages or pairs, made for instance on machines that
share no file system. The merged directory is a whole experiment: it takes further
seeds and languages, and what it lacks is made there. Nothing in the merged ones
changes. A merge that was interrupted goes on, and one that is made again takes over
what is new.
"""

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from espnet2_cltm.corpus.audio import SAMPLE_RATE
from espnet2_cltm.corpus.utterance_list import read_utterance_list
from espnet2_cltm.errors import UserError
from espnet2_cltm.experiment.encoder_identity import read_encoders
from espnet2_cltm.experiment.layout import ExperimentDir
from espnet2_cltm.experiment.merged_data import merge_data
from espnet2_cltm.experiment.merged_runs import merge_run
from espnet2_cltm.experiment.plan import PlannedRun, read_plan, write_plan
from espnet2_cltm.experiment.run import KINDS, Run
from espnet2_cltm.experiment.settings import (
    Settings,
    list_differences,
    read_settings,
    write_settings,
)
from espnet2_cltm.files import write_text
from espnet2_cltm.progress import progress

# Where the audio lies, and which share of the pairs was drawn first, may differ: no
# result depends on it.
_MAY_DIFFER = ("dumpdir", "pairs_seed")

Value = TypeVar("Value")


@dataclass(frozen=True)
class Source:
    """An experiment that is merged.

    Attributes:
        directory: Where it is.
        settings: Its settings.
        plan: Its runs; none where a merge was interrupted.
    """

    directory: ExperimentDir
    settings: Settings
    plan: Sequence[PlannedRun]


def merge_experiments(experiments: Sequence[Path], outdir: Path) -> list[PlannedRun]:
    """Merge experiments.

    Args:
        experiments: Their directories, ``exp/<tag>``. Where the audio lies and other
            things that may differ are taken from the first.
        outdir: The directory to be made. One that was made before keeps what it has.

    Returns:
        The merged plan: the runs of all plans, tested on all languages that they
        are tested on in an experiment of all.

    Raises:
        UserError: The experiments can't be merged; the first difference is named.
    """
    merged = ExperimentDir(outdir)
    sources = [_read_source(ExperimentDir(path)) for path in _distinct(experiments)]
    if merged.root.resolve() in {s.directory.root.resolve() for s in sources}:
        raise UserError(
            f"{outdir} is one of the experiments to be merged: give a new --outdir."
        )
    if merged.settings.exists():
        sources.insert(0, _read_source(merged, is_whole=merged.plan.exists()))
    elif outdir.exists() and (not outdir.is_dir() or any(outdir.iterdir())):
        raise UserError(f"{outdir} exists and is no experiment: give a new --outdir.")
    first, *others = sources
    for other in others:
        _require_equal_settings(first, other)
    encoders = _merge_encoders(sources)
    _require_equal_languages_where_speakers_are_shared(sources)
    write_settings(merged.settings, _merge_settings(sources))
    if encoders:
        write_text(merged.encoders, json.dumps(encoders, indent=1) + "\n")
    directories = [source.directory for source in sources]
    merge_data(directories, merged, may_grow=bool(first.settings.regime_budgets))
    plan = _merge_plans(merged, sources)
    made_with: dict[str, str] = {}
    for planned in progress(plan, description="Merging runs", unit="run"):
        versions = merge_run(directories, merged, planned)
        made_with.update(dict.fromkeys(versions, planned.run.name))
    if len(made_with) > 1:
        logging.warning(
            "The runs were made with different versions or devices: %s.",
            "; ".join(f"{v} ({run}, for instance)" for v, run in made_with.items()),
        )
    write_plan(merged.plan, plan)
    return plan


def _distinct(experiments: Sequence[Path]) -> list[Path]:
    distinct = list({path.resolve(): path for path in experiments}.values())
    if len(distinct) < 2:
        raise UserError(
            "One experiment alone cannot be merged: give --exp two directories or more."
        )
    return distinct


def _read_source(directory: ExperimentDir, is_whole: bool = True) -> Source:
    settings = read_settings(directory.settings)
    return Source(directory, settings, read_plan(directory.plan) if is_whole else [])


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


def _require_equal_languages_where_speakers_are_shared(
    sources: Sequence[Source],
) -> None:
    """Refuse a union in which somebody may be trained on and tested.

    Who is left out of the training data follows from all languages of an experiment.
    """
    first, *others = [source for source in sources if source.plan]
    if not first.settings.shared_speakers:
        return
    for other in others:
        for task in sorted({*first.settings.tasks} & {*other.settings.tasks}):
            one, two = (_languages(source.plan, task) for source in (first, other))
            if one != two:
                raise UserError(
                    f"{first.directory.root} and {other.directory.root} cannot be "
                    f"merged: with --shared_speakers true both need the same languages "
                    f"of {task}, {min(one ^ two)} is in one only; make both with all "
                    "--langs, and share out the seeds."
                )


def _merge_settings(sources: Sequence[Source]) -> Settings:
    all_settings = [source.settings for source in sources]
    first = all_settings[0]
    return replace(
        first,
        budget=_union([settings.budget for settings in all_settings]),
        train_config=_union([settings.train_config for settings in all_settings]),
        pairs_fraction=max(settings.pairs_fraction for settings in all_settings),
        regime_budgets=tuple(
            sorted({n for settings in all_settings for n in settings.regime_budgets})
        ),
    )


def _union(by_task: Sequence[Mapping[str, Value]]) -> dict[str, Value]:
    return {task: part[task] for part in by_task for task in part}


def _merge_plans(merged: ExperimentDir, sources: Sequence[Source]) -> list[PlannedRun]:
    """List the runs of all plans, in the order of stage 3."""
    runs = {planned.run: planned for source in sources for planned in source.plan}
    plan = list(runs.values())
    sizes: dict[tuple[str, str], tuple[int, int]] = {}
    languages = {task: _languages(plan, task) for task in {r.task for r in runs}}
    across = {
        task: sorted(
            {
                name
                for planned in plan
                if planned.run.task == task
                for name in planned.test_languages
                if "~" in name
            }
        )
        for task in languages
    }

    def size(task: str, name: str) -> tuple[int, int]:
        if (task, name) not in sizes:
            listed = read_utterance_list(merged.utterance_list(task, name, "test"))
            sizes[task, name] = (len(listed), sum(u.num_samples for u in listed))
        return sizes[task, name]

    zero_shot = sources[0].settings.zero_shot
    merged_plan = []
    for run in sorted(runs, key=_order):
        tested = (
            *run.test_languages(sorted(languages[run.task]), zero_shot),
            *run.tests_across(across[run.task], zero_shot),
        )
        counts = [size(run.task, name) for name in tested]
        merged_plan.append(
            replace(
                runs[run],
                test_languages=tested,
                test_utterances=sum(n_utterances for n_utterances, _ in counts),
                test_seconds=sum(n_samples for _, n_samples in counts) / SAMPLE_RATE,
            )
        )
    return merged_plan


def _order(run: Run) -> tuple:
    return run.task, run.seed, KINDS.index(run.kind), run.budget, run.languages


def _languages(plan: Sequence[PlannedRun], task: str) -> set[str]:
    return {
        lang
        for planned in plan
        if planned.run.task == task
        for lang in planned.run.languages
    }
