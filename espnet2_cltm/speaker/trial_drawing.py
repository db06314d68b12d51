"""Drawing trials from the utterances of a test or dev set.

Trials pair utterances of one gender, which is what a speaker's utterances state. Each
speaker contributes positives (two utterances by that speaker) up to a limit, and each
gender as many negatives (utterances by two speakers) as it has positives; what cannot
be made is left out and counted.

Pairs are numbered, and numbers are drawn without repetition by keyed hashes (BLAKE2b)
of the seed: pairs are never enumerated, and a draw depends on nothing but the seed and
the ids, a speaker's positives on the ids of that speaker's utterances alone. Trials are
sorted; within one language the enrol utterance is the first of the two by id.
"""

import hashlib
import math
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate

from espnet2_cltm.corpus.allowed_words import GENDERS
from espnet2_cltm.corpus.datadir import Utterance
from espnet2_cltm.corpus.language import person_of
from espnet2_cltm.counting import agreeing, counted
from espnet2_cltm.speaker.trials import TrialList

NOBODY_BILINGUAL = "no speaker is heard in both languages"

Pair = tuple[str, str]
Trial = tuple[str, str, bool]
# The utterance ids of each speaker; speakers and ids are sorted.
SpeakerUtts = dict[str, list[str]]


@dataclass(frozen=True)
class DrawnTrials:
    """Trials drawn from utterances, and what is left out.

    Attributes:
        trials: The trials; None where none can be made.
        left_out: Notes on what could not be made, with counts.
    """

    trials: TrialList | None
    left_out: tuple[str, ...]


@dataclass(frozen=True)
class NumberedPairs:
    """Pairs that are numbered but not enumerated.

    Attributes:
        total: Number of pairs.
        pair: Function from a number below ``total`` to its pair, all different.
    """

    total: int
    pair: Callable[[int], Pair]


def draw_trials(
    utterances: Sequence[Utterance], max_positives: int, seed: int
) -> DrawnTrials:
    """Draw the trials of one language.

    Args:
        utterances: Utterances, in any order.
        max_positives: Most positives of a speaker; all pairs where there are fewer.
        seed: Seed of the draw.

    Returns:
        Trials, no pair of utterances twice, and what is left out.
    """
    speaker = {row.id: row.speaker for row in utterances}
    by_gender, left_out = _by_gender(utterances, speaker)
    trials: list[Trial] = []
    for gender, utts_of in by_gender.items():
        single = sum(len(utts) == 1 for utts in utts_of.values())
        if single:
            left_out.append(
                f"{counted(single, 'speaker')} of gender {gender} with one utterance "
                f"{agreeing(single, 'has', 'have')} no positive trial"
            )
        drawn, missing = _draw_balanced(
            {name: pairs_within(utts) for name, utts in utts_of.items()},
            pairs_between(utts_of),
            max_positives,
            (f"positive|{seed}", f"negative|{seed}|{gender}"),
            f"gender {gender}",
        )
        trials += [(min(pair), max(pair), is_target) for *pair, is_target in drawn]
        left_out += missing
    return _drawn_trials(trials, left_out)


def draw_cross_language_trials(
    first: Sequence[Utterance],
    second: Sequence[Utterance],
    max_positives: int,
    seed: int,
) -> DrawnTrials:
    """Draw trials between two languages from people who speak both.

    Speakers with the same id, apart from the prefix ``<lang>-``, are one person. People
    heard in one language only take part in no trial, not even a negative one, as the
    speaker's languages would give it away.

    Args:
        first: Utterances of one language, the trials' enrol side, in any order.
        second: Utterances of the other, the trials' test side, in any order.
        max_positives: Most positives of a person; all pairs where there are fewer.
        seed: Seed of the draw.

    Returns:
        Trials, no pair of utterances twice, and what is left out.
    """
    person = {
        row.id: person_of(row.speaker, row.lang or "") for row in (*first, *second)
    }
    bilingual = {person[row.id] for row in first} & {person[row.id] for row in second}
    by_gender, left_out = _by_gender(
        [row for row in (*first, *second) if person[row.id] in bilingual], person
    )
    if not bilingual:
        left_out.append(NOBODY_BILINGUAL)
    in_first = {row.id for row in first}
    trials: list[Trial] = []
    for gender, utts_of in by_gender.items():
        enrol = {
            name: [utt for utt in utts if utt in in_first]
            for name, utts in utts_of.items()
        }
        test = {
            name: [utt for utt in utts if utt not in in_first]
            for name, utts in utts_of.items()
        }
        drawn, missing = _draw_balanced(
            {name: pairs_across(enrol[name], test[name]) for name in utts_of},
            pairs_across_between(enrol, test),
            max_positives,
            (
                f"cross-language positive|{seed}",
                f"cross-language negative|{seed}|{gender}",
            ),
            f"gender {gender} in both languages",
        )
        trials += drawn
        left_out += missing
    return _drawn_trials(trials, left_out)


def pairs_within(utts: Sequence[str]) -> NumberedPairs:
    """Number the pairs of two utterances by one speaker."""

    def pair(number: int) -> Pair:
        # Pairs whose second utterance is the n-th start at number n (n - 1) / 2.
        later = (1 + math.isqrt(1 + 8 * number)) // 2
        return utts[number - later * (later - 1) // 2], utts[later]

    return NumberedPairs(len(utts) * (len(utts) - 1) // 2, pair)


def pairs_between(utts_of: SpeakerUtts) -> NumberedPairs:
    """Number the pairs of utterances by two different speakers."""
    utts = [utt for of_speaker in utts_of.values() for utt in of_speaker]
    ends = list(accumulate(len(of_speaker) for of_speaker in utts_of.values()))
    begins = [0, *ends]
    # Each utterance is paired with all utterances of the speakers after its own.
    upto = list(
        accumulate(
            (
                (end - begin) * (len(utts) - end)
                for begin, end in zip(begins, ends, strict=False)
            ),
            initial=0,
        )
    )

    def pair(number: int) -> Pair:
        speaker = bisect_right(upto, number) - 1
        n_after = len(utts) - ends[speaker]
        one, other = divmod(number - upto[speaker], n_after)
        return utts[begins[speaker] + one], utts[ends[speaker] + other]

    return NumberedPairs(upto[-1], pair)


def pairs_across(enrol: Sequence[str], test: Sequence[str]) -> NumberedPairs:
    """Number the pairs of one utterance from each side."""

    def pair(number: int) -> Pair:
        one, other = divmod(number, len(test))
        return enrol[one], test[other]

    return NumberedPairs(len(enrol) * len(test), pair)


def pairs_across_between(enrol: SpeakerUtts, test: SpeakerUtts) -> NumberedPairs:
    """Number the pairs of one utterance from each side, by two different speakers.

    Args:
        enrol: Utterances of each speaker on one side.
        test: Utterances of the same speakers, in the same order, on the other side.
    """
    speakers = list(enrol)
    utts = [utt for name in speakers for utt in test[name]]
    begins = list(accumulate((len(test[name]) for name in speakers), initial=0))
    upto = list(
        accumulate(
            (len(enrol[name]) * (len(utts) - len(test[name])) for name in speakers),
            initial=0,
        )
    )

    def pair(number: int) -> Pair:
        speaker = bisect_right(upto, number) - 1
        name = speakers[speaker]
        one, other = divmod(number - upto[speaker], len(utts) - len(test[name]))
        if other >= begins[speaker]:
            other += len(test[name])  # skip the speaker's own utterances
        return enrol[name][one], utts[other]

    return NumberedPairs(upto[-1], pair)


def _by_gender(
    utterances: Sequence[Utterance], speaker: dict[str, str]
) -> tuple[dict[str, SpeakerUtts], list[str]]:
    """Group utterances by gender and speaker; note those of no gender or of two."""
    stated: dict[str, set[str]] = {}
    utts_of: SpeakerUtts = {}
    for row in sorted(utterances, key=lambda row: (speaker[row.id], row.id)):
        utts_of.setdefault(speaker[row.id], []).append(row.id)
        genders = stated.setdefault(speaker[row.id], set())
        if gender := row.labels.get("gender"):
            genders.add(gender)
    by_gender = {
        gender: {name: utts_of[name] for name in utts_of if stated[name] == {gender}}
        for gender in GENDERS
    }
    left_out = []
    unknown = sum(len(utts_of[name]) for name in utts_of if not stated[name])
    if unknown:
        left_out.append(f"{counted(unknown, 'utterance')} without a gender")
    both = [name for name in utts_of if len(stated[name]) > 1]
    if both:
        left_out.append(f"{counted(len(both), 'speaker')} of two genders ({both[0]})")
    return {gender: utts for gender, utts in by_gender.items() if utts}, left_out


def _draw_balanced(
    within: Mapping[str, NumberedPairs],
    between: NumberedPairs,
    max_positives: int,
    keys: tuple[str, str],
    group: str,
) -> tuple[list[Trial], list[str]]:
    """Draw positives of each speaker and as many negatives; note what is missing.

    ``keys`` are those of the draws: of positives, before the speaker, and of negatives.
    """
    positives = [
        pair
        for name, pairs in within.items()
        for pair in _sample(pairs, max_positives, f"{keys[0]}|{name}")
    ]
    n_positives = len(positives)
    if len(within) == 1:
        loss = (
            f"its {counted(n_positives, 'positive')} "
            f"{agreeing(n_positives, 'is', 'are')} left out"
        )
        return [], [
            f"{group} has one speaker ({min(within)}), so "
            + (loss if n_positives else "it has no trial")
        ]
    negatives = _sample(between, n_positives, keys[1])
    left_out = []
    n_missing = n_positives - len(negatives)
    if n_missing:
        left_out.append(
            f"{counted(n_missing, 'negative')} of {group} "
            f"{agreeing(n_missing, 'is', 'are')} missing: its speakers have "
            f"{counted(between.total, 'pair')} of utterances"
        )
    trials = [(*pair, True) for pair in positives]
    return trials + [(*pair, False) for pair in negatives], left_out


def _drawn_trials(trials: Sequence[Trial], left_out: Sequence[str]) -> DrawnTrials:
    if not trials:
        return DrawnTrials(None, tuple(left_out))
    return DrawnTrials(
        TrialList.from_pairs(*zip(*sorted(trials), strict=True)), tuple(left_out)
    )


def _sample(pairs: NumberedPairs, count: int, key: str) -> list[Pair]:
    """Draw ``count`` pairs uniformly, none twice; all of them where there are fewer.

    These are the first steps of a Fisher-Yates shuffle of all numbers, of which only
    those that have moved are stored.
    """
    if pairs.total <= count:
        return [pairs.pair(number) for number in range(pairs.total)]
    words = _random_words(key)
    moved: dict[int, int] = {}
    drawn = []
    for place in range(count):
        chosen = place + _uniform_below(pairs.total - place, words)
        drawn.append(pairs.pair(moved.get(chosen, chosen)))
        moved[chosen] = moved.get(place, place)
    return drawn


def _uniform_below(bound: int, words: Iterator[int]) -> int:
    """Return an unbiased uniform integer below ``bound``, which is at most 2**64."""
    whole_rounds = 2**64 - 2**64 % bound
    return next(word for word in words if word < whole_rounds) % bound


def _random_words(key: str) -> Iterator[int]:
    """Yield uniform 64-bit integers without end, the same for the same key."""
    digest = hashlib.blake2b(key.encode(), digest_size=32).digest()
    counter = 0
    while True:
        block = hashlib.blake2b(counter.to_bytes(8, "little"), key=digest).digest()
        for start in range(0, len(block), 8):
            yield int.from_bytes(block[start : start + 8], "little")
        counter += 1
