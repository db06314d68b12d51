"""Speech recognition as one object: its metrics, its options, what stage 3 draws.

Transcripts are brought to their normal form here, once; lists of utterances, tokens and
scores are all of it. Imports no torch, so that a plan takes seconds.
"""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from espnet2_cltm.asr.metrics import ASR_METRICS, PER
from espnet2_cltm.asr.text import normalise
from espnet2_cltm.asr.tokens import (
    PHONES,
    TOKEN_TYPES,
    fewest_frames,
    find_tokens,
    tokens_of,
)
from espnet2_cltm.budget import Seconds
from espnet2_cltm.corpus.audio import SAMPLE_RATE
from espnet2_cltm.corpus.datadir import SPLITS, Utterance
from espnet2_cltm.corpus.text_phones import phones_of, voice_file
from espnet2_cltm.corpus.utterance_list import ListedUtterance
from espnet2_cltm.options import POSITIVE, Option, one_of
from espnet2_cltm.subsets import lasting, random_order
from espnet2_cltm.task import (
    DrawingRules,
    LanguageDraw,
    Metric,
    Splits,
    TaskSpec,
    UnfitLanguage,
)

FRAME, RECEPTIVE_FIELD = 320, 400  # samples, of a HuBERT
VOCABULARIES = ("experiment", "run")
MEAN_SECONDS = "mean_seconds"
"""Option that holds the mean over languages of an utterance's length in train."""

_LACKING = (
    "no letter or number in their transcript",
    "no phones, or some of another language, by espeak-ng",
)


class SpeechRecognition(TaskSpec):
    """Speech recognition: trained with CTC, tested by error rates."""

    def draw(
        self, splits: Splits, rules: DrawingRules, seeds: Sequence[int]
    ) -> LanguageDraw:
        """Draw training subsets; dev and test are all utterances with a transcript.

        Raises:
            UnfitLanguage: There are too few utterances with a transcript.
            UserError: The smallest runs do not allow so many pieces of words.
        """
        texts, notes = _usable(splits, rules.options)
        seconds = {u.id: u.duration or 0.0 for u in splits["train"]}
        largest = max(rules.sizes)
        for split, needed in (("train", largest), ("dev", 1), ("test", 1)):
            found: float = len(texts[split])
            if isinstance(needed, Seconds):
                found = Seconds(sum(seconds[utt] for utt in texts[split]))
            if found < needed:
                raise UnfitLanguage(
                    f"{split} has {found} utterances with a transcript that can be "
                    f"used where {needed} are needed"
                    + "".join(f"; {note}" for note in notes.get(split, ()))
                )

        def draw(seed: int) -> list[str]:
            order = random_order(texts["train"], seed, self.name)
            return order[: _n_first(largest, (seconds[utt] for utt in order))]

        train = {seed: draw(seed) for seed in seeds}
        if _learns_pieces(rules.options):
            smallest = min(rules.sizes)
            for drawn in train.values():
                n = _n_first(smallest, (seconds[utt] for utt in drawn))
                of_run = {texts["train"][utt] for utt in drawn[:n]}
                find_tokens(of_run | {*texts["dev"].values()}, rules.options)
        return LanguageDraw(
            train=train,
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

        Where N is of seconds, the mean length of an utterance is filled in as well.

        Raises:
            UserError: The transcripts do not allow so many pieces of words.
        """
        settled = dict(options)
        wants_tokens = "tokens" not in options and options["asr_vocabulary"] != "run"
        wants_mean = isinstance(largest, Seconds) and MEAN_SECONDS not in options
        texts: set[str] = set()
        means: list[float] = []
        for _, splits in languages if wants_tokens or wants_mean else ():
            lengths = [u.duration for u in splits["train"] if u.duration]
            means += [sum(lengths) / len(lengths)] if lengths else []
            for split in ("train", "dev") if wants_tokens else ():
                with suppress(UnfitLanguage):
                    texts |= {*_texts(splits[split], options["asr_tokens"]).values()}
        if wants_tokens and texts:
            settled |= find_tokens(texts, options)
        if wants_mean and means:
            settled[MEAN_SECONDS] = round(sum(means) / len(means), 3)
        return settled

    def main_metric(self, names: Iterable[str]) -> Metric:
        """Return CER; PER where models write phones."""
        return PER if PER.name in names else self.metrics[0]

    def n_drawn(self, n: int, options: Mapping[str, Any]) -> int:
        """Return the number of utterances in a run of N; of seconds, about as many."""
        if not isinstance(n, Seconds):
            return n
        return max(round(int(n) / options[MEAN_SECONDS]), 1)

    def cut(
        self, drawn: Sequence[ListedUtterance], n: int, options: Mapping[str, Any]
    ) -> Sequence[ListedUtterance]:
        """Return the first utterances drawn: N, or as many as last N seconds."""
        # To the millisecond, as utt2dur has it, by which they were drawn.
        seconds = (round(u.num_samples / SAMPLE_RATE, 3) for u in drawn)
        return drawn[: _n_first(n, seconds)]


def _learns_pieces(options: Mapping[str, Any]) -> bool:
    """Return whether every run learns pieces of words from its own transcripts."""
    return (options["asr_tokens"], options.get("asr_vocabulary")) == ("bpe", "run")


def _n_first(n: int, seconds: Iterable[float]) -> int:
    return lasting(seconds, n) if isinstance(n, Seconds) else n


def _usable(
    splits: Splits, options: Mapping[str, Any]
) -> tuple[dict[str, dict[str, str]], dict[str, list[str]]]:
    """Return transcripts by split and utterance, and notes on others by split."""
    kind = options["asr_tokens"]
    texts = {split: _texts(splits[split], kind) for split in SPLITS}
    notes = {
        split: [f"{n} have {_LACKING[kind == PHONES]}"]
        for split in SPLITS
        if (n := len(splits[split]) - len(texts[split]))
    }
    too_long = [
        u.id
        for u in splits["train"]
        if u.id in texts["train"]
        and not _can_be_aligned(
            tokens_of(texts["train"][u.id], kind, options.get("pieces")), u.duration
        )
    ]
    for utt in too_long:
        del texts["train"][utt]
    if too_long:
        notes.setdefault("train", []).append(
            f"{len(too_long)}, {min(too_long)} first, have transcripts of more tokens "
            "than their audio has frames of 20 ms"
        )
    return texts, notes


def _texts(utterances: Sequence[Utterance], token_type: str) -> dict[str, str]:
    """Return transcripts in normal form, or their phones, by utterance.

    Empty ones are left out.

    Raises:
        UnfitLanguage: There are no phones of the language.
    """
    texts = {u.id: normalise(u.text or "", u.lang or "") for u in utterances}
    if token_type == PHONES and utterances:
        voice = voice_file(utterances[0].lang or "")
        if voice is None:
            raise UnfitLanguage(
                "espeak-ng has no voice of it, so that its phones are not known"
            )
        written = [u.text or "" if texts[u.id] else "" for u in utterances]
        texts = dict(zip(texts, phones_of(written, voice), strict=True))
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
    counts_seconds=True,
    lasting=(MEAN_SECONDS,),
    demo_budget=32,
    demo="demo_words",
    train_config="conf/train_asr.yaml",
    module="espnet2_cltm.asr.testing",
    options=(
        Option(
            "asr_tokens",
            "what a model writes: char (characters), bpe (pieces of words) or phn "
            "(phones, by espeak-ng)",
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
