"""A language classifier behind gradient reversal: features that tell languages less.

A small network is trained to tell the language of an utterance from the mean of the
frontend's frames, and the frontend to prevent that: between them the gradient changes
its sign (Ganin and Lempitsky, arXiv:1409.7495; for speaker verification across
languages arXiv:2603.08092). The classifier is part of the model; nothing else uses it.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn

from espnet2_cltm.errors import UserError
from espnet2_cltm.strategies.strategy import Strategy, frontend_of, is_number, require

OF_THE_RUN = "auto"


class Adversarial(Strategy):
    """Train everything, against a classifier of languages.

    Args:
        languages: Languages to tell apart. Ids of utterances begin with
            ``<language>-``. In the configuration of an experiment ``auto`` stands for
            the languages of each run.
        weight: Weight of the classifier's cross-entropy in the loss.
        grl_lambda: Factor of its gradient, once reversed. With this or ``weight`` at 0
            everything is as in ``full``.

    Raises:
        UserError: An option has a value that it cannot have.
    """

    def __init__(
        self,
        languages: Sequence[str] | str = OF_THE_RUN,
        weight: float = 0.1,
        grl_lambda: float = 1.0,
    ):
        for name, value in (("weight", weight), ("grl_lambda", grl_lambda)):
            require(is_number(value) and value >= 0, name, value, "a number from 0 on")
        self.weight = weight
        self.grl_lambda = grl_lambda
        self._acts = weight > 0 and grl_lambda > 0
        are_codes = isinstance(languages, list | tuple) and all(
            isinstance(language, str) for language in languages
        )
        require(
            not self._acts or (are_codes and len(set(languages)) > 1),
            "languages",
            languages,
            "two languages or more, such as [es, tr], to tell apart",
        )
        self.languages = list(languages)
        self._utterances: Sequence[str] = ()
        self._features: tuple[torch.Tensor, torch.Tensor] | None = None

    @classmethod
    def acts_alone(cls, options: Mapping[str, Any]) -> bool:
        """Return whether languages are named; one alone has nothing to tell apart."""
        return options.get("languages", OF_THE_RUN) != OF_THE_RUN

    @classmethod
    def for_run(
        cls, options: dict[str, Any], languages: Sequence[str]
    ) -> dict[str, Any]:
        """Return the options with the run's languages; one alone has no adversary."""
        if cls.acts_alone(options):
            return options
        none = {"weight": 0.0} if len(languages) == 1 else {}
        return {**options, "languages": list(languages), **none}

    def prepare(self, model: nn.Module) -> None:
        """Add the classifier.

        Raises:
            UserError: The model has no frontend.
        """
        if not self._acts:
            return
        frontend = frontend_of(model, "adversarial")
        size = frontend.output_size()
        model.adversary = nn.Sequential(
            nn.Linear(size, size), nn.ReLU(), nn.Linear(size, len(self.languages))
        )
        model.register_forward_pre_hook(self._note_batch, with_kwargs=True)
        frontend.register_forward_hook(self._note_features)

    def _note_batch(self, model: nn.Module, _: tuple, batch: dict[str, Any]) -> None:
        self._utterances, self._features = batch["utt_id"], None

    def _note_features(self, frontend: nn.Module, _: tuple, output: tuple) -> None:
        # Of pairs of utterances, the first.
        if frontend.training and self._features is None:
            self._features = output

    def penalty(self, model: nn.Module) -> torch.Tensor | None:
        """Return the weighted cross-entropy of the languages, to the classifier.

        Raises:
            UserError: An utterance's id does not begin with one of the languages.
        """
        if not self._acts:
            return None
        assert self._features is not None
        (frames, lengths), self._features = self._features, None
        # Frames beyond an utterance's end are zero.
        means = frames.float().sum(dim=1) / lengths.unsqueeze(1)
        classifier = model.get_submodule("adversary")
        logits = classifier(_Reverse.apply(means, self.grl_lambda))
        spoken = [self._language(utterance) for utterance in self._utterances]
        target = torch.tensor(spoken, device=logits.device)
        return self.weight * nn.functional.cross_entropy(logits, target)

    def _language(self, utterance: str) -> int:
        """Return the number of the language that an id begins with."""
        fit = [lang for lang in self.languages if utterance.startswith(f"{lang}-")]
        if not fit:
            raise UserError(
                f"The id of utterance {utterance} does not begin with one of languages "
                f"in strategy_conf, {', '.join(self.languages)}, and a hyphen: add its "
                "language, or rename it."
            )
        return self.languages.index(max(fit, key=len))


class _Reverse(torch.autograd.Function):
    """The identity, with a gradient of the other sign."""

    @staticmethod
    def forward(ctx: Any, input: torch.Tensor, factor: float) -> torch.Tensor:
        ctx.factor = factor
        return input.view_as(input)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None]:
        return -ctx.factor * gradient, None
