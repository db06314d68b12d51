"""Planning: which languages take part, what is drawn for them, and which runs.

Splits share no speaker within a language, but a bilingual person may be in one
language's train or dev and in another's test. People who are tested in any language
serve for nothing else.
"""

import logging
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import Any

from espnet2_cltm.corpus.audio import SAMPLE_RATE
from espnet2_cltm.corpus.datadir import SPLITS, Utterance, read_table
from espnet2_cltm.corpus.language import person_of
from espnet2_cltm.corpus.stored import read_split, read_undecoded
from espnet2_cltm.corpus.utterance_list import ListedUtterance
from espnet2_cltm.errors import UserError
from espnet2_cltm.experiment.adaptive import ADAPTIVE, ChooseRuns, plan_round
from espnet2_cltm.experiment.drawn import (
    DrawnLanguage,
    DrawnSet,
    Planned,
    check_same_data,
    write_drawn,
)
from espnet2_cltm.experiment.layout import ExperimentDir
from espnet2_cltm.experiment.pair_selection import made_pair_runs, select_pairs
from espnet2_cltm.experiment.plan import (
    PlannedRun,
    Run,
    all_runs,
    curve_runs,
    doubled,
    linked,
    read_plan,
    write_plan,
)
from espnet2_cltm.experiment.pools import pool_runs
from espnet2_cltm.experiment.settings import (
    Settings,
    check_unchanged,
    read_settings,
    write_settings,
)
from espnet2_cltm.experiment.states import Claims
from espnet2_cltm.experiment.steps import epoch_of
from espnet2_cltm.experiment.strategies import strategies_of
from espnet2_cltm.files import remove_if_there
from espnet2_cltm.language_codes import is_donor_only
from espnet2_cltm.pools import ChosenPool
from espnet2_cltm.progress import progress
from espnet2_cltm.registry import find_task
from espnet2_cltm.task import DrawingRules, LanguageDraw, UnfitLanguage

# A split leaves out the people whom another language has in these.
_BARRED_BY: Mapping[str, tuple[str, ...]] = {
    "train": ("dev", "test"),
    "dev": ("test",),
    "test": (),
}

People = Mapping[str, Mapping[str, frozenset[str]]]
"""People in dev and in test, by language and split."""


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
    people = people_of(settings, languages) if settings.shared_speakers else {}
    settings = _settle_options(settings, languages, people, directory)
    drawn: dict[tuple[str, str], DrawnLanguage] = {}
    left_out: dict[tuple[str, str], str] = {}
    owner: dict[str, str] = {}
    for lang in progress(languages, description="Drawing subsets", unit="lang"):
        splits, listed = _read_language(settings, lang, people)
        for split, (utterances, n_barred) in splits.items():
            for speaker in {utt.speaker for utt in utterances}:
                if owner.setdefault(speaker, lang) != lang:
                    raise UserError(
                        f"The speaker id {speaker} belongs to one person of "
                        f"{owner[speaker]} and to another of {lang}: rename one of the "
                        "languages, or its speakers, and run stages 1 to 3 again."
                    )
            if n_barred:
                logging.info(
                    "%s, %s: %d utterances by people whom other languages test are "
                    "left out",
                    lang,
                    split,
                    n_barred,
                )
        usable = {split: utterances for split, (utterances, _) in splits.items()}
        for task in settings.tasks:
            rules, ordered = settings.rules(task, lang), sorted(set(seeds))
            grid: tuple[int, ...] = ()
            try:
                if settings.regime_budgets:
                    draw, grid = draw_curve(task, usable, rules, ordered)
                else:
                    draw = _draw(task, lang, usable, rules, ordered)
            except UnfitLanguage as error:
                left_out[task, lang] = error.reason
            else:
                drawn[task, lang] = _with_audio(draw, listed, grid, lang)
    fit = {
        task: [lang for drawn_task, lang in drawn if drawn_task == task]
        for task in settings.tasks
    }
    for task in settings.tasks:
        _require_languages(task, settings, fit[task], left_out)
    across = _draw_across(settings, drawn)
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
    people = people_of(settings, languages) if settings.shared_speakers else {}
    settings = _settle_options(settings, languages, people, directory)
    needed = {}
    for lang in languages:
        splits, listed = _read_language(settings, lang, people)
        usable = {split: utterances for split, (utterances, _) in splits.items()}
        undecoded = {u.id for u in usable["train"]} - listed.keys()
        missing: set[str] = set()
        for task in settings.tasks if undecoded else ():
            rules, ordered = settings.rules(task, lang), sorted(set(seeds))
            utts = find_task(task).audio_needed(usable, rules, ordered)
            missing |= undecoded if utts is None else undecoded.intersection(utts)
        if missing:
            needed[lang] = missing
    return needed


def _draw(
    task: str,
    lang: str,
    splits: Mapping[str, Sequence[Utterance]],
    rules: DrawingRules,
    seeds: Sequence[int],
) -> LanguageDraw:
    """Draw a language's utterances.

    Raises:
        UnfitLanguage: The language cannot take part.
        UserError: It could, but for ``--shots``.
    """
    try:
        return find_task(task).draw(splits, rules, seeds)
    except UnfitLanguage as error:
        if rules.shots:
            find_task(task).draw(splits, replace(rules, shots=()), seeds)
            raise UserError(
                f"--shots {' '.join(map(str, rules.shots))} does not go with {task} in "
                f"{lang}: {error.reason}; give other numbers, or leave {lang} out of "
                "--langs."
            ) from error
        raise


def draw_curve(
    task: str,
    splits: Mapping[str, Sequence[Utterance]],
    rules: DrawingRules,
    seeds: Sequence[int],
) -> tuple[LanguageDraw, tuple[int, ...]]:
    """Draw a language's utterances for as much of the grid as it has.

    Args:
        task: The task.
        splits: Utterances of ``train``, ``dev`` and ``test``.
        rules: Rules of the drawing, with the grid.
        seeds: Seeds of the runs.

    Returns:
        What is drawn, with a note on what the curve lacks, and every N of the curve.

    Raises:
        UnfitLanguage: The language has too little for any N and its double.
    """

    def draw(grid: tuple[int, ...]) -> LanguageDraw:
        own = replace(rules, budget=grid[-1], grid=grid)
        return find_task(task).draw(splits, own, seeds)

    try:
        return draw(rules.grid), rules.grid
    except UnfitLanguage:
        pass
    missing: dict[int, UnfitLanguage] = {}
    for n in rules.grid:
        try:
            draw((n,))
        except UnfitLanguage as error:
            missing[n] = error
    grid = tuple(n for n in rules.grid if n not in missing)
    first = next(iter(missing.values()))
    if not doubled(grid):
        raise first
    numbers = " ".join(map(str, missing))
    note = f"the learning curve lacks N = {numbers}: {first.reason}"
    made = draw(grid)
    return replace(made, notes=(note, *made.notes)), grid


def people_of(settings: Settings, languages: Sequence[str]) -> People:
    """Return the people in dev and in test of each language."""
    return {
        lang: {
            split: frozenset(
                person_of(speaker, lang) for speaker in _speakers(settings, lang, split)
            )
            for split in ("dev", "test")
        }
        for lang in languages
    }


def without_tested(
    people: People, lang: str, split: str, utterances: Sequence[Utterance]
) -> list[Utterance]:
    """Leave out people whom another language tests or, from train, validates on.

    Args:
        people: People of all languages, or an empty mapping.
        lang: Language of the utterances.
        split: Split of the utterances.
        utterances: The split's utterances.
    """
    if not people:
        return list(utterances)
    barred = {
        person
        for other, splits in people.items()
        if other != lang
        for other_split in _BARRED_BY[split]
        for person in splits[other_split]
    }
    return [u for u in utterances if person_of(u.speaker, lang) not in barred]


def _speakers(settings: Settings, lang: str, split: str) -> list[str]:
    path = settings.split_dir(lang, split) / "utt2spk"
    return list(read_table(path).values()) if path.exists() else []


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
            splits, _ = _read_language(settings, lang, people)
            yield lang, {split: kept for split, (kept, _) in splits.items()}

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


def is_begun(directory: ExperimentDir) -> bool:
    """Return whether an experiment has a run that is done or being made."""
    names = [path.name for path in directory.runs.glob("*")]
    if any(directory.metrics(name).exists() for name in names):
        return True
    if not directory.claims.exists():
        return False
    claims = Claims(directory.claims)
    is_taken = any(map(claims.is_taken, names))
    claims.close()
    return is_taken


def write_experiment(directory: ExperimentDir, planned: Planned) -> None:
    """Write what the runner needs; the plan comes last.

    Args:
        directory: Directory of a new or growing experiment. One without any run is
            made anew where its settings or data are others, or damaged.
        planned: Plan from :func:`make_plan`.

    Raises:
        UserError: The experiment has runs, and other settings or other data.
    """
    try:
        check_unchanged(directory.settings, planned.settings)
        check_same_data(directory, planned)
    except UserError as error:
        if is_begun(directory):
            raise
        logging.warning(
            "%s is made anew, as it had no run yet, and other settings or data: %s",
            directory.root,
            error,
        )
        for path in (directory.root / "data", directory.runs):
            shutil.rmtree(path, ignore_errors=True)
        remove_if_there(directory.plan, directory.settings, directory.encoders)
    write_settings(directory.settings, planned.settings)
    write_drawn(directory, planned)
    _say_what_leaves(directory, planned.runs)
    write_plan(directory.plan, planned.runs)


def log_notes(planned: Planned) -> None:
    """Log what is left out of the tasks and why, one line each."""
    for (task, lang), reason in planned.left_out.items():
        logging.warning("%s is left out of %s: %s", lang, task, reason)
    for (task, lang), language in planned.drawn.items():
        for note in language.notes:
            logging.info("%s, %s, %s", lang, task, note)


def _read_language(
    settings: Settings, lang: str, people: People
) -> tuple[dict[str, tuple[list[Utterance], int]], dict[str, tuple[int, str, str]]]:
    """Read a language from the audio store.

    Returns:
        By split, the usable utterances, those that are not decoded among them, and the
        number of those left out because other languages test their speakers; by decoded
        utterance, length and place of the audio, and speaker.
    """
    splits = {}
    listed = {}
    for split in SPLITS:
        directory = settings.split_dir(lang, split)
        if not (directory / "wav.scp").exists():
            raise UserError(
                f"{directory} is not in the audio store: run stages 1 and 2 for "
                f"{lang}, or remove it from --langs."
            )
        decoded, num_samples = read_split(directory)
        utterances = sorted([*decoded, *read_undecoded(directory)], key=lambda u: u.id)
        kept = without_tested(people, lang, split, utterances)
        splits[split] = (kept, len(utterances) - len(kept))
        for u in decoded:
            listed[u.id] = (num_samples[u.id], u.audio, u.speaker)
    return splits, listed


def _with_audio(
    draw: LanguageDraw,
    listed: Mapping[str, tuple[int, str, str]],
    grid: tuple[int, ...],
    lang: str,
) -> DrawnLanguage:
    missing = {u for of in draw.train.values() for u in of if u not in listed}
    if missing:
        raise UserError(
            f"{len(missing)} utterances that are drawn from {lang}, {min(missing)} "
            "first, are not decoded: run stage 2 with the same options as stage 3 (it "
            "adds what is missing), or with --decode all."
        )

    def utterances(utts: Sequence[str]) -> list[ListedUtterance]:
        return [ListedUtterance(utt, draw.labels[utt], *listed[utt]) for utt in utts]

    return DrawnLanguage(
        train={seed: utterances(utts) for seed, utts in draw.train.items()},
        dev=DrawnSet(utterances(draw.dev), draw.test_data.get("dev")),
        test=DrawnSet(utterances(draw.test), draw.test_data.get("test")),
        notes=draw.notes,
        grid=grid,
    )


def without_donors(languages: Iterable[str]) -> list[str]:
    """Return the languages that are tested, without what stands in for one."""
    return [lang for lang in languages if not is_donor_only(lang)]


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


def _draw_across(
    settings: Settings, drawn: Mapping[tuple[str, str], DrawnLanguage]
) -> dict[tuple[str, str], DrawnSet]:
    across: dict[tuple[str, str], DrawnSet] = {}
    for task in settings.tasks:
        spec, rules = find_task(task), settings.rules(task)
        if not spec.tests_across(rules.options):
            continue
        fit = without_donors(lang for of_task, lang in drawn if of_task == task)
        stored = {lang: read_split(settings.split_dir(lang, "test")) for lang in fit}
        tests = {lang: utterances for lang, (utterances, _) in stored.items()}
        for made in spec.draw_across(tests, rules):
            for note in made.notes:
                logging.info("%s, %s, test: %s", made.name, task, note)
            if made.data is None:
                continue
            by_id = {}
            for lang in made.name.split("~"):
                _, lengths = stored[lang]
                for u in tests[lang]:
                    label = person_of(u.speaker, lang)
                    by_id[u.id] = ListedUtterance(u.id, label, lengths[u.id], u.audio)
            utterances = [by_id[utt] for utt in made.utts]
            across[task, made.name] = DrawnSet(utterances, made.data)
        if not any(made_task == task for made_task, _ in across):
            logging.warning(
                "%s: there is no test across languages, as no pair of languages has "
                "two speakers of one gender who are tested in both",
                task,
            )
    return across


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


def _say_what_leaves(directory: ExperimentDir, runs: Sequence[PlannedRun]) -> None:
    """Log how many runs of the previous plan are not in the new one."""
    if not directory.plan.exists():
        return
    names = {planned.run.name for planned in runs}
    try:
        gone = [p for p in read_plan(directory.plan) if p.run.name not in names]
    except UserError:  # damaged, and written again now
        return
    if gone:
        logging.warning(
            "%d runs of the previous plan, %s first, are no longer in the plan; those "
            "done are kept. To have them in the matrix, give all --langs, --seeds, "
            "tasks and strategies (and for a curve every N of --regime_budgets).",
            len(gone),
            gone[0].run.name,
        )
