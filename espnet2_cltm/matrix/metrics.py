"""The metrics a matrix can be made of, and the direction of each.

Perf is always better-is-higher: a metric where lower is better enters as
1 - value, as in the method's definition (1 - WER). Values are fractions, not
percentages.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Metric:
    """One metric of one task.

    Attributes:
        name: As in ``results.tsv``.
        label: As in text and figures, for Perf (better-is-higher).
        task: The task that reports it.
        lower_is_better: Perf is then 1 - value.
        maximum: Largest possible value, or None where there is none.
    """

    name: str
    label: str
    task: str
    lower_is_better: bool = False
    maximum: float | None = 1.0


METRICS = {
    metric.name: metric
    for metric in (
        Metric("macro_f1", "macro F1", "gender"),
        Metric("accuracy", "accuracy", "gender"),
        Metric("recall_f", "recall of female speakers", "gender"),
        Metric("recall_m", "recall of male speakers", "gender"),
        Metric("roc_auc", "ROC AUC", "speaker"),
        Metric("eer", "1 - EER", "speaker", lower_is_better=True),
        Metric(
            "min_dcf_p0.01",
            "1 - minDCF (p_target 0.01)",
            "speaker",
            lower_is_better=True,
        ),
        Metric(
            "min_dcf_p0.05",
            "1 - minDCF (p_target 0.05)",
            "speaker",
            lower_is_better=True,
        ),
        Metric("wer", "1 - WER", "asr", lower_is_better=True, maximum=None),
    )
}

DEFAULT_METRIC = {"gender": "macro_f1", "speaker": "roc_auc", "asr": "wer"}

TASK_TITLES = {
    "gender": "gender identification",
    "speaker": "speaker verification",
    "asr": "speech recognition",
}

BUDGET_UNITS = {"gender": "utterances per class"}


def budget_text(task: str, budget: int | None) -> str:
    """Say what N is, ``N = 60 utterances per class``; empty where it is not known."""
    if budget is None:
        return ""
    return f"N = {budget} {BUDGET_UNITS.get(task, 'utterances')}"
