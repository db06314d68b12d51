"""Making a plan from the audio store: who takes part, what is drawn, which runs."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from espnet2_cltm.corpus.datadir import SPLITS, Utterance, read_data_dir, read_table
from espnet2_cltm.errors import UserError
from espnet2_cltm.experiment.layout import ExperimentDir
from espnet2_cltm.experiment.plan import PlannedRun, read_plan, write_plan
from espnet2_cltm.experiment.run import Run, all_runs
from espnet2_cltm.experiment.settings import Settings, check_unchanged, write_settings
from espnet2_cltm.experiment.task_registry import drawing
from espnet2_cltm.experiment.utterance_list import (
    ListedUtterance,
    read_utterance_list,
    total_seconds,
    write_espnet_data,
    write_utterance_list,
)
from espnet2_cltm.progress import progress


@dataclass(frozen=True)
class DrawnLanguage:
    """What is drawn of one language for one task.

    Attributes:
        train: By seed, the utterances of a double run.
        dev: Validation utterances.
        test: Test utterances.
    """

    train: dict[int, list[ListedUtterance]]
    dev: list[ListedUtterance]
    test: list[ListedUtterance]


@dataclass(frozen=True)
class Planned:
    """A plan with what it rests on.

    Attributes:
        runs: All runs, tasks one after another.
        drawn: Drawn utterances by (task, language).
        left_out: Reasons by (task, language) that can't take part.
    """

    runs: list[PlannedRun]
    drawn: dict[tuple[str, str], DrawnLanguage]
    left_out: dict[tuple[str, str], str]


def make_plan(
    settings: Settings, languages: Sequence[str], seeds: Sequence[int]
) -> Planned:
    """Draw subsets and list all runs, without writing anything.

    Args:
        settings: The experiment's settings.
        languages: Language codes.
        seeds: Seeds, at least one.

    Raises:
        UserError: The audio store lacks something, or fewer than two languages can
            take part in a task.
    """
    if not seeds:
        raise UserError("No seed was given: give --seeds at least one number.")
    drawn: dict[tuple[str, str], DrawnLanguage] = {}
    left_out: dict[tuple[str, str], str] = {}
    for lang in progress(
        sorted(set(languages)), description="Drawing subsets", unit="lang"
    ):
        splits = {split: _read_split(settings, lang, split) for split in SPLITS}
        utterances = {split: rows for split, (rows, _) in splits.items()}
        for task in settings.tasks:
            reason = drawing(task).unfit_reason(utterances, settings.budget)
            if reason is None:
                drawn[task, lang] = _draw(task, splits, settings.budget, seeds)
            else:
                left_out[task, lang] = reason
    runs = []
    for task in settings.tasks:
        fit = [lang for drawn_task, lang in drawn if drawn_task == task]
        if len(fit) < 2:
            reasons = "; ".join(
                f"{lang}: {reason}"
                for (out_task, lang), reason in left_out.items()
                if out_task == task
            )
            raise UserError(
                f"Fewer than two languages can take part in {task} with --budget "
                f"{settings.budget} ({reasons or 'give --langs two or more'}): lower "
                "--budget or add languages."
            )
        runs += [
            _measure(run, drawn, fit, settings.zero_shot)
            for run in all_runs(task, fit, settings.budget, seeds)
        ]
    return Planned(runs, drawn, left_out)


def write_experiment(
    directory: ExperimentDir, settings: Settings, planned: Planned
) -> None:
    """Write what the runner needs; the plan comes last.

    Args:
        directory: The experiment's directory, new or one that grows.
        settings: What all runs have in common.
        planned: From :func:`make_plan`.

    Raises:
        UserError: The experiment exists with other settings or other data.
    """
    check_unchanged(directory.settings, settings)
    for (task, lang), language in planned.drawn.items():
        _check_same_data(directory, task, lang, language)
    for (task, lang), language in progress(
        planned.drawn.items(), description="Writing subsets", unit="lang"
    ):
        for seed, utterances in language.train.items():
            write_utterance_list(directory.train_list(task, lang, seed), utterances)
        write_utterance_list(directory.test_list(task, lang), language.test)
        write_espnet_data(directory.dev_data(task, lang), language.dev)
    write_settings(directory.settings, settings)
    _say_what_leaves(directory, planned.runs)
    write_plan(directory.plan, planned.runs)


def _say_what_leaves(directory: ExperimentDir, runs: Sequence[PlannedRun]) -> None:
    """Say how many runs of the plan before are not in the new one."""
    if not directory.plan.exists():
        return
    names = {planned.run.name for planned in runs}
    gone = [p for p in read_plan(directory.plan) if p.run.name not in names]
    if gone:
        logging.warning(
            "%d runs that were planned before, %s first, are in the plan no more; "
            "what is done of them is kept. Give all --langs and --seeds to have them "
            "in the matrix.",
            len(gone),
            gone[0].run.name,
        )


def training_utterances(directory: ExperimentDir, run: Run) -> list[ListedUtterance]:
    """Give a run's training utterances, a pair's two languages in turn."""
    n_drawn = drawing(run.task).n_drawn(run.utterances_per_language)
    parts = [
        read_utterance_list(directory.train_list(run.task, lang, run.seed))[:n_drawn]
        for lang in run.languages
    ]
    return [utterance for turn in zip(*parts, strict=True) for utterance in turn]


def _read_split(
    settings: Settings, lang: str, split: str
) -> tuple[list[Utterance], dict[str, str]]:
    directory = settings.split_dir(lang, split)
    if not (directory / "wav.scp").exists():
        raise UserError(
            f"{directory} is not in the audio store: run stages 1 and 2 for {lang}, or "
            "take it out of --langs."
        )
    return read_data_dir(directory), read_table(directory / "utt2num_samples")


def _draw(
    task: str,
    splits: dict[str, tuple[list[Utterance], dict[str, str]]],
    budget: int,
    seeds: Sequence[int],
) -> DrawnLanguage:
    rules = drawing(task)

    def listed(split: str) -> dict[str, ListedUtterance]:
        utterances, num_samples = splits[split]
        return {
            u.id: ListedUtterance(u.id, label, int(num_samples[u.id]), u.audio)
            for u in utterances
            if (label := rules.label_of(u)) is not None
        }

    train = listed("train")
    return DrawnLanguage(
        train={
            seed: [
                train[utt]
                for utt in rules.draw_training_utterances(
                    splits["train"][0], budget, seed
                )
            ]
            for seed in sorted(set(seeds))
        },
        dev=list(listed("dev").values()),
        test=list(listed("test").values()),
    )


def _measure(
    run: Run,
    drawn: dict[tuple[str, str], DrawnLanguage],
    languages: Sequence[str],
    zero_shot: bool,
) -> PlannedRun:
    n_drawn = drawing(run.task).n_drawn(run.utterances_per_language)
    train = [
        utterance
        for lang in run.languages
        for utterance in drawn[run.task, lang].train[run.seed][:n_drawn]
    ]
    tested = run.test_languages(languages, zero_shot)
    test = [u for lang in tested for u in drawn[run.task, lang].test]
    return PlannedRun(
        run=run,
        utterances=len(train),
        train_seconds=total_seconds(train),
        test_languages=tuple(tested),
        test_utterances=len(test),
        test_seconds=total_seconds(test),
    )


def _check_same_data(
    directory: ExperimentDir, task: str, lang: str, language: DrawnLanguage
) -> None:
    """Refuse to mix runs on different draws of one language."""

    def identity(utterances: Sequence[ListedUtterance]) -> list[tuple[Any, ...]]:
        return [(u.utt, u.label, u.num_samples) for u in utterances]

    lists = {
        directory.train_list(task, lang, seed): utterances
        for seed, utterances in language.train.items()
    }
    lists[directory.test_list(task, lang)] = language.test
    for path, utterances in lists.items():
        if not path.exists():
            continue
        if identity(read_utterance_list(path)) != identity(utterances):
            raise UserError(
                f"{path} was drawn from other audio than the store now holds: give "
                "the experiment a new --tag, or delete the old one."
            )


def log_left_out(planned: Planned) -> None:
    """Say in one line each which languages do not take part, and why."""
    for (task, lang), reason in planned.left_out.items():
        logging.warning("%s is left out of %s: %s", lang, task, reason)
