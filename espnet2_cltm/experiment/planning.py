"""Planning: which languages take part, what is drawn for them, and which runs."""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import Any

from espnet2_cltm.corpus.audio import SAMPLE_RATE
from espnet2_cltm.corpus.datadir import Utterance
from espnet2_cltm.corpus.utterance_list import ListedUtterance
from espnet2_cltm.errors import UserError
from espnet2_cltm.experiment.adaptive import ADAPTIVE, ChooseRuns, plan_round
from espnet2_cltm.experiment.drawing import draw_across, draw_language
from espnet2_cltm.experiment.drawn import DrawnLanguage, DrawnSet, Planned
from espnet2_cltm.experiment.layout import ExperimentDir
from espnet2_cltm.experiment.pair_selection import made_pair_runs, select_pairs
from espnet2_cltm.experiment.plan import PlannedRun, Run, all_runs, curve_runs, linked
from espnet2_cltm.experiment.pools import pool_runs
from espnet2_cltm.experiment.settings import Settings, read_settings
from espnet2_cltm.experiment.shared_speakers import People, people_of, read_language
from espnet2_cltm.experiment.steps import epoch_of
from espnet2_cltm.experiment.strategies import strategies_of
from espnet2_cltm.experiment.writing import is_begun
from espnet2_cltm.language_codes import without_donors
from espnet2_cltm.pools import ChosenPool
from espnet2_cltm.progress import progress
from espnet2_cltm.registry import find_task
from espnet2_cltm.task import UnfitLanguage


def make_plan(
    settings: Settings,
    languages: Sequence[str],
    seeds: Sequence[int],
    directory: ExperimentDir | None = None,
    choose_pools: Callable[[str, list[str]], list[ChosenPool]] | None = None,
    choose_runs: ChooseRuns | None = None,
) -> Planned:
    """Draw subsets and list all runs, without writing anything.

    Args:
        settings: The experiment's settings.
        languages: Language codes.
        seeds: Seeds, at least one.
        directory: The experiment's directory. Where only a share of the pairs is
            measured, pair runs that are done in it are preferred and stay in the plan.
        choose_pools: Function of (task, its languages) that decides on the donors of
            targets without data, where the settings ask for pools.
        choose_runs: Function that chooses the pair runs of a round in an adaptive
            design; without it, all of them are listed.

    Raises:
        UserError: The audio store lacks something, or too few languages can take part
            in a task: a matrix needs two, a learning curve one.
    """
    if not seeds:
        raise UserError("There is no seed: give --seeds at least one number.")
    languages = sorted(set(languages))
    people = people_of(settings, languages)
    settings = _settle_options(settings, languages, people, directory)
    drawn: dict[tuple[str, str], DrawnLanguage] = {}
    left_out: dict[tuple[str, str], str] = {}
    owner: dict[str, str] = {}
    for lang in progress(languages, description="Drawing subsets", unit="lang"):
        splits, n_barred, listed = read_language(settings, lang, people)
        for split, utterances in splits.items():
            for speaker in {utt.speaker for utt in utterances}:
                if owner.setdefault(speaker, lang) != lang:
                    raise UserError(
                        f"The speaker id {speaker} belongs to one person of "
                        f"{owner[speaker]} and to another of {lang}: rename one of the "
                        "languages, or its speakers, and run stages 1 to 3 again."
                    )
            if n_barred[split]:
                logging.info(
                    "%s, %s: %d utterances by people whom other languages test are "
                    "left out",
                    lang,
                    split,
                    n_barred[split],
                )
        for task in settings.tasks:
            rules, ordered = settings.rules(task, lang), sorted(set(seeds))
            try:
                drawn[task, lang] = draw_language(
                    task, lang, splits, listed, rules, ordered
                )
            except UnfitLanguage as error:
                left_out[task, lang] = error.reason
    fit = {
        task: [lang for drawn_task, lang in drawn if drawn_task == task]
        for task in settings.tasks
    }
    for task in settings.tasks:
        _require_languages(task, settings, fit[task], left_out)
    across = draw_across(settings, drawn)
    runs = []
    pools: dict[str, list[ChosenPool]] = {}
    for task in settings.tasks:
        names = [name for of_task, name in across if of_task == task]
        tests = {
            run: [
                *run.test_languages(fit[task], settings.zero_shot),
                *run.tests_across(names, settings.zero_shot),
            ]
            for run in _runs(
                task, settings, drawn, fit[task], seeds, directory, choose_runs
            )
        }
        # Without zero-shot tests, what is a donor only is not tested alone.
        tests = {run: tested for run, tested in tests.items() if tested}
        if settings.pools:
            pools[task] = choose_pools(task, fit[task]) if choose_pools else []
            targets = settings.pools.targets or without_donors(fit[task])
            more = pool_runs(
                *(task, pools[task], settings.pools, targets, settings.budget[task]),
                *(seeds, "data" if settings.steps == "data" else "equal"),
                strategies_of(settings, task),
                {x: settings.pool_method(x) for x in settings.pools.methods},
            )
            for run, tested in more.items():
                known = tests.setdefault(run, [])
                known += sorted(tested - {*known})
        by_seed = sorted(tests, key=lambda run: run.seed)
        measure = _measure(task, settings, drawn, across)
        runs += [measure(run, tests[run]) for run in by_seed]
    return Planned(settings, linked(runs), drawn, across, left_out, pools)


def needed_audio(
    settings: Settings,
    languages: Sequence[str],
    seeds: Sequence[int],
    directory: ExperimentDir | None = None,
) -> dict[str, set[str]]:
    """Return what has to be decoded before :func:`make_plan` can draw.

    What is decoded may turn out to be unusable, and others are needed in its place:
    the subsets are those of a store in which all is decoded as soon as nothing more is
    needed.

    Args:
        settings: The experiment's settings.
        languages: Languages with whole dev and test in the audio store.
        seeds: Seeds.
        directory: The experiment's directory.

    Returns:
        Ids of utterances of train by language, those in which anything is missing.

    Raises:
        UserError: The audio store lacks a language, or the data do not determine an
            option.
    """
    people = people_of(settings, languages)
    settings = _settle_options(settings, languages, people, directory)
    needed = {}
    for lang in languages:
        splits, _, listed = read_language(settings, lang, people)
        undecoded = {u.id for u in splits["train"]} - listed.keys()
        missing: set[str] = set()
        for task in settings.tasks if undecoded else ():
            rules, ordered = settings.rules(task, lang), sorted(set(seeds))
            utts = find_task(task).audio_needed(splits, rules, ordered)
            missing |= undecoded if utts is None else undecoded.intersection(utts)
        if missing:
            needed[lang] = missing
    return needed


def _settle_options(
    settings: Settings,
    languages: Sequence[str],
    people: People,
    directory: ExperimentDir | None,
) -> Settings:
    """Fill in the options that depend on the data, such as classes to be found."""
    before: Mapping[str, Mapping[str, Any]] = {}
    if directory and directory.settings.exists() and is_begun(directory):
        before = read_settings(directory.settings).options

    def read() -> Iterator[tuple[str, dict[str, list[Utterance]]]]:
        for lang in languages:
            splits, _, _ = read_language(settings, lang, people)
            yield lang, splits

    options = {}
    for task in settings.tasks:
        # Not for the sake of shots: an experiment that gets some stays as it was.
        rules = replace(settings.rules(task), shots=())
        spec, largest = find_task(task), max(rules.sizes)
        kept = {k: v for k, v in before.get(task, {}).items() if k in spec.lasting}
        asked = {**spec.default_options(), **settings.options.get(task, {}), **kept}
        options[task] = spec.settle_options(asked, read(), largest)
    return replace(settings, options=options)


def _runs(
    task: str,
    settings: Settings,
    drawn: Mapping[tuple[str, str], DrawnLanguage],
    languages: Sequence[str],
    seeds: Sequence[int],
    directory: ExperimentDir | None,
    choose_runs: ChooseRuns | None,
) -> list[Run]:
    """List a task's runs, by seed."""
    strategies = strategies_of(settings, task)
    if settings.regime_budgets:
        tested = without_donors(languages)
        grids = {lang: drawn[task, lang].grid for lang in tested}
        return curve_runs(task, grids, seeds, settings.steps, strategies)
    budget = settings.budget[task]
    runs = all_runs(task, languages, budget, seeds, settings.steps, strategies)
    if settings.design == ADAPTIVE and choose_runs:
        return plan_round(directory, settings, task, runs, choose_runs)
    if settings.pairs_fraction == 1:
        return runs
    made = made_pair_runs(directory, runs)
    pairs = select_pairs(
        languages,
        settings.pairs_fraction,
        settings.pairs_seed,
        {(run.languages[0], run.languages[1]) for run in made},
    )
    # Finished runs stay in the plan, or a smaller share would hide their results.
    return [
        run
        for run in runs
        if run.kind != "pair" or run.languages in pairs or run in made
    ]


def _require_languages(
    task: str,
    settings: Settings,
    fit: Sequence[str],
    left_out: Mapping[tuple[str, str], str],
) -> None:
    grid = settings.regime_budgets
    if len(fit) >= (1 if grid else 2) and without_donors(fit):
        return
    reasons = "; ".join(
        f"{lang}: {reason}"
        for (out_task, lang), reason in left_out.items()
        if out_task == task
    )
    if grid:
        numbers = " ".join(map(str, grid))
        raise UserError(
            f"No language can take part in {task} with any N of {numbers} "
            f"and its double ({reasons or 'give --langs one or more'}): give "
            "--regime_budgets other numbers, or --langs other languages."
        )
    others = [name for name in settings.tasks if name != task]
    raise UserError(
        f"Fewer than two languages, a target and a donor, can take part in {task} with "
        f"N = {settings.budget[task]} ({reasons or 'give --langs two or more'}): lower "
        f"--{task}_budget or add languages"
        + (f', or give --task "{" ".join(others)}".' if others else ".")
    )


def _measure(
    task: str,
    settings: Settings,
    drawn: Mapping[tuple[str, str], DrawnLanguage],
    across: Mapping[tuple[str, str], DrawnSet],
) -> Callable[[Run, Sequence[str]], PlannedRun]:
    """Return what makes a line of the plan of a task's run and its tests.

    Thousands of runs share their parts and tests, each of which is added up once.
    """
    options, cut = settings.options[task], find_task(task).cut
    strategies = strategies_of(settings, task)

    @cache
    def trained(lang: str, n: int, seed: int) -> tuple[int, int]:
        return _amount(cut(drawn[task, lang].train[seed], n, options))

    tests = {
        name: _amount(one.utterances)
        for of_all in ({k: one.test for k, one in drawn.items()}, across)
        for (of_task, name), one in of_all.items()
        if of_task == task
    }

    def measure(run: Run, tested: Sequence[str]) -> PlannedRun:
        train = _total(trained(lang, n, run.seed) for lang, n in run.parts)
        n_test, test_seconds = _total(tests[name] for name in tested)
        n_utterances, train_seconds = epoch_of(settings, run, *train)
        shared = strategies if len(run.languages) == 1 else ()
        return PlannedRun(
            run=run,
            utterances=n_utterances,
            train_seconds=train_seconds,
            test_languages=tuple(tested),
            test_utterances=n_test,
            test_seconds=test_seconds,
            shared_by=tuple(s.name for s in shared if s.alone_as == run.strategy),
        )

    return measure


def _amount(utterances: Sequence[ListedUtterance]) -> tuple[int, int]:
    """Return the number of utterances and of their samples."""
    return len(utterances), sum(u.num_samples for u in utterances)


def _total(amounts: Iterable[tuple[int, int]]) -> tuple[int, float]:
    """Return the number of utterances of all sets, and their seconds."""
    counts, samples = zip(*amounts, strict=True)
    return sum(counts), sum(samples) / SAMPLE_RATE
