"""Speech recognition: a task with published results only, which the package has."""

from collections.abc import Sequence

from espnet2_cltm.task import DrawingRules, LanguageDraw, Metric, Splits, TaskSpec


class _PublishedOnly(TaskSpec):
    def draw(
        self, splits: Splits, rules: DrawingRules, seeds: Sequence[int]
    ) -> LanguageDraw:
        """Refuse: there are only published results.

        Raises:
            UserError: Always.
        """
        raise self.published_only()


ASR = _PublishedOnly(
    name="asr",
    title="speech recognition",
    metrics=(Metric("wer", "1 - WER", lower_is_better=True, maximum=None),),
)
