"""What all runs of an experiment have in common: ``experiment.yaml``.

Languages, seeds and strategies may be added to an experiment; its settings may not
change, or runs that cannot be compared would enter one matrix. The exceptions, in
:data:`MAY_CHANGE`, determine how many runs there are, not how a run is made.
"""

import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import yaml

from espnet2_cltm.budget import read_budget
from espnet2_cltm.errors import UserError
from espnet2_cltm.files import read_mapping, write_text
from espnet2_cltm.frontend.families import NAMES
from espnet2_cltm.pooling.methods import Method, method_of
from espnet2_cltm.pools import PoolOptions
from espnet2_cltm.results_format import JOINT
from espnet2_cltm.task import DrawingRules

# Settings with a value per task, strategy or method, of which there may come more.
MAY_GROW = ("budget", "options", "train_config", "strategies", "pool_methods")
MAY_CHANGE = ("pairs_fraction", "design", "certainty", "regime_budgets", "pools")
_ONE_MATRIX = {"both": "equal"}  # steps whose runs of a matrix are those of another


@dataclass(frozen=True)
class Settings:
    """Settings of an experiment.

    Attributes:
        corpus: Name of the corpus.
        dumpdir: Directory of the audio store.
        budget: N of a single run by task; empty for learning curves.
        options: Each task's own options by name.
        shared_speakers: Whether speakers of one name, apart from ``<lang>-``, are one
            person in all languages, and nobody who is tested is trained on.
        zero_shot: Whether single runs are tested on every language.
        test_batch_bins: Most samples in a test batch, on which the last bits of a
            prediction depend.
        train_config: ESPnet training configuration by task, encoder included.
        pairs_fraction: Share of the pairs of languages that is measured; in an adaptive
            design, the largest share of their runs.
        pairs_seed: Seed that draws these pairs.
        regime_budgets: Every N of learning curves, ascending; empty for a matrix.
        steps: Optimiser steps of the runs, one of ``STEPS_CHOICES``; ``equal`` may
            become ``both``.
        strategies: What each strategy changes in a training configuration, by name, see
            :mod:`.strategies`; empty for the configurations' own alone.
        pools: What is asked for targets without data; None for nothing.
        design: Whether all pairs are measured, or some in rounds, see :mod:`.adaptive`.
        certainty: Probability with which the best donors of every target are to be
            known in an adaptive design.
        pool_methods: Options of the ways to make a pool's model, by name.
    """

    corpus: str
    dumpdir: str
    budget: Mapping[str, int]
    options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    shared_speakers: bool = False
    zero_shot: bool = True
    test_batch_bins: int = 480_000
    train_config: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    pairs_fraction: float = 1.0
    pairs_seed: int = 0
    regime_budgets: tuple[int, ...] = ()
    steps: str = "data"
    strategies: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    pools: PoolOptions | None = None
    pool_methods: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    design: str = "full"
    certainty: float = 0.9

    def __post_init__(self) -> None:
        # YAML has lists and mappings only, and seconds as texts.
        grid = tuple(read_budget(str(n)) for n in self.regime_budgets)
        object.__setattr__(self, "regime_budgets", grid)
        if isinstance(self.budget, Mapping):
            budget = {task: read_budget(str(n)) for task, n in self.budget.items()}
            object.__setattr__(self, "budget", budget)
        if isinstance(self.pools, Mapping):
            object.__setattr__(self, "pools", PoolOptions(**self.pools))

    @property
    def tasks(self) -> list[str]:
        """Names of the tasks, sorted."""
        return sorted(self.train_config)

    def rules(self, task: str, lang: str = "") -> DrawingRules:
        """Return the rules for drawing a task's subsets and test data.

        Args:
            task: The task.
            lang: The language, where only some are taken as having no data: others
                need no shots.
        """
        grid = self.regime_budgets
        pools = self.pools
        is_target = not (lang and pools and pools.targets) or lang in pools.targets
        return DrawingRules(
            budget=grid[-1] if grid else self.budget[task],
            grid=grid,
            shots=pools.few if pools and is_target else (),
            shared_speakers=self.shared_speakers,
            options=self.options.get(task, {}),
            config=self.train_config[task],
        )

    def pool_method(self, name: str) -> Method:
        """Return a way to make a pool's model.

        Raises:
            UserError: The settings do not hold it.
        """
        if name not in self.pool_methods and name != JOINT:
            raise UserError(
                f"experiment.yaml lacks the pool method {name}, which the plan has: "
                "run stage 3 again."
            )
        return method_of(name, self.pool_methods.get(name, {}))

    def split_dir(self, lang: str, split: str) -> Path:
        """Return a split's directory in the audio store."""
        return Path(self.dumpdir) / self.corpus / lang / split


def write_settings(path: Path, settings: Settings) -> None:
    """Write settings as YAML; tasks and strategies that the file has stay in it."""
    content = asdict(settings)
    if path.exists():
        before = asdict(read_settings(path))
        for name in MAY_GROW:
            content[name] = {**before[name], **content[name]}
    write_text(path, yaml.dump(content, Dumper=_Dumper, sort_keys=False))


class _Dumper(yaml.SafeDumper):
    """PyYAML's safe dumper, which writes tuples as lists."""


_Dumper.add_representer(tuple, yaml.SafeDumper.represent_list)


def read_settings(path: Path) -> Settings:
    """Read settings.

    Raises:
        UserError: The file is missing or damaged.
    """
    content = read_mapping(path, "an experiment's settings", "run stage 3 first")
    try:
        settings = Settings(**content)
    except (TypeError, ValueError) as error:
        raise UserError(
            f"{path} is damaged or from another version ({error}): give the experiment "
            "a new --tag, restore the file, or delete the experiment and run stage 3 "
            "again."
        ) from error
    if not all(isinstance(getattr(settings, name), dict) for name in MAY_GROW):
        raise UserError(
            f"{path} was written by an older version, which had one budget for all "
            "tasks: give the experiment a new --tag, or delete the old one."
        )
    return settings


def check_unchanged(path: Path, settings: Settings) -> None:
    """Refuse settings that differ from those of an existing experiment.

    A task or a strategy may be added; those that are there may not change.

    Args:
        path: The experiment's ``experiment.yaml``; if it is missing, nothing is
            checked.
        settings: Settings asked for now.

    Raises:
        UserError: Something differs; the message lists every difference.
    """
    if not path.exists():
        return
    before = read_settings(path)
    if bool(before.regime_budgets) != bool(settings.regime_budgets):
        what = ("a transfer matrix", "learning curves (--regime_budgets)")
        is_curves = bool(before.regime_budgets)
        raise UserError(
            f"{path} is of an experiment for {what[is_curves]}, not for "
            f"{what[not is_curves]}: give the new experiment its own --tag."
        )
    changes = [
        f"{name}: {_short(old)} before, {_short(new)} now"
        for name, old, new in list_differences(before, settings)
    ]
    if changes:
        raise UserError(
            f"{path} has other settings ({'; '.join(changes)}): give the new "
            "experiment its own --tag, or delete the old one."
        )


def _short(value: Any) -> str:
    return textwrap.shorten(str(value), 200, placeholder=" ...")


def list_differences(first: Settings, second: Settings) -> list[tuple[str, Any, Any]]:
    """List the settings that keep the runs of two experiments out of one matrix.

    Tasks and strategies that only one of them has do not count.

    Returns:
        Name and both values of each setting, None for a missing value.
    """
    one, other = asdict(first), asdict(second)
    for name in MAY_CHANGE:
        del one[name], other[name]
    for side in (one, other):
        side["steps"] = _ONE_MATRIX.get(side["steps"], side["steps"])
    for name in MAY_GROW:
        both = one[name].keys() & other[name].keys()
        for side in (one, other):
            side[name] = {key: side[name][key] for key in sorted(both)}
    for config in (*one["train_config"].values(), *other["train_config"].values()):
        if config.get("frontend") in NAMES:  # of one frontend
            config["frontend"] = NAMES[0]
    return list(_differences(one, other))


def _differences(
    first: Any, second: Any, name: str = ""
) -> Iterator[tuple[str, Any, Any]]:
    if isinstance(first, Mapping) and isinstance(second, Mapping):
        for key in sorted({*first, *second}, key=str):
            below = f"{name}.{key}" if name else str(key)
            yield from _differences(first.get(key), second.get(key), below)
    elif first != second:
        yield name, first, second
