"""One run of experiments that are merged: equal results, or refused.

A run that is done in several experiments must give the same in all, bit for bit; its
tests are put together. Large files are hard links where the file system allows it:
nothing writes into them, they are replaced. ``metrics.json`` comes last.
"""

import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from espnet2_cltm.errors import UserError
from espnet2_cltm.experiment.layout import ExperimentDir
from espnet2_cltm.experiment.metrics_file import read_metrics, write_metrics
from espnet2_cltm.experiment.plan import PlannedRun
from espnet2_cltm.files import cannot_write, replacing, write_text

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
