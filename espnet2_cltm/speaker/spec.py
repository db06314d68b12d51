"""Speaker verification as one object: its metrics, its options, what stage 3 draws.

Training subsets are spread evenly over speakers; trials are drawn among test speakers
and, separately, among dev speakers. Imports no torch, so that a plan takes seconds.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from espnet2_cltm.corpus.datadir import Utterance
from espnet2_cltm.corpus.language import person_of
from espnet2_cltm.corpus.utterance_list import ListedUtterance
from espnet2_cltm.errors import UserError
from espnet2_cltm.options import POSITIVE, TRUTH, WHOLE, Option
from espnet2_cltm.speaker.calibration import CALIBRATION_METRICS
from espnet2_cltm.speaker.metrics import SPEAKER_METRICS
from espnet2_cltm.speaker.score_curves import score_measures
from espnet2_cltm.speaker.trial_drawing import (
    NOBODY_BILINGUAL,
    draw_cross_language_trials,
    draw_trials,
)
from espnet2_cltm.speaker.trials import TrialList, read_trials, write_trials
from espnet2_cltm.subsets import draw_spread, whole_turns
from espnet2_cltm.task import (
    AcrossDraw,
    DrawingRules,
    LanguageDraw,
    Splits,
    TaskSpec,
    TestData,
    UnfitLanguage,
)

# A subset of n utterances has at least this share of n speakers (arXiv:2603.08231),
# and always enough to be told apart.
MIN_SPEAKERS_PER_UTTERANCE = 0.0125
MIN_SPEAKERS = 2


def _check_trials(
    path: Path, trials: TrialList, utterances: Sequence[ListedUtterance]
) -> None:
    """Refuse trials of other utterances, or that contradict their speakers."""
    speaker_of = {u.utt: u.label for u in utterances}
    if set(trials.utts) != speaker_of.keys():
        odd = min(set(trials.utts) ^ speaker_of.keys())
        raise UserError(
            f"{path} and its list of utterances differ, first in utterance {odd}: "
            "delete both files and run stage 3 again."
        )
    numbers: dict[str, int] = {}
    speakers = np.array(
        [numbers.setdefault(speaker_of[utt], len(numbers)) for utt in trials.utts]
    )
    is_same = speakers[trials.enrol] == speakers[trials.test]
    wrong = np.flatnonzero(is_same != trials.is_target)
    if len(wrong):
        raise UserError(
            f"{path}, line {wrong[0] + 1}, contradicts the speakers of its utterances: "
            "delete it and run stage 3 again."
        )


def _read(path: Path) -> TrialList:
    return _read_cached(str(path), path.stat().st_mtime_ns)


# A worker tests thousands of models on the same few dozen lists.
@lru_cache(maxsize=64)
def _read_cached(path: str, mtime_ns: int) -> TrialList:
    return read_trials(Path(path))


def _are_equal(first: TrialList, second: TrialList) -> bool:
    return first.utts == second.utts and all(
        np.array_equal(getattr(first, name), getattr(second, name))
        for name in ("enrol", "test", "is_target")
    )


def _part_of(
    trials: TrialList, length: Mapping[str, float], seconds: float
) -> TrialList:
    """Return the first trials, half of them target, that have so much audio."""
    of_kind = [np.flatnonzero(trials.is_target == kind) for kind in (True, False)]
    chosen: list[int] = []
    heard: set[str] = set()
    for pair in zip(*of_kind, strict=False):
        chosen += map(int, pair)
        for trial in pair:
            heard |= {trials.utts[trials.enrol[trial]], trials.utts[trials.test[trial]]}
        if sum(length[utt] for utt in heard) >= seconds:
            break
    utts = np.array(trials.utts)
    return TrialList.from_pairs(
        utts[trials.enrol[chosen]], utts[trials.test[chosen]], trials.is_target[chosen]
    )


class SpeakerVerification(TaskSpec):
    """Speaker verification: trained to tell speakers apart, tested by trials."""

    def draw(
        self, splits: Splits, rules: DrawingRules, seeds: Sequence[int]
    ) -> LanguageDraw:
        """Draw training subsets and trials.

        Raises:
            UnfitLanguage: There are too few utterances or speakers, or no test trials.
        """
        speaker_of = {u.id: u.speaker for u in splits["train"]}
        largest = max(rules.sizes)
        if len(speaker_of) < largest:
            raise UnfitLanguage(
                f"train has {len(speaker_of)} utterances where {largest} are needed"
            )
        train = {
            seed: draw_spread(
                speaker_of, largest, rules.options["utts_per_speaker"], seed
            )
            for seed in seeds
        }
        for drawn in train.values():
            for n_utterances in rules.sizes:
                _require_speakers(
                    drawn[:n_utterances], speaker_of, rules.options["utts_per_speaker"]
                )
        max_positives = rules.options["max_positives"]
        trials_seed = rules.options["trials_seed"]
        needs_dev_trials = rules.config.get("checkpoint", "eer") == "eer"
        drawn_trials = {
            split: draw_trials(splits[split], max_positives, trials_seed)
            for split in ("dev", "test")
        }
        if drawn_trials["test"].trials is None:
            why = "; ".join(drawn_trials["test"].left_out) or "it has no utterance"
            raise UnfitLanguage(f"test allows no trials ({why})")
        notes = [
            f"{split}: {note}"
            for split, drawn in drawn_trials.items()
            if split == "test" or needs_dev_trials
            for note in drawn.left_out
        ]
        trials = {
            split: drawn.trials
            for split, drawn in drawn_trials.items()
            if drawn.trials is not None
        }
        if needs_dev_trials and "dev" not in trials:
            notes.append(
                "dev: no trial can be made, so runs on the language are tested on it "
                "after their last epoch"
            )
        return LanguageDraw(
            train=train,
            dev=list(trials["dev"].utts) if "dev" in trials else [],
            test=list(trials["test"].utts),
            labels={
                u.id: person_of(u.speaker, u.lang or "")
                if rules.shared_speakers
                else u.speaker
                for split in splits.values()
                for u in split
            },
            test_data=trials,
            notes=tuple(notes),
        )

    def audio_needed(
        self, splits: Splits, rules: DrawingRules, seeds: Sequence[int]
    ) -> Iterable[str]:
        """Return the turns of the speakers of all seeds, the last of them whole."""
        speaker_of = {u.id: u.speaker for u in splits["train"]}
        sizes = (max(rules.sizes), rules.options["utts_per_speaker"])
        return {utt for seed in seeds for utt in whole_turns(speaker_of, *sizes, seed)}

    def tests_across(self, options: Mapping[str, Any]) -> bool:
        """Return whether bilingual speakers are tested across languages."""
        return bool(options["cross_language_trials"])

    def draw_across(
        self, tests: Mapping[str, Sequence[Utterance]], rules: DrawingRules
    ) -> list[AcrossDraw]:
        """Draw trials for every pair of languages that has bilingual test speakers.

        Returns:
            One draw for each pair with a bilingual speaker, even where no trial can be
            made.
        """
        sets = []
        for first, second in combinations(sorted(tests), 2):
            drawn = draw_cross_language_trials(
                tests[first],
                tests[second],
                rules.options["max_positives"],
                rules.options["trials_seed"],
            )
            if drawn.trials is not None or drawn.left_out != (NOBODY_BILINGUAL,):
                utts = drawn.trials.utts if drawn.trials else ()
                name = f"{first}~{second}"
                sets.append(AcrossDraw(name, utts, drawn.trials, drawn.left_out))
        return sets

    def check_options(self, options: Mapping[str, Any], shared_speakers: bool) -> None:
        """Refuse trials across languages where speakers are not shared by languages.

        Raises:
            UserError: The options contradict each other.
        """
        if options["cross_language_trials"] and not shared_speakers:
            raise UserError(
                "--cross_language_trials treats speakers of one name as one person: "
                "give --shared_speakers true as well, if that is right."
            )


SPEAKER = SpeakerVerification(
    name="speaker",
    title="speaker verification",
    metrics=(*SPEAKER_METRICS, *CALIBRATION_METRICS),
    demo_budget=32,
    train_config="conf/train_speaker.yaml",
    module="espnet2_cltm.speaker.testing",
    test_data=TestData(
        ".trials",
        write_trials,
        _read,
        _check_trials,
        _are_equal,
        _part_of,
        score_measures,
    ),
    own_weights="loss.weight,loss.classifier",
    options=(
        Option(
            "utts_per_speaker",
            "utterances taken from a speaker before it is the next one's turn",
            POSITIVE,
            "1",
        ),
        Option("max_positives", "most target trials of a speaker", POSITIVE, "200"),
        Option("trials_seed", "seed that draws the trials", WHOLE, "0"),
        Option(
            "cross_language_trials",
            "test bilingual speakers across languages",
            TRUTH,
            "false",
        ),
    ),
)


def _require_speakers(
    drawn: Sequence[str], speaker_of: Mapping[str, str], utts_per_speaker: int
) -> None:
    n_speakers = len({speaker_of[utt] for utt in drawn})
    needed = max(MIN_SPEAKERS, math.ceil(MIN_SPEAKERS_PER_UTTERANCE * len(drawn)))
    if n_speakers < needed:
        raise UnfitLanguage(
            f"train gives {len(drawn)} utterances by {n_speakers} speakers where "
            f"{needed} are needed"
            + ("; lower --utts_per_speaker" if utts_per_speaker > 1 else "")
        )
