#!/usr/bin/env python3
"""What frozen features tell: gender, speaker and language, by linear probes.

Takes audio stores of stage 2. For each layer of a HuBERT, for each layer of the same
architecture with random weights (and of the weights that its training began with,
``--start``), and for 80 log-mel bands, an utterance becomes one vector: the mean over
time of the features, and for log-mel also the standard deviation. In each of several
seeds half of a language's speakers train and the others test:

* ``gender``: macro F1 of logistic regression, all languages together, classes balanced;
* ``language``: accuracy of logistic regression;
* ``speaker``: ROC AUC of same-gender trials within a language, mean over languages; a
  trial's score is the cosine of two vectors after the training speakers' mean is
  subtracted. Nothing is trained.

For logistic regression vectors are scaled by the training speakers' deviation. Prints
one line per layer: mean and standard deviation over seeds.
"""

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

import librosa
import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from transformers import Wav2Vec2FeatureExtractor

from espnet2_cltm.bin.command_line import command
from espnet2_cltm.corpus.allowed_words import GENDERS
from espnet2_cltm.corpus.audio import SAMPLE_RATE, load_audio
from espnet2_cltm.corpus.datadir import SPLITS, Utterance, read_data_dir
from espnet2_cltm.errors import UserError
from espnet2_cltm.files import write_text
from espnet2_cltm.frontend.checkpoint import EncoderCheckpoint, load_hubert
from espnet2_cltm.progress import progress
from espnet2_cltm.speaker.metrics import score_trials
from espnet2_cltm.speaker.trial_drawing import draw_trials

MEASURES = ("gender", "speaker", "language")
Vectors = dict[str, np.ndarray]
"""By the name of a layer: (utterances, size) float32."""


def get_parser() -> argparse.ArgumentParser:
    """Return the parser of the options."""
    parser = argparse.ArgumentParser(
        description="Probe frozen features for gender, speaker and language.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument(
        "--dump", nargs="+", required=True, type=Path, help="<dumpdir>/<corpus> ..."
    )
    parser.add_argument(
        "--model", required=True, help="HuBERT, by hub id, directory or YAML file"
    )
    parser.add_argument(
        "--start",
        default="",
        help="encoder that its training began with, where that was not random weights "
        "as transformers draws them",
    )
    parser.add_argument("--seeds", type=int, default=5, help="number of seeds")
    parser.add_argument(
        "--max_positives", type=int, default=200, help="positive trials of a speaker"
    )
    parser.add_argument("--outfile", type=Path, help="table to write, as TSV")
    return parser


def _probe(args: argparse.Namespace) -> None:
    trained = load_hubert(args.model)
    random = load_hubert(
        {
            **trained.model.config.to_diff_dict(),
            "normalize_waveform": trained.normalize_waveform,
            "init_seed": 0,
        }
    )
    encoders = {"trained": trained, "random": random}
    if args.start:
        encoders["start"] = load_hubert(args.start)
    kinds: dict[str, Callable[[np.ndarray], dict[str, np.ndarray]]] = {
        **{name: _hidden_layers(encoder) for name, encoder in encoders.items()},
        "log-mel": _log_mel,
    }
    rows = [["corpus", "features", *MEASURES, *(f"{name}_sd" for name in MEASURES)]]
    for dump in args.dump:
        utterances = _read_utterances(dump)
        vectors = _embed(utterances, kinds, dump.name)
        for name, values in vectors.items():
            scores = np.array(
                [
                    _score(utterances, values, seed, args.max_positives)
                    for seed in range(args.seeds)
                ]
            )
            mean, deviation = scores.mean(axis=0), scores.std(axis=0, ddof=1)
            rows.append([dump.name, name, *(f"{x:.4f}" for x in (*mean, *deviation))])
            print(
                f"{dump.name:14s} {name:16s} "
                + "  ".join(
                    f"{measure} {m:.3f} ({d:.3f})"
                    for measure, m, d in zip(MEASURES, mean, deviation, strict=True)
                ),
                flush=True,
            )
    if args.outfile:
        write_text(args.outfile, "".join("\t".join(row) + "\n" for row in rows))


def _read_utterances(dump: Path) -> list[Utterance]:
    directories = [
        language / split
        for language in sorted(path for path in dump.glob("*") if path.is_dir())
        for split in SPLITS
        if (language / split / "wav.scp").exists()
    ]
    utterances = [
        Utterance(**{**_fields(row), "lang": directory.parent.name})
        for directory in directories
        for row in read_data_dir(directory)
        if "gender" in row.labels
    ]
    if len({row.lang for row in utterances}) < 2:
        raise UserError(
            f"{dump} holds fewer than two languages: run stages 1 and 2 for two."
        )
    return utterances


def _fields(row: Utterance) -> dict:
    return {name: getattr(row, name) for name in Utterance.__slots__}


def _embed(
    utterances: Sequence[Utterance],
    kinds: dict[str, Callable[[np.ndarray], dict[str, np.ndarray]]],
    corpus: str,
) -> Vectors:
    vectors: dict[str, list[np.ndarray]] = {}
    for row in progress(utterances, description=f"embedding {corpus}", unit="utt"):
        waveform = load_audio(row.audio)
        for kind, embed in kinds.items():
            for layer, vector in embed(waveform).items():
                vectors.setdefault(f"{kind}{layer}", []).append(vector)
    return {name: np.stack(rows) for name, rows in vectors.items()}


def _hidden_layers(
    encoder: EncoderCheckpoint,
) -> Callable[[np.ndarray], dict[str, np.ndarray]]:
    extractor = Wav2Vec2FeatureExtractor(
        sampling_rate=SAMPLE_RATE, do_normalize=encoder.normalize_waveform
    )

    @torch.inference_mode()
    def embed(waveform: np.ndarray) -> dict[str, np.ndarray]:
        values = extractor(
            waveform, sampling_rate=SAMPLE_RATE, return_tensors="pt"
        ).input_values
        states = encoder.model(values, output_hidden_states=True).hidden_states
        return {
            f" layer {number}": state[0].mean(dim=0).numpy()
            for number, state in enumerate(states)
        }

    return embed


def _log_mel(waveform: np.ndarray) -> dict[str, np.ndarray]:
    mel = librosa.feature.melspectrogram(
        y=waveform, sr=SAMPLE_RATE, n_fft=512, win_length=400, hop_length=160, n_mels=80
    )
    bands = np.log(mel + 1e-6)
    return {" mean+sd": np.concatenate([bands.mean(axis=1), bands.std(axis=1)])}


def _score(
    utterances: Sequence[Utterance], vectors: np.ndarray, seed: int, max_positives: int
) -> tuple[float, float, float]:
    is_train = _draw_training_speakers(utterances, seed)
    gender = np.array([GENDERS.index(row.labels["gender"]) for row in utterances])
    language = np.array([row.lang for row in utterances])
    return (
        f1_score(
            gender[~is_train],
            _predict(vectors, gender, is_train, seed),
            average="macro",
        ),
        _speaker_auc(utterances, vectors, is_train, seed, max_positives),
        float(
            np.mean(language[~is_train] == _predict(vectors, language, is_train, seed))
        ),
    )


def _draw_training_speakers(utterances: Sequence[Utterance], seed: int) -> np.ndarray:
    """Return which utterances train: those of half the speakers of each kind."""
    speakers: dict[tuple, list[str]] = {}
    for row in utterances:
        group = speakers.setdefault((row.lang, row.labels["gender"]), [])
        if row.speaker not in group:
            group.append(row.speaker)
    random = np.random.default_rng(seed)
    chosen: set[str] = set()
    for group in speakers.values():
        chosen.update(random.permutation(sorted(group))[: (len(group) + 1) // 2])
    return np.array([row.speaker in chosen for row in utterances])


def _predict(
    vectors: np.ndarray, labels: np.ndarray, is_train: np.ndarray, seed: int
) -> np.ndarray:
    probe = make_pipeline(
        StandardScaler(),
        LogisticRegression(class_weight="balanced", max_iter=2000, random_state=seed),
    )
    probe.fit(vectors[is_train], labels[is_train])
    return probe.predict(vectors[~is_train])


def _speaker_auc(
    utterances: Sequence[Utterance],
    vectors: np.ndarray,
    is_train: np.ndarray,
    seed: int,
    max_positives: int,
) -> float:
    centred = vectors - vectors[is_train].mean(axis=0)
    centred /= np.linalg.norm(centred, axis=1, keepdims=True)
    index = {row.id: number for number, row in enumerate(utterances)}
    values = []
    for lang in sorted({row.lang or "" for row in utterances}):
        tested = [
            row
            for row, train in zip(utterances, is_train, strict=True)
            if row.lang == lang and not train
        ]
        trials = draw_trials(tested, max_positives, seed).trials
        if trials is None:
            continue
        positions = np.array([index[utt] for utt in trials.utts])
        enrol, test = positions[trials.enrol], positions[trials.test]
        scores = np.sum(centred[enrol] * centred[test], axis=1)
        values.append(score_trials(scores, trials.is_target).metrics["roc_auc"])
    return float(np.mean(values))


main = command(get_parser, _probe)

if __name__ == "__main__":
    main()
