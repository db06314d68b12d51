"""Merging experiments with equal settings that were made in different directories.

They may have different seeds, languages or pairs, made for instance on machines that
share no file system. The merged directory is a whole experiment: it takes further
seeds and languages, and what it lacks is made there. Nothing in the merged ones
changes. A merge that was interrupted goes on, and one that is made again takes over
what is new.
"""

import json
import logging
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from pathlib import Path
from typing import Any, TypeVar

import yaml

from espnet2_cltm.corpus.audio import SAMPLE_RATE, backing_file
from espnet2_cltm.corpus.utterance_list import (
    ListedUtterance,
    read_utterance_list,
    write_utterance_list,
)
from espnet2_cltm.errors import UserError
from espnet2_cltm.experiment.encoder_identity import read_encoders
from espnet2_cltm.experiment.layout import ExperimentDir
from espnet2_cltm.experiment.plan import PlannedRun, read_plan, write_plan
from espnet2_cltm.experiment.results import read_metrics, write_metrics
from espnet2_cltm.experiment.run import KINDS, Run
from espnet2_cltm.experiment.settings import (
    Settings,
    list_differences,
    read_settings,
    write_settings,
)
from espnet2_cltm.files import cannot_write, replacing, write_text
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


def merge_data(
    sources: Sequence[ExperimentDir], merged: ExperimentDir, may_grow: bool = False
) -> None:
    """Give the merged experiment the lists and trials of all.

    Args:
        sources: The experiments.
        merged: The merged one; it may be the first source.
        may_grow: Whether of two lists one may be the beginning of the other, as in
            learning curves.

    Raises:
        UserError: Two experiments have drawn differently; the first difference is
            named.
    """
    places: dict[Path, list[Path]] = {}
    for source in sources:
        data = source.root / "data"
        for path in sorted([*data.glob("*/*/*.tsv"), *data.glob("*/*/*.trials")]):
            places.setdefault(path.relative_to(source.root), []).append(path)
    without_audio = set()
    for name in progress(sorted(places), description="Merging subsets", unit="file"):
        target = merged.root / name
        if name.suffix == ".tsv":
            audio_is_here = _merge_lists(places[name], target, may_grow)
            if not audio_is_here:
                without_audio.add(name.parts[2])
        else:
            _merge_trials(places[name], target)
    if without_audio:
        logging.warning(
            "The audio of %d languages, %s first, is not where the lists say: before a "
            "run is made with it, run stages 1 to 3 here with all --langs.",
            len(without_audio),
            min(without_audio),
        )


def _merge_lists(paths: Sequence[Path], target: Path, may_grow: bool) -> bool:
    """Write the one list; tell whether its audio is here."""
    lists = [read_utterance_list(path) for path in paths]
    for path, listed in zip(paths[1:], lists[1:], strict=True):
        _require_equal(paths[0], lists[0], path, listed, may_grow)
    longest = max(len(listed) for listed in lists)
    whole = [listed for listed in lists if len(listed) == longest]
    here = [listed for listed in whole if _has_audio(listed)]
    chosen = (here or whole)[0]
    # What a merge has written before stays as it is, not only what it holds.
    if not (target in paths and lists[paths.index(target)] == chosen):
        write_utterance_list(target, chosen)
    return bool(here)


def _require_equal(
    path: Path,
    listed: Sequence[ListedUtterance],
    other_path: Path,
    other: Sequence[ListedUtterance],
    may_grow: bool,
) -> None:
    for number, (one, two) in enumerate(zip_longest(listed, other), start=2):
        if may_grow and (one is None or two is None):
            return
        if _identity(one) != _identity(two):
            raise UserError(
                f"{path} and {other_path} differ, first in line {number} "
                f"({_identity(one) or 'no line'} and {_identity(two) or 'no line'}): "
                "the experiments drew from different data and cannot be merged."
            )


def _identity(utterance: ListedUtterance | None) -> str:
    if utterance is None:
        return ""
    return f"{utterance.utt} {utterance.label} {utterance.num_samples}"


def _has_audio(listed: Sequence[ListedUtterance]) -> bool:
    """Tell whether the audio of a list's first utterance is there."""
    if not listed:
        return True
    file = backing_file(listed[0].audio)
    return file is None or file.exists()


def _merge_trials(paths: Sequence[Path], target: Path) -> None:
    first = paths[0].read_bytes()
    for path in paths[1:]:
        other = path.read_bytes()
        if other != first:
            lines = zip_longest(first.splitlines(), other.splitlines())
            number, one, two = next(
                (number, one, two)
                for number, (one, two) in enumerate(lines, start=1)
                if one != two
            )
            raise UserError(
                f"{paths[0]} and {path} differ, first in line {number} "
                f"({_text(one)} and {_text(two)}): the experiments drew from different "
                "data and cannot be merged."
            )
    if target not in paths:
        with replacing(target) as temporary:
            shutil.copyfile(paths[0], temporary)


def _text(line: bytes | None) -> str:
    return "no line" if line is None else line.decode(errors="replace")


# libyaml where PyYAML was built with it: sixteen thousand files are read.
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_Dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
# Appended to, rewritten for the new place, or written last.
_NOT_LINKED = ("train.log", "train.yaml", "metrics.json", "model.zip", "failed.txt")


def merge_run(
    sources: Sequence[ExperimentDir], merged: ExperimentDir, planned: PlannedRun
) -> set[str]:
    """Give the merged experiment a run's files, where the run is done anywhere.

    Args:
        sources: The experiments; the merged one may be the first of them.
        merged: The merged one.
        planned: The run.

    Returns:
        What it was made with, in words, once for each version or device.

    Raises:
        UserError: Two experiments have different results of it, or files are damaged.
    """
    name = planned.run.name
    found = {
        source: metrics
        for source in sources
        if (metrics := read_metrics(source.metrics(name))) is not None
    }
    if not found:
        return set()
    _require_equal_results(name, found)
    first = next(iter(found))
    origin = {
        test: source for source in reversed(found) for test in found[source]["test"]
    }
    if first != merged:
        _take_over(first, merged, name)
    for test, source in origin.items():
        if source not in (first, merged):
            pattern = f"{_escaped(test)}.*"
            for path in source.run(name).glob(f"predictions/{pattern}"):
                _link(path, merged.run(name) / "predictions" / path.name)
    kept = [source for source in found if source.model(name).exists()]
    if kept and not merged.model(name).exists():
        _link(kept[0].model(name), merged.model(name))
    metrics = _merge_metrics(found, origin, planned)
    if first != merged or metrics != found[first]:
        write_metrics(merged.metrics(name), metrics)
    return {_in_words(m["versions"]) for m in found.values() if "versions" in m}


def _require_equal_results(
    name: str, found: Mapping[ExperimentDir, Mapping[str, Any]]
) -> None:
    seen: dict[str, tuple[ExperimentDir, Mapping[str, Any]]] = {}
    for source, metrics in found.items():
        for test, values in metrics["test"].items():
            before, expected = seen.setdefault(test, (source, values))
            for metric in sorted({*expected, *values}):
                # repr: a value that is no number equals itself, -0.0 is not 0.0.
                if repr(expected.get(metric)) != repr(values.get(metric)):
                    raise UserError(
                        f"The run {name} gives another {metric} on {test} in "
                        f"{before.root} ({expected.get(metric)}) than in {source.root} "
                        f"({values.get(metric)}): find out which is right, and delete "
                        "the run's directory in the other."
                    )


def _take_over(source: ExperimentDir, merged: ExperimentDir, name: str) -> None:
    """Link and copy what a run has left, its place in ``train.yaml`` corrected."""
    origin, target = source.run(name), merged.run(name)
    for path in sorted(origin.rglob("*")):
        # A dot begins what a killed process has not finished.
        if path.is_file() and path.name not in _NOT_LINKED and path.name[0] != ".":
            _link(path, target / path.relative_to(origin))
    if (origin / "train.log").exists():
        _copy(origin / "train.log", target / "train.log")
    if (origin / "train.yaml").exists():
        _relocate(origin / "train.yaml", target / "train.yaml", name, merged.root)


def _merge_metrics(
    found: Mapping[ExperimentDir, Mapping[str, Any]],
    origin: Mapping[str, ExperimentDir],
    planned: PlannedRun,
) -> dict[str, Any]:
    """Put the tests of a run together, in the plan's order."""
    first = next(iter(found.values()))
    if origin.keys() == first["test"].keys():
        return dict(first)
    order = [test for test in planned.test_languages if test in origin]
    order += [test for test in origin if test not in order]
    together = {
        part: {
            test: found[origin[test]][part][test]
            for test in order
            if test in found[origin[test]].get(part, {})
        }
        for part in ("test", "checkpoints")
    }
    return {**first, **together}


def _relocate(path: Path, target: Path, name: str, root: Path) -> None:
    """Copy a training's configuration, its data named where they are now."""
    try:
        config = yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)
        shapes = config["train_shape_file"][0]
        before, _, rest = shapes.rpartition(f"/runs/{name}/")
        if not rest:
            raise ValueError(f"train_shape_file is {shapes}")
    except (yaml.YAMLError, KeyError, IndexError, TypeError, ValueError) as error:
        why = " ".join(str(error).split())
        raise UserError(
            f"{path} is damaged ({why}): delete the run's directory and run stage 4 "
            "of its experiment again."
        ) from error

    def moved(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: moved(part) for key, part in value.items()}
        if isinstance(value, list):
            return [moved(part) for part in value]
        if isinstance(value, str) and value.startswith(f"{before}/"):
            return f"{root}/{value[len(before) + 1 :]}"
        return value

    text = yaml.dump(moved(config), Dumper=_Dumper, sort_keys=False)
    write_text(target, text)


def _link(path: Path, target: Path) -> None:
    """Make a file appear in another place, whole: a hard link, or else a copy."""
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary.unlink(missing_ok=True)
        try:
            temporary.hardlink_to(path)
        except OSError:  # another file system, or one without hard links
            _copy(path, target)
            return
        temporary.replace(target)
    except OSError as error:
        raise cannot_write(target, error) from error
    finally:
        # Where both were links to one file, replacing leaves both.
        temporary.unlink(missing_ok=True)


def _copy(path: Path, target: Path) -> None:
    with replacing(target) as temporary:
        shutil.copyfile(path, temporary)


def _escaped(name: str) -> str:
    return "".join(f"[{c}]" if c in "*?[" else c for c in name)


def _in_words(versions: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {version}" for name, version in versions.items())
