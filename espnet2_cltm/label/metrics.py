"""Metrics of gender identification.

Conventions: labels are ``f`` and ``m``; every metric lies between 0 and 1, higher
is better, and is computed over all utterances of one test set.

Metrics
-------
* ``macro_f1``: mean of the two classes' F1, the matrix's default.
* ``accuracy``: share of utterances labelled right.
* ``recall_f``, ``recall_m``: share of a class's utterances labelled right.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from espnet2_cltm.corpus.datadir import GENDERS
from espnet2_cltm.errors import UserError


@dataclass(frozen=True)
class GenderScores:
    """Metrics of one test set, with the number of its utterances.

    Attributes:
        macro_f1: (F1_f + F1_m) / 2, F1 = 2 TP / (2 TP + FP + FN).
        accuracy: Correct / all.
        recall_f: Correct among ``f``.
        recall_m: Correct among ``m``.
        n_test: Number of utterances.
    """

    macro_f1: float
    accuracy: float
    recall_f: float
    recall_m: float
    n_test: int


def validate(reference: Sequence[str], hypothesis: Sequence[str]) -> None:
    """Check labels before they are scored.

    Raises:
        UserError: There is nothing to score, the lengths differ, a label is not
            ``f`` or ``m``, or the reference lacks one of the two: recall and F1 of
            a gender that no utterance has are undefined.
    """
    if len(reference) != len(hypothesis):
        raise UserError(
            f"{len(reference)} reference labels stand against {len(hypothesis)} "
            "predicted ones: predict exactly the test utterances."
        )
    odd = sorted(set(reference).union(hypothesis) - set(GENDERS))
    if odd:
        raise UserError(f"Label {odd[0]!r} is not a gender: labels are f and m.")
    missing = [gender for gender in GENDERS if gender not in reference]
    if missing:
        raise UserError(
            f"No test utterance is labelled {missing[0]!r}, so macro F1 is undefined: "
            "test on utterances of both genders."
        )


def score_gender(reference: Sequence[str], hypothesis: Sequence[str]) -> GenderScores:
    """Score predicted genders.

    Args:
        reference: True label of each utterance, ``f`` or ``m``.
        hypothesis: Predicted labels, in the same order.

    Returns:
        Macro F1, accuracy and the recall of each gender.

    Raises:
        UserError: See :func:`validate`.

    Example:
        >>> score_gender(["f", "f", "m", "m"], ["f", "m", "m", "m"]).recall_f
        0.5
    """
    validate(reference, hypothesis)
    pairs = list(zip(reference, hypothesis, strict=True))
    recall, f1 = {}, {}
    for gender in GENDERS:
        true_positives = sum(r == gender == h for r, h in pairs)
        n_reference = sum(r == gender for r, _ in pairs)
        n_hypothesis = sum(h == gender for _, h in pairs)
        recall[gender] = true_positives / n_reference
        f1[gender] = 2 * true_positives / (n_reference + n_hypothesis)
    return GenderScores(
        macro_f1=sum(f1.values()) / len(f1),
        accuracy=sum(r == h for r, h in pairs) / len(pairs),
        recall_f=recall["f"],
        recall_m=recall["m"],
        n_test=len(pairs),
    )
