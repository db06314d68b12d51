"""Metrics of speech recognition.

Conventions: transcripts are in normal form (:mod:`.text`). An error rate is the number
of substitutions, deletions and insertions, in the alignment with the fewest, over the
length of the reference; jiwer counts them. It is 0 for a perfect transcript and has no
upper limit, as insertions count: Perf, which is 1 - rate, can be negative.

Metrics
-------
* ``cer``: errors in characters, blanks among them, over all utterances.
* ``wer``: errors in words over all utterances; see :func:`.text.words_of`.
* ``utt_wer``: mean over utterances of each one's WER, as in the published framework.
* ``per``: errors in phones over all utterances, in place of the others where models
  write phones.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from espnet2_cltm.asr.text import words_of
from espnet2_cltm.asr.tokens import PHONES
from espnet2_cltm.errors import UserError
from espnet2_cltm.task import Metric, Scores


@dataclass(frozen=True)
class ErrorCounts:
    """Errors of each utterance, and the lengths of the references.

    Attributes:
        word_errors: (utterances,) int64.
        words: (utterances,) int64, at least 1.
        character_errors: (utterances,) int64.
        characters: (utterances,) int64, at least 1.
    """

    word_errors: np.ndarray
    words: np.ndarray
    character_errors: np.ndarray
    characters: np.ndarray

    def of(self, chosen: np.ndarray) -> "ErrorCounts":
        """Return the counts of some utterances, by a mask."""
        return ErrorCounts(*(counts[chosen] for counts in vars(self).values()))


def count_errors(reference: Sequence[str], predicted: Sequence[str]) -> ErrorCounts:
    """Count the errors of each utterance.

    Args:
        reference: Transcripts in normal form.
        predicted: Predicted ones, in the same order.

    Raises:
        UserError: There is nothing to score, the lengths differ, or a reference is
            empty: its error rate is undefined.
    """
    if len(reference) != len(predicted) or not reference:
        raise UserError(
            f"There are {len(reference)} transcripts and {len(predicted)} predicted "
            "ones: predict exactly the test utterances, one or more."
        )
    if not all(reference):
        raise UserError(
            f"Transcript {list(reference).index('') + 1} is empty, so error rates are "
            "undefined: leave its utterance out."
        )
    # Here and not above: a plan needs no jiwer.
    from jiwer import process_characters, process_words

    pairs = list(zip(reference, predicted, strict=True))
    words = [process_words(words_of(r), words_of(p)) for r, p in pairs]
    characters = [process_characters(r, p) for r, p in pairs]

    def count(outputs: Sequence, *names: str) -> np.ndarray:
        sums = (sum(getattr(one, name) for name in names) for one in outputs)
        return np.fromiter(sums, np.int64)

    errors = ("substitutions", "deletions", "insertions")
    length = ("hits", "substitutions", "deletions")
    return ErrorCounts(
        count(words, *errors),
        count(words, *length),
        count(characters, *errors),
        count(characters, *length),
    )


def cer(counts: ErrorCounts) -> float:
    """Return sum of character errors / sum of characters."""
    return float(counts.character_errors.sum() / counts.characters.sum())


def wer(counts: ErrorCounts) -> float:
    """Return sum of word errors / sum of words."""
    return float(counts.word_errors.sum() / counts.words.sum())


def utt_wer(counts: ErrorCounts) -> float:
    """Return the mean over utterances of word errors / words."""
    return float((counts.word_errors / counts.words).mean())


_rate = partial(Metric, lower_is_better=True, maximum=None)
ASR_METRICS = (
    _rate("cer", "1 - CER", cer),
    _rate("wer", "1 - WER", wer),
    _rate("utt_wer", "1 - mean WER of utterances", utt_wer, published_as="wer"),
    _rate("per", "1 - PER", wer),  # phones are the words of their texts
)
PER = ASR_METRICS[-1]


def metrics_of(token_type: str) -> tuple[Metric, ...]:
    """Return the metrics of models that write tokens of a type."""
    return tuple(
        metric for metric in ASR_METRICS if (metric is PER) == (token_type == PHONES)
    )


def score_counts(counts: ErrorCounts, token_type: str) -> Scores:
    """Compute the metrics of a token type from counts.

    Raises:
        UserError: There is no utterance.
    """
    if not len(counts.words):
        raise UserError("There is no utterance to score: give one or more.")
    values = {
        metric.name: metric.function(counts)
        for metric in metrics_of(token_type)
        if metric.function
    }
    return Scores(values, len(counts.words))
