"""Strategies as a dimension of an experiment: the same runs, adapted in several ways.

``conf/strategies/<name>.yaml`` holds what a strategy changes in a task's training
configuration: ``strategy``, ``strategy_conf``, and further ESPnet options where it
needs others, such as a learning rate of its own. ``experiment.yaml`` keeps it, so that
an experiment does not change when that file does. The strategy that a training
configuration names itself (``full`` where it names none) stands for the configuration
as it is, and its runs have the names of an experiment without strategies.

Subset, head and order of the data come from a run's seed alone: differences between
strategies are paired.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from espnet2_cltm.errors import UserError
from espnet2_cltm.experiment.plan import PlannedStrategy, Run
from espnet2_cltm.experiment.settings import Settings
from espnet2_cltm.files import read_mapping, shipped
from espnet2_cltm.registry import find_strategy, strategy_names
from espnet2_cltm.results_format import FULL, STEPS

Overlay = Mapping[str, Any]

DIRECTORY = Path("conf/strategies")
_ALONE = ("strategy", "strategy_conf")
"""Options of an overlay with which runs on one language may be shared."""


def read_strategies(names: Iterable[str]) -> dict[str, Overlay]:
    """Read what strategies change, by name.

    Args:
        names: Names of files, or of several joined by ``+``.

    Raises:
        UserError: A name is not known, or given twice, or a file cannot be used.
    """
    overlays: dict[str, Overlay] = {}
    for name in names:
        if name in overlays or len(set(name.split("+"))) < len(name.split("+")):
            raise UserError(f"--strategy names {name} twice: name each once.")
        overlays[name] = _combine([_read(part) for part in name.split("+")])
    return overlays


def _read(name: str) -> Overlay:
    path = shipped(DIRECTORY / f"{name}.yaml")
    is_name = re.fullmatch(r"[\w-]+", name) is not None and name not in STEPS
    if is_name and path.exists():
        return read_mapping(path, "a strategy")
    if is_name and name in strategy_names():
        return {"strategy": name, "strategy_conf": {}}
    own = {file.stem for file in DIRECTORY.glob("*.yaml")}
    raise UserError(
        f"--strategy {name} is not known: give some of "
        f"{' '.join(sorted({*own, *strategy_names()}))}, or write {DIRECTORY}/"
        "<name>.yaml."
    )


def _combine(overlays: Sequence[Overlay]) -> Overlay:
    if len(overlays) == 1:
        return overlays[0]
    combined: Overlay = {}
    parts: dict[str, Any] = {}
    for overlay in overlays:
        combined = _laid_over(combined, overlay)
        name, conf = overlay.get("strategy", FULL), overlay.get("strategy_conf") or {}
        parts.update(conf if "+" in name else {name: conf})
    return {**combined, "strategy": "+".join(parts), "strategy_conf": parts}


def _laid_over(config: Mapping[str, Any], overlay: Overlay) -> dict[str, Any]:
    """Return a configuration with an overlay; of options in groups, those it names."""
    merged = dict(config)
    for option, value in overlay.items():
        before = merged.get(option)
        if isinstance(value, Mapping) and isinstance(before, Mapping):
            value = value if option in _ALONE else {**before, **value}
        merged[option] = value
    return merged


def own_strategy(config: Mapping[str, Any]) -> str:
    """Return the strategy that a training configuration itself names."""
    named = config.get("strategy")
    return named if isinstance(named, str) else FULL


def strategies_of(settings: Settings, task: str) -> list[PlannedStrategy]:
    """Return a task's strategies in the order of the options.

    Raises:
        UserError: A strategy changes nothing in any run.
    """
    own = own_strategy(settings.train_config[task])
    names = list(settings.strategies) or [own]
    alike = {x: _alone_as(settings, task, x, x == own, names) for x in names}
    if settings.regime_budgets and any(alike.values()):
        name = next(name for name in names if alike[name])
        raise UserError(
            f"--strategy {name} does nothing in learning curves, whose runs are on one "
            f"language each and the same as those of {alike[name]}: leave it out."
        )
    return [PlannedStrategy(name, name == own, alike[name]) for name in names]


def _alone_as(
    settings: Settings, task: str, name: str, is_own: bool, names: Sequence[str]
) -> str:
    """Return the strategy whose runs on one language are the same; empty for none."""
    if len(names) == 1:
        return ""
    config = settings.train_config[task]
    overlay = config if is_own else settings.strategies[name]
    parts = name.split("+")
    left = [part for part in parts if _acts_alone(part, overlay)]
    other = "+".join(left) or FULL
    is_more = not is_own and {*overlay} - {*_ALONE}
    if left == parts or other not in names or is_more:
        return ""
    return other


def _acts_alone(name: str, overlay: Overlay) -> bool:
    if name not in strategy_names():
        return True
    conf = overlay.get("strategy_conf") or {}
    conf = conf.get(name, {}) if "+" in overlay.get("strategy", "") else conf
    return not isinstance(conf, Mapping) or find_strategy(name).acts_alone(conf)


def config_of(
    settings: Settings, task: str, strategy: str = FULL, is_own: bool = True
) -> dict[str, Any]:
    """Return the training configuration of a task's runs.

    Args:
        settings: The experiment's settings.
        task: Name of the task.
        strategy: Strategy of the runs.
        is_own: Whether that is the configuration's own.

    Raises:
        UserError: The settings do not hold the strategy.
    """
    config = settings.train_config[task]
    if is_own:
        return dict(config)
    if strategy not in settings.strategies:
        raise UserError(
            f"experiment.yaml lacks the strategy {strategy}, which the plan has: run "
            "stage 3 again."
        )
    return _laid_over(config, settings.strategies[strategy])


def config_of_run(settings: Settings, run: Run) -> dict[str, Any]:
    """Return the training configuration of a run, as :func:`config_of`."""
    return config_of(settings, run.task, run.strategy, run.is_own)
