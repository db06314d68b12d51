"""What an experiment trains, validates and tests on, by language: ``data.tsv``.

A line is a split of a language for a task. ``utterances``, ``seconds`` and ``speakers``
count everybody who is heard in any seed; ``items`` are the test items of a prediction,
such as trials, and for ``train`` the utterances of one double run; ``narrow`` are the
utterances without the upper part of the band, and ``remarks`` what stage 2 found, with
counts; both are empty where the audio store tells nothing.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from espnet2_cltm.corpus.audio import is_narrow
from espnet2_cltm.corpus.utterance_list import (
    ListedUtterance,
    read_utterance_list,
    total_seconds,
)
from espnet2_cltm.experiment.drawn import read_test_set
from espnet2_cltm.experiment.layout import ExperimentDir
from espnet2_cltm.experiment.plan import PlannedRun
from espnet2_cltm.files import read_mapping, read_rows, write_rows_if_any
from espnet2_cltm.results_format import DATA_COLUMNS


def write_data_table(directory: ExperimentDir, plan: Sequence[PlannedRun]) -> None:
    """Write ``data.tsv``; without lists of stage 3 there is none.

    Raises:
        UserError: A list is damaged.
    """
    seeds: dict[tuple[str, str], set[int]] = {}
    for planned in plan:
        for lang in planned.run.languages:
            seeds.setdefault((planned.run.task, lang), set()).add(planned.run.seed)
    rows: list[tuple[object, ...]] = []
    store: Path | None = None
    for (task, lang), of_language in sorted(seeds.items()):
        if not directory.utterance_list(task, lang, "test").exists():
            continue
        store = store or _store(directory)
        for split, drawn in _splits(directory, task, lang, sorted(of_language)):
            found = _remarks(store / lang / split / "remarks.tsv")
            rows.append((task, lang, split, *_describe(drawn, found)))
    write_rows_if_any(directory.data, DATA_COLUMNS, rows)


def _store(directory: ExperimentDir) -> Path:
    """Return the corpus's directory in the audio store, of older versions as well."""
    what = "an experiment's settings"
    settings = read_mapping(directory.settings, what, "run stage 3 first")
    return Path(str(settings.get("dumpdir", ""))) / str(settings.get("corpus", ""))


def _splits(
    directory: ExperimentDir, task: str, lang: str, seeds: Iterable[int]
) -> Iterator[tuple[str, tuple[list[ListedUtterance], int]]]:
    lists = [
        read_utterance_list(path)
        for seed in seeds
        if (path := directory.train_list(task, lang, seed)).exists()
    ]
    heard = {u.utt: u for utterances in lists for u in utterances}
    yield "train", (list(heard.values()), max(map(len, lists), default=0))
    for split in ("dev", "test"):
        found = read_test_set(directory, task, lang, split)
        utterances = list(found.utterances)
        n_items = len(utterances) if found.data is None else len(found.data)
        yield split, (utterances, n_items)


def _remarks(path: Path) -> dict[str, list[str]] | None:
    """Read remarks by utterance; None where the store is not there."""
    if not path.exists():
        return None
    remarks: dict[str, list[str]] = {}
    for utt, remark in read_rows(
        path, ("utt", "remark"), "remarks on audio", "run stage 2 again"
    ):
        remarks.setdefault(utt, []).append(remark)
    return remarks


def _describe(
    drawn: tuple[list[ListedUtterance], int], found: dict[str, list[str]] | None
) -> tuple[object, ...]:
    utterances, n_items = drawn
    speakers = {u.speaker for u in utterances}
    n_speakers = "" if "" in speakers else len(speakers)
    size = (n_speakers, len(utterances), f"{total_seconds(utterances):.1f}", n_items)
    if found is None:
        return (*size, "", "")
    of_each = [found.get(u.utt, []) for u in utterances]
    counts = Counter(remark for some in of_each for remark in some)
    narrow = sum(any(map(is_narrow, some)) for some in of_each)
    text = "; ".join(f"{remark}: {n}" for remark, n in sorted(counts.items()))
    return (*size, narrow, text)
