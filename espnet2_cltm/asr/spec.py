"""Speech recognition as one object: its metrics, its options, what stage 3 draws.

Transcripts are brought to their normal form here, once; lists of utterances, tokens and
scores are all of it. Imports no torch, so that a plan takes seconds.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from espnet2_cltm.asr.metrics import ASR_METRICS
from espnet2_cltm.asr.text import normalise
from espnet2_cltm.asr.tokens import (
    TOKEN_TYPES,
    fewest_frames,
    find_tokens,
    tokens_of,
)
from espnet2_cltm.corpus.audio import SAMPLE_RATE
from espnet2_cltm.corpus.datadir import SPLITS, Utterance
from espnet2_cltm.options import POSITIVE, Option, one_of
from espnet2_cltm.subsets import random_order
from espnet2_cltm.task import (
    DrawingRules,
    LanguageDraw,
    Splits,
    TaskSpec,
    UnfitLanguage,
)

FRAME, RECEPTIVE_FIELD = 320, 400  # samples, of a HuBERT
VOCABULARIES = ("experiment", "run")


class SpeechRecognition(TaskSpec):
    """Speech recognition: trained with CTC, tested by error rates."""

    def draw(
        self, splits: Splits, rules: DrawingRules, seeds: Sequence[int]
    ) -> LanguageDraw:
        """Draw training subsets; dev and test are all utterances with a transcript.

        Raises:
            UnfitLanguage: There are too few utterances with a transcript.
        """
        texts = {split: _texts(splits[split]) for split in SPLITS}
        notes = {
            split: [f"{n} have no letter or number in their transcript"]
            for split in SPLITS
            if (n := len(splits[split]) - len(texts[split]))
        }
        pieces = rules.options.get("pieces")
        seconds = {u.id: u.duration for u in splits["train"]}
        too_long = [
            utt
            for utt, text in texts["train"].items()
            if not _can_be_aligned(tokens_of(text, pieces), seconds[utt])
        ]
        for utt in too_long:
            del texts["train"][utt]
        if too_long:
            notes.setdefault("train", []).append(
                f"{len(too_long)}, {min(too_long)} first, have transcripts of more "
                "tokens than their audio has frames of 20 ms"
            )
        largest = max(rules.sizes)
        for split, needed in (("train", largest), ("dev", 1), ("test", 1)):
            if len(texts[split]) < needed:
                raise UnfitLanguage(
                    f"{split} has {len(texts[split])} utterances with a transcript "
                    f"that can be used where {needed} are needed"
                    + "".join(f"; {note}" for note in notes.get(split, ()))
                )
        return LanguageDraw(
            train={
                seed: random_order(texts["train"], seed, self.name)[:largest]
                for seed in seeds
            },
            dev=list(texts["dev"]),
            test=list(texts["test"]),
            labels={utt: text for of in texts.values() for utt, text in of.items()},
            notes=tuple(
                f"{split}: {note}, and are left out"
                for split, of in notes.items()
                for note in of
            ),
        )

    def settle_options(
        self,
        options: Mapping[str, Any],
        languages: Iterable[tuple[str, Splits]],
        largest: int,
    ) -> dict[str, Any]:
        """Fill in the tokens: those of all transcripts in train and dev.

        Raises:
            UserError: The transcripts do not allow so many pieces of words.
        """
        if "tokens" in options or options["asr_vocabulary"] == "run":
            return dict(options)
        texts = {
            text
            for _, splits in languages
            for split in ("train", "dev")
            for text in _texts(splits[split]).values()
        }
        return {**options, **find_tokens(texts, options)} if texts else dict(options)


def _texts(utterances: Sequence[Utterance]) -> dict[str, str]:
    """Return transcripts in normal form, by utterance; empty ones are left out."""
    texts = {u.id: normalise(u.text or "", u.lang or "") for u in utterances}
    return {utt: text for utt, text in texts.items() if text}


def _can_be_aligned(tokens: Sequence[str], seconds: float | None) -> bool:
    """Return whether an utterance has the frames that its tokens need."""
    if seconds is None:
        return True
    n_frames = (int(seconds * SAMPLE_RATE) - RECEPTIVE_FIELD) // FRAME + 1
    return fewest_frames(tokens) <= n_frames


ASR = SpeechRecognition(
    name="asr",
    title="speech recognition",
    metrics=ASR_METRICS,
    demo_budget=32,
    demo="demo_words",
    train_config="conf/train_asr.yaml",
    module="espnet2_cltm.asr.testing",
    options=(
        Option(
            "asr_tokens",
            "what a model writes: char (characters) or bpe (pieces of words)",
            one_of(*TOKEN_TYPES),
            "char",
        ),
        Option("asr_pieces", "number of pieces of words", POSITIVE, "200"),
        Option(
            "asr_vocabulary",
            "whose tokens a model knows: experiment (those of all languages, so that "
            "runs stay paired) or run (those of its own languages, as published)",
            one_of(*VOCABULARIES),
            "experiment",
        ),
    ),
)
