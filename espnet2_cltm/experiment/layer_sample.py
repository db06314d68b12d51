"""The utterances on which the layers of all runs of a task are measured.

They are chosen from the test lists by rule, the same in every run: results do not
depend on the order of anything.
"""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from espnet2_cltm.corpus.audio import SAMPLE_RATE
from espnet2_cltm.corpus.language import person_of
from espnet2_cltm.corpus.utterance_list import ListedUtterance
from espnet2_cltm.experiment.drawn import read_test_set
from espnet2_cltm.experiment.layout import ExperimentDir
from espnet2_cltm.experiment.plan import read_plan
from espnet2_cltm.experiment.settings import Settings

N_UTTERANCES, FEWEST, MOST = 512, 8, 32  # of all languages; of each
MOST_SECONDS = 5.0  # of an utterance
OF_EACH_SPEAKER = 4  # utterances, where the task tells speakers apart


@dataclass(frozen=True)
class Sample:
    """The utterances that layers are measured on.

    Attributes:
        utterances: Utterances by language.
        people: Who speaks, by language, as far as known.
        batch_bins: Most samples in a batch.
    """

    utterances: Mapping[str, Sequence[ListedUtterance]]
    people: Mapping[str, Sequence[str]]
    batch_bins: int


def read_sample(directory: ExperimentDir, settings: Settings, task: str) -> Sample:
    """Choose the sample of a task among the test lists that stage 3 wrote."""
    languages = sorted(
        {
            lang
            for planned in read_plan(directory.plan)
            for lang in planned.run.languages
            if planned.run.task == task
        }
    )
    tests = {lang: read_test_set(directory, task, lang) for lang in languages}
    chosen = choose_sample({lang: test.utterances for lang, test in tests.items()})
    people = {
        lang: [
            person_of(u.speaker, lang) if settings.shared_speakers else u.speaker
            for u in found
        ]
        for lang, found in chosen.items()
    }
    return Sample(chosen, people, settings.test_batch_bins)


def choose_sample(
    tests: Mapping[str, Sequence[ListedUtterance]],
) -> dict[str, list[ListedUtterance]]:
    """Choose the utterances of each language from its test list."""
    n = min(max(N_UTTERANCES // max(len(tests), 1), FEWEST), MOST)
    return {lang: choose_utterances(found, n) for lang, found in tests.items()}


def sample_seconds(tests: Mapping[str, Sequence[ListedUtterance]]) -> float:
    """Return how much audio a run hears to measure its layers."""
    return sum(
        min(u.num_samples / SAMPLE_RATE, MOST_SECONDS)
        for found in choose_sample(tests).values()
        for u in found
    )


def choose_utterances(
    utterances: Sequence[ListedUtterance], n: int
) -> list[ListedUtterance]:
    """Choose utterances of a test list: of many speakers, and of all labels alike.

    The choice follows from the ids alone. In turns each label gives the next utterance
    of its next speaker; where speakers are what the task tells apart, each of them
    gives :data:`OF_EACH_SPEAKER` utterances.

    Args:
        utterances: The list.
        n: Number to choose, or all where there are fewer.
    """
    group = OF_EACH_SPEAKER if tells_speakers(utterances) else 1
    heard: Counter[tuple[str, str]] = Counter()
    ranked = []
    for u in sorted(utterances, key=lambda u: hash_order(u.utt)):
        ranked.append((heard[u.label, u.speaker] // group, hash_order(u.speaker), u))
        heard[u.label, u.speaker] += 1
    turns: Counter[str] = Counter()
    placed = []
    for _, _, u in sorted(ranked, key=lambda one: one[:2]):
        label = u.label if group == 1 else ""
        placed.append((turns[label], u))
        turns[label] += 1
    return [u for _, u in sorted(placed, key=lambda one: one[0])[:n]]


def tells_speakers(utterances: Sequence[ListedUtterance]) -> bool:
    """Return whether the labels are the speakers."""
    return all(u.label == u.speaker for u in utterances)


def hash_order(name: str) -> str:
    """Return what sorts names in an order that means nothing."""
    return hashlib.blake2b(name.encode(), digest_size=8).hexdigest()
