"""Drawing a language's utterances, for a matrix or a learning curve, and across two."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from espnet2_cltm.corpus.datadir import Utterance
from espnet2_cltm.corpus.language import person_of
from espnet2_cltm.corpus.stored import read_split
from espnet2_cltm.corpus.utterance_list import ListedUtterance
from espnet2_cltm.errors import UserError
from espnet2_cltm.experiment.drawn import DrawnLanguage, DrawnSet
from espnet2_cltm.experiment.plan import doubled
from espnet2_cltm.experiment.settings import Settings
from espnet2_cltm.language_codes import without_donors
from espnet2_cltm.registry import find_task
from espnet2_cltm.task import DrawingRules, LanguageDraw, UnfitLanguage


def draw_language(
    task: str,
    lang: str,
    splits: Mapping[str, Sequence[Utterance]],
    listed: Mapping[str, tuple[int, str, str]],
    rules: DrawingRules,
    seeds: Sequence[int],
) -> DrawnLanguage:
    """Draw a language's utterances for one task.

    Args:
        task: The task.
        lang: The language.
        splits: Utterances of ``train``, ``dev`` and ``test``.
        listed: Number of samples, place of the audio and speaker of each utterance
            that is decoded.
        rules: Rules of the drawing; with a grid, for as much of it as there is.
        seeds: Seeds of the runs, ascending.

    Raises:
        UnfitLanguage: The language cannot take part.
        UserError: It could, but for ``--shots``, or what is drawn is not decoded.
    """

    def draw(own: DrawingRules) -> LanguageDraw:
        return find_task(task).draw(splits, own, seeds)

    if rules.grid:
        return _with_audio(*_draw_curve(draw, rules), listed, lang)
    try:
        return _with_audio(draw(rules), (), listed, lang)
    except UnfitLanguage as error:
        if not rules.shots:
            raise
        draw(replace(rules, shots=()))
        raise UserError(
            f"--shots {' '.join(map(str, rules.shots))} does not go with {task} in "
            f"{lang}: {error.reason}; give other numbers, or leave {lang} out of "
            "--langs."
        ) from error


def _draw_curve(
    draw: Callable[[DrawingRules], LanguageDraw], rules: DrawingRules
) -> tuple[LanguageDraw, tuple[int, ...]]:
    """Draw for as much of the grid as there is, and return every N of the curve.

    Notes say what the curve lacks.

    Raises:
        UnfitLanguage: The language has too little for any N and its double.
    """
    missing: dict[int, UnfitLanguage] = {}
    try:
        return draw(rules), rules.grid
    except UnfitLanguage:
        for n in rules.grid:
            try:
                draw(replace(rules, budget=n, grid=(n,)))
            except UnfitLanguage as error:
                missing[n] = error
    grid = tuple(n for n in rules.grid if n not in missing)
    first = next(iter(missing.values()))
    if not doubled(grid):
        raise first
    numbers = " ".join(map(str, missing))
    note = f"the learning curve lacks N = {numbers}: {first.reason}"
    made = draw(replace(rules, budget=grid[-1], grid=grid))
    return replace(made, notes=(note, *made.notes)), grid


def draw_across(
    settings: Settings, drawn: Mapping[tuple[str, str], DrawnLanguage]
) -> dict[tuple[str, str], DrawnSet]:
    """Draw the tests across two languages, where a task has such tests.

    Args:
        settings: The experiment's settings.
        drawn: What is drawn, by (task, language).

    Returns:
        Test sets by (task, ``<language>~<language>``).
    """
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
                "%s is not tested across languages: no two languages share two test "
                "speakers of one gender",
                task,
            )
    return across


def _with_audio(
    draw: LanguageDraw,
    grid: tuple[int, ...],
    listed: Mapping[str, tuple[int, str, str]],
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
