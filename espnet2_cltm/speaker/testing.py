"""Speaker verification in stage 4: ESPnet's data, scores of trials, and metrics.

The functions and their arguments are described in :mod:`espnet2_cltm.task`.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from espnet2_cltm.corpus.audio import load_audio
from espnet2_cltm.corpus.utterance_list import (
    ListedUtterance,
    espnet_data_options,
    write_espnet_data,
)
from espnet2_cltm.files import replacing, write_text
from espnet2_cltm.frontend.frozen_states import keep_frozen_states
from espnet2_cltm.speaker.calibration import fit_calibration
from espnet2_cltm.speaker.embedding import (
    cache_waveforms,
    embed_utterances,
    score_pairs,
)
from espnet2_cltm.speaker.espnet_task import SpeakerTask
from espnet2_cltm.speaker.metrics import score_trials
from espnet2_cltm.speaker.model import SpeakerModel
from espnet2_cltm.speaker.trials import SCORES_SUFFIX, read_predictions
from espnet2_cltm.task import Criterion, Scores, TaskSpec, TestSet, score_in_turn

ESPNET_TASK = SpeakerTask
PREDICTIONS_SUFFIX = SCORES_SUFFIX


def build_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the ESPnet options that build a model before there is data.

    There are more speakers than any loss wants to tell apart.
    """
    return {"spk_num": 1000}


def cache_audio(max_bytes: int) -> None:
    """Keep waveforms, and the output of the encoder's frozen part, in memory."""
    cache_waveforms(max_bytes)
    keep_frozen_states(max_bytes)


def write_training_data(
    run_dir: Path,
    train: Sequence[ListedUtterance],
    dev: Sequence[TestSet],
    batch_bins: int,
    options: Mapping[str, Any],
) -> dict[str, Any]:
    """Write ESPnet's data files and return the options that name them.

    The classes are the speakers of all the run's utterances.
    """
    write_espnet_data(run_dir / "train", train, "utt2spk")
    utts_of: dict[str, list[str]] = {}
    for utterance in train:
        utts_of.setdefault(utterance.label, []).append(utterance.utt)
    write_text(
        run_dir / "train" / "spk2utt",
        (f"{name} {' '.join(sorted(utts_of[name]))}\n" for name in sorted(utts_of)),
    )
    valid = [utterance for part in dev for utterance in part.utterances]
    # ESPnet's command needs validation data even where no trial is scored on them.
    write_espnet_data(run_dir / "valid", valid or train, "utt2spk")
    trials = [[str(part.data_path), part.name] for part in dev if part.data]
    data_options = {
        **espnet_data_options(run_dir / "train", "train", ("utt2spk", "spk_labels")),
        **espnet_data_options(run_dir / "valid", "valid", None),
        "spk2utt": str(run_dir / "train" / "spk2utt"),
        "spk_num": len(utts_of),
        "valid_trials": trials,
        "embedding_batch_bins": batch_bins,
    }
    if not trials:
        return {**data_options, "checkpoint": "last"}
    names = ["eer", *(f"eer_{name}" for _, name in trials)]
    criterion = [["valid", name, "min"] for name in names]
    return {**data_options, "best_model_criterion": criterion}


def criteria(
    config: Mapping[str, Any], languages: Sequence[str], tests: Sequence[str]
) -> dict[str, Criterion]:
    """Name what chooses the epoch for each test.

    A pair is tested on each of its languages with the epoch that is best on that
    language's dev trials, as i+j and j+i would be if trained separately; where the
    language has none, every run takes the last epoch. Other tests take the epoch with
    the lowest mean over the run's languages.
    """
    if config.get("checkpoint", "eer") == "last":
        return {}
    validated = {name for _, name in config["valid_trials"]}
    names = {test: f"eer_{test}" if test in languages else "eer" for test in tests}
    return {
        test: ("valid", name, "min")
        for test, name in names.items()
        if test in validated or test not in languages
    }


def predict(
    model: SpeakerModel, test: TestSet, predictions: Path, batch_bins: int, device: str
) -> None:
    """Score every trial and write the scores as float32, in the order of the trials."""
    audio = {u.utt: u.audio for u in test.utterances}
    embeddings = embed_utterances(
        model,
        {u.utt: u.num_samples for u in test.utterances},
        lambda utt: load_audio(audio[utt]),
        batch_bins,
        device,
    )
    with replacing(predictions) as temporary, temporary.open("wb") as output:
        np.save(output, score_pairs(model, embeddings, test.data))


def calibrate(
    options: Mapping[str, Any], dev: Sequence[tuple[TestSet, Path]]
) -> list[float]:
    """Fit a calibration on the dev trials of one language or more."""
    scores = [read_predictions(path, test.data, test.data_path) for test, path in dev]
    is_target = [test.data.is_target for test, _ in dev]
    return fit_calibration(np.concatenate(scores), np.concatenate(is_target))


def score(
    spec: TaskSpec,
    options: Mapping[str, Any],
    test: TestSet,
    predictions: Path,
    calibrations: Mapping[str, Sequence[float]] = MappingProxyType({}),
) -> Scores:
    """Compute the metrics of a test from its scores.

    Raises:
        UserError: The scores are missing, or are not those of the trials.
    """
    trials = test.data
    scores = read_predictions(predictions, trials, test.data_path)

    def score_without(left_out: frozenset[str]) -> Scores:
        gone = np.array([utt in left_out for utt in trials.utts], dtype=bool)
        kept = ~(gone[trials.enrol] | gone[trials.test])
        return score_trials(
            scores[kept], trials.is_target[kept], spec.metrics, calibrations
        )

    return score_in_turn(score_without, test.groups)
