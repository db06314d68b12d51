"""Making a plan: what is drawn for whom, which languages take part, which runs."""

import logging
from collections.abc import Mapping, Sequence

from espnet2_cltm.corpus.datadir import SPLITS, Utterance, read_data_dir, read_table
from espnet2_cltm.corpus.people import person_of
from espnet2_cltm.corpus.utterance_list import (
    ListedUtterance,
    read_utterance_list,
    total_seconds,
    write_utterance_list,
)
from espnet2_cltm.errors import UserError
from espnet2_cltm.experiment.drawing import LanguageDraw, UnfitLanguage
from espnet2_cltm.experiment.drawn import DrawnLanguage, DrawnSet, Planned
from espnet2_cltm.experiment.drawn_before import check_same_data
from espnet2_cltm.experiment.layout import ExperimentDir
from espnet2_cltm.experiment.learning_curves import curve_runs, draw_curve
from espnet2_cltm.experiment.pair_selection import made_pair_runs, select_pairs
from espnet2_cltm.experiment.plan import PlannedRun, read_plan, write_plan
from espnet2_cltm.experiment.run import Run, all_runs
from espnet2_cltm.experiment.settings import Settings, check_unchanged, write_settings
from espnet2_cltm.experiment.shared_speakers import people_of, without_tested
from espnet2_cltm.experiment.task_registry import drawing
from espnet2_cltm.progress import progress
from espnet2_cltm.speaker.trials import write_trials


def make_plan(
    settings: Settings,
    languages: Sequence[str],
    seeds: Sequence[int],
    directory: ExperimentDir | None = None,
) -> Planned:
    """Draw subsets and list all runs, without writing anything.

    Args:
        settings: The experiment's settings.
        languages: Language codes.
        seeds: Seeds, at least one.
        directory: The experiment's directory. Where only a share of the pairs is
            measured, pair runs that are done in it are preferred, and stay.

    Raises:
        UserError: The audio store lacks something, or too few languages can take
            part in a task: two are needed for a matrix, one for a learning curve.
    """
    if not seeds:
        raise UserError("No seed was given: give --seeds at least one number.")
    languages = sorted(set(languages))
    people = people_of(settings, languages) if settings.shared_speakers else {}
    drawn: dict[tuple[str, str], DrawnLanguage] = {}
    left_out: dict[tuple[str, str], str] = {}
    for lang in progress(languages, description="Drawing subsets", unit="lang"):
        splits, listed = _read_language(settings, lang)
        for split, utterances in splits.items():
            kept = without_tested(people, lang, split, utterances)
            if len(kept) < len(utterances):
                logging.info(
                    "%s, %s: %d utterances of people whom other languages test are "
                    "left out",
                    lang,
                    split,
                    len(utterances) - len(kept),
                )
            splits[split] = kept
        for task in settings.tasks:
            rules, ordered = settings.rules(task), sorted(set(seeds))
            grid: tuple[int, ...] = ()
            try:
                if settings.regime_budgets:
                    draw, grid = draw_curve(task, splits, rules, ordered)
                else:
                    draw = drawing(task).draw(splits, rules, ordered)
            except UnfitLanguage as error:
                left_out[task, lang] = error.reason
            else:
                drawn[task, lang] = _with_audio(draw, listed, grid)
    fit = {
        task: [lang for drawn_task, lang in drawn if drawn_task == task]
        for task in settings.tasks
    }
    for task in settings.tasks:
        _require_languages(task, settings, fit[task], left_out)
    across = _draw_across(settings, drawn)
    runs = [
        _measure(run, drawn, across, fit[task], settings.zero_shot)
        for task in settings.tasks
        for run in _runs(task, settings, drawn, fit[task], seeds, directory)
    ]
    return Planned(runs, drawn, across, left_out)


def _runs(
    task: str,
    settings: Settings,
    drawn: Mapping[tuple[str, str], DrawnLanguage],
    languages: Sequence[str],
    seeds: Sequence[int],
    directory: ExperimentDir | None,
) -> list[Run]:
    """List a task's runs, by seed."""
    if settings.regime_budgets:
        return curve_runs(
            task, {lang: drawn[task, lang].grid for lang in languages}, seeds
        )
    budget = settings.budget[task]
    runs = all_runs(task, languages, budget, seeds)
    if settings.pairs_fraction == 1:
        return runs
    made = made_pair_runs(directory, task, languages, budget, seeds)
    pairs = select_pairs(
        languages,
        settings.pairs_fraction,
        settings.pairs_seed,
        {run.languages for run in made},
    )
    # What is done stays in the plan, or a smaller share would hide its results.
    return [
        run
        for run in runs
        if run.kind != "pair" or run.languages in pairs or run in made
    ]


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
    check_same_data(directory, planned)
    write_settings(directory.settings, settings)
    for (task, lang), language in progress(
        planned.drawn.items(), description="Writing subsets", unit="lang"
    ):
        for seed, utterances in language.train.items():
            path = directory.train_list(task, lang, seed)
            # A learning curve of a larger N made before has drawn more.
            if not (language.grid and path.exists()) or (
                len(read_utterance_list(path)) < len(utterances)
            ):
                write_utterance_list(path, utterances)
        _write_set(directory, task, lang, "dev", language.dev)
        _write_set(directory, task, lang, "test", language.test)
    for (task, name), test in planned.across.items():
        _write_set(directory, task, name, "test", test)
    _say_what_leaves(directory, planned.runs)
    write_plan(directory.plan, planned.runs)


def log_notes(planned: Planned) -> None:
    """Say in one line each what is left out of the tasks, and why."""
    for (task, lang), reason in planned.left_out.items():
        logging.warning("%s is left out of %s: %s", lang, task, reason)
    for (task, lang), language in planned.drawn.items():
        for note in language.notes:
            logging.info("%s, %s, %s", lang, task, note)


def training_utterances(directory: ExperimentDir, run: Run) -> list[ListedUtterance]:
    """Give a run's training utterances, a pair's two languages in turn."""
    n_drawn = drawing(run.task).n_drawn(run.utterances_per_language)
    parts = [
        read_utterance_list(directory.train_list(run.task, lang, run.seed))[:n_drawn]
        for lang in run.languages
    ]
    return [utterance for turn in zip(*parts, strict=True) for utterance in turn]


def _read_language(
    settings: Settings, lang: str
) -> tuple[dict[str, list[Utterance]], dict[str, tuple[int, str]]]:
    """Read the splits; and length and place of the audio by utterance."""
    splits = {}
    listed = {}
    for split in SPLITS:
        directory = settings.split_dir(lang, split)
        if not (directory / "wav.scp").exists():
            raise UserError(
                f"{directory} is not in the audio store: run stages 1 and 2 for "
                f"{lang}, or take it out of --langs."
            )
        splits[split] = read_data_dir(directory)
        num_samples = read_table(directory / "utt2num_samples")
        for u in splits[split]:
            listed[u.id] = (int(num_samples[u.id]), u.audio)
    return splits, listed


def _with_audio(
    draw: LanguageDraw, listed: Mapping[str, tuple[int, str]], grid: tuple[int, ...]
) -> DrawnLanguage:
    def utterances(utts: Sequence[str]) -> list[ListedUtterance]:
        return [ListedUtterance(utt, draw.labels[utt], *listed[utt]) for utt in utts]

    return DrawnLanguage(
        train={seed: utterances(utts) for seed, utts in draw.train.items()},
        dev=DrawnSet(utterances(draw.dev), draw.trials.get("dev")),
        test=DrawnSet(utterances(draw.test), draw.trials.get("test")),
        notes=draw.notes,
        grid=grid,
    )


def _require_languages(
    task: str,
    settings: Settings,
    fit: Sequence[str],
    left_out: Mapping[tuple[str, str], str],
) -> None:
    grid = settings.regime_budgets
    if len(fit) >= (1 if grid else 2):
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
    lower = f"--{task}_budget"
    if " speakers where " in reasons and settings.utts_per_speaker > 1:
        lower = "--utts_per_speaker"
    others = [name for name in settings.tasks if name != task]
    raise UserError(
        f"Fewer than two languages can take part in {task} with N = "
        f"{settings.budget[task]} ({reasons or 'give --langs two or more'}): lower "
        f"{lower} or add languages"
        + (f', or give --task "{" ".join(others)}".' if others else ".")
    )


def _draw_across(
    settings: Settings, drawn: Mapping[tuple[str, str], DrawnLanguage]
) -> dict[tuple[str, str], DrawnSet]:
    if not settings.cross_language_trials or "speaker" not in settings.tasks:
        return {}
    from espnet2_cltm.speaker.drawing import draw_cross_language

    fit = [lang for task, lang in drawn if task == "speaker"]
    tests = {lang: read_data_dir(settings.split_dir(lang, "test")) for lang in fit}
    across = {}
    for made in draw_cross_language(tests, settings.rules("speaker")):
        by_id = {}
        for lang in made.name.split("~"):
            num_samples = read_table(
                settings.split_dir(lang, "test") / "utt2num_samples"
            )
            for u in tests[lang]:
                by_id[u.id] = ListedUtterance(
                    u.id,
                    person_of(u.speaker, lang),
                    int(num_samples[u.id]),
                    u.audio,
                )
        for note in made.drawn.left_out:
            logging.info("%s, speaker, test: %s", made.name, note)
        trials = made.drawn.trials
        if trials is None:
            continue
        across["speaker", made.name] = DrawnSet(
            [by_id[utt] for utt in trials.utts], trials
        )
    if not across:
        logging.warning(
            "There are no trials across languages: no pair of languages has two "
            "speakers of one gender who are tested in both."
        )
    return across


def _measure(
    run: Run,
    drawn: Mapping[tuple[str, str], DrawnLanguage],
    across: Mapping[tuple[str, str], DrawnSet],
    languages: Sequence[str],
    zero_shot: bool,
) -> PlannedRun:
    n_drawn = drawing(run.task).n_drawn(run.utterances_per_language)
    train = [
        utterance
        for lang in run.languages
        for utterance in drawn[run.task, lang].train[run.seed][:n_drawn]
    ]
    names = [name for task, name in across if task == run.task]
    tested = [
        *run.test_languages(languages, zero_shot),
        *run.tests_across(names, zero_shot),
    ]
    sets = {lang: drawn[run.task, lang].test for lang in languages}
    sets |= {name: across[run.task, name] for name in names}
    test = [u for name in tested for u in sets[name].utterances]
    return PlannedRun(
        run=run,
        utterances=len(train),
        train_seconds=total_seconds(train),
        test_languages=tuple(tested),
        test_utterances=len(test),
        test_seconds=total_seconds(test),
    )


def _write_set(
    directory: ExperimentDir, task: str, name: str, split: str, drawn: DrawnSet
) -> None:
    write_utterance_list(directory.utterance_list(task, name, split), drawn.utterances)
    if drawn.trials is not None:
        write_trials(directory.trials(task, name, split), drawn.trials)


def _say_what_leaves(directory: ExperimentDir, runs: Sequence[PlannedRun]) -> None:
    """Say how many runs of the plan before are not in the new one."""
    if not directory.plan.exists():
        return
    names = {planned.run.name for planned in runs}
    gone = [p for p in read_plan(directory.plan) if p.run.name not in names]
    if gone:
        logging.warning(
            "%d runs that were planned before, %s first, are in the plan no more; "
            "what is done of them is kept. Give all --langs, --seeds and tasks to have "
            "them in the matrix (and every N of --regime_budgets in a curve).",
            len(gone),
            gone[0].run.name,
        )
