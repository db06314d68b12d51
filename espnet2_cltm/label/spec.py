"""Label tasks: any table ``utt2<label>`` makes one, declared by a YAML file.

``conf/tasks/<name>.yaml`` holds

* ``label``: name of the table after ``utt2``; left out, the task's name;
* ``title``: the task's name in text and figures;
* ``classes``: list of classes; left out, those of which every language has enough
  utterances;
* ``class_titles``: names of classes in text and figures, by class;
* ``demo_budget``: N of the demo; ``train_config``: training configuration.

N counts utterances per class, of which training sets have the same number for every
class. Imports no torch, so that a plan takes seconds.
"""

import logging
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from espnet2_cltm.corpus.allowed_words import is_id
from espnet2_cltm.corpus.datadir import SPLITS
from espnet2_cltm.errors import UserError
from espnet2_cltm.files import read_mapping
from espnet2_cltm.label.metrics import LABEL_METRICS
from espnet2_cltm.subsets import draw_balanced, first_of_classes
from espnet2_cltm.task import (
    DrawingRules,
    LanguageDraw,
    Metric,
    Splits,
    TaskSpec,
    UnfitLanguage,
)


@dataclass(frozen=True)
class LabelTask(TaskSpec):
    """A task that tells the classes of a label apart.

    Attributes:
        metrics: Metrics of labels, see :mod:`espnet2_cltm.label.metrics`.
        label: Name of the table, ``utt2<label>``.
        classes: Classes in the order of the model's outputs; empty to find them.
        class_titles: Names of classes in text and figures, where they differ.
    """

    metrics: tuple[Metric, ...] = LABEL_METRICS
    unit: str = "utterances per class"
    train_config: str = "conf/train_label.yaml"
    module: str | None = "espnet2_cltm.label.testing"
    label: str = ""
    classes: tuple[str, ...] = ()
    class_titles: Mapping[str, str] = field(default_factory=dict)

    def draw(
        self, splits: Splits, rules: DrawingRules, seeds: Sequence[int]
    ) -> LanguageDraw:
        """Draw balanced training subsets; dev and test are all labelled utterances.

        Raises:
            UnfitLanguage: A split lacks utterances of a class.
        """
        largest = max(rules.sizes)
        classes = tuple(rules.options["classes"])
        labels = self._labels(splits)
        for split in SPLITS:
            self._require(splits, split, classes, largest if split == "train" else 1)
            labels[split] = {u: c for u, c in labels[split].items() if c in classes}
        return LanguageDraw(
            train={
                seed: draw_balanced(labels["train"], classes, largest, seed, self.label)
                for seed in seeds
            },
            dev=list(labels["dev"]),
            test=list(labels["test"]),
            labels={u: c for split in SPLITS for u, c in labels[split].items()},
        )

    def audio_needed(
        self, splits: Splits, rules: DrawingRules, seeds: Sequence[int]
    ) -> Iterable[str]:
        """Return the first utterances of each class, of all seeds."""
        label_of = self._labels(splits)["train"]
        rest = (rules.options["classes"], max(rules.sizes))
        return {
            utt
            for seed in seeds
            for utts in first_of_classes(label_of, *rest, seed, self.label)
            for utt in utts
        }

    def default_options(self) -> dict[str, Any]:
        """Return the declared classes, if any, besides the other defaults."""
        declared = {"classes": list(self.classes)} if self.classes else {}
        return {**super().default_options(), **declared}

    def n_drawn(self, n: int, options: Mapping[str, Any]) -> int:
        """Return the number of utterances of a language in a run, over all classes."""
        return n * len(options["classes"])

    def settle_options(
        self,
        options: Mapping[str, Any],
        languages: Iterable[tuple[str, Splits]],
        largest: int,
    ) -> dict[str, Any]:
        """Fill in the classes: the declared ones, or those that all languages have.

        Languages without a single label are passed over, as they cannot take part.

        Raises:
            UserError: The languages have fewer than two classes in common.
        """
        if "classes" in options:
            return dict(options)
        classes = self._find_classes(languages, largest)
        logging.info("%s: the classes are %s", self.name, " ".join(classes))
        return {**options, "classes": classes}

    def class_title(self, name: str) -> str:
        """Return a class's name in text and figures."""
        return self.class_titles.get(name, name)

    def _labels(self, splits: Splits) -> dict[str, dict[str, str]]:
        return {
            split: {
                u.id: u.labels[self.label]
                for u in splits[split]
                if self.label in u.labels
            }
            for split in SPLITS
        }

    def _require(
        self, splits: Splits, split: str, classes: Sequence[str], needed: int
    ) -> None:
        for name in classes:
            spoken = [u for u in splits[split] if u.labels.get(self.label) == name]
            if len(spoken) < needed:
                n_speakers = len({u.speaker for u in spoken})
                raise UnfitLanguage(
                    f"{split} has {len(spoken)} utterances by {n_speakers} speakers "
                    f"labelled {name} where {needed} are needed"
                )

    def _find_classes(
        self, languages: Iterable[tuple[str, Splits]], largest: int
    ) -> list[str]:
        counts = {}
        for lang, splits in languages:
            labels = self._labels(splits)
            if any(labels.values()):
                counts[lang] = {s: Counter(labels[s].values()) for s in SPLITS}
        if not counts:
            raise UserError(
                f"No utterance has a label for the task {self.name}: the data "
                f"directories lack utt2{self.label}; give --labels a table with the "
                f"column {self.label}, or data directories that have it."
            )
        enough = {
            lang: {
                name
                for name, n in of["train"].items()
                if n >= largest and of["dev"][name] and of["test"][name]
            }
            for lang, of in counts.items()
        }
        common = set.intersection(*enough.values())
        if len(common) < 2:
            has = "; ".join(
                f"{lang}: {' '.join(sorted(names)) or 'none'}"
                for lang, names in sorted(enough.items())
            )
            raise UserError(
                f"The languages have fewer than two classes of {self.label} in common "
                f"that have {largest} utterances in train and one each in dev and test "
                f"({has}): give labels of two or more classes, lower "
                f"--{self.name}_budget, choose other --langs, or list the classes in "
                f"conf/tasks/{self.name}.yaml."
            )
        return sorted(common)


def read_label_task(path: Path) -> LabelTask:
    """Read a label task's YAML file; its name is the file's.

    Raises:
        UserError: The file cannot be read, or a key or its value is wrong.
    """
    content = read_mapping(path, "a label task")
    declared = {f.name for f in fields(LabelTask)}
    known = [key for key in _KEYS if key in declared]
    if unknown := sorted(content.keys() - set(known), key=str):
        raise UserError(
            f"{path} has the unknown key {unknown[0]}: give {', '.join(known)}."
        )
    name = path.stem
    if not name.isidentifier():
        raise UserError(
            f"{path}: {name} cannot be the name of a task, which is part of the names "
            "of options and runs: use letters, digits and underscores."
        )
    label = content.get("label", name)
    for key, value in (("label", label), ("title", content.get("title", name))):
        if not isinstance(value, str) or (key == "label" and not is_id(value)):
            raise UserError(f"{path}: {key} takes a text, not {value!r}.")
    classes = content.get("classes") or []
    titles = content.get("class_titles") or {}
    if not isinstance(classes, list) or len(set(map(str, classes))) < len(classes):
        raise UserError(f"{path}: classes takes a list of different texts.")
    for value in (*classes, *titles):
        # YAML reads a bare no, on or off as a truth value.
        if not isinstance(value, str) or not is_id(value):
            raise UserError(
                f"{path}: {value!r} cannot be a class: write texts without white "
                "space, in quotes where YAML would read something else."
            )
    if len(classes) == 1:
        raise UserError(f"{path}: classes has one entry: list two or more, or none.")
    budget = content.get("demo_budget")
    if budget is not None and (type(budget) is not int or budget < 1):
        raise UserError(f"{path}: demo_budget takes a whole number, at least 1.")
    config = (
        {"train_config": content["train_config"]} if "train_config" in content else {}
    )
    return LabelTask(
        name=name,
        title=content.get("title", name),
        label=label,
        classes=tuple(classes),
        class_titles=dict(titles),
        demo_budget=budget,
        **config,
    )


_KEYS = ("label", "title", "classes", "class_titles", "demo_budget", "train_config")
