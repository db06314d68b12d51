"""Small made-up speech and models for the tests, in the project's own formats.

Voices are pulse trains with vowel-like resonances: low-pitched ``m``, high-pitched
``f``, so that a tiny model can learn the task in a few steps.
"""

import argparse
import zlib
from pathlib import Path

import kaldiio
import numpy as np
import scipy.signal

from espnet2_cltm.corpus.datadir import (
    Utterance,
    read_data_dir,
    read_table,
    write_data_dir,
)
from espnet2_cltm.files import write_text
from espnet2_cltm.label.espnet_task import LabelEspnetTask
from espnet2_cltm.speaker.espnet_task import SpeakerTask
from espnet2_cltm.speaker.trial_drawing import draw_trials
from espnet2_cltm.speaker.trials import TrialList, write_trials

TINY_HUBERT = {
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "conv_dim": [8] * 7,
    "num_conv_pos_embeddings": 8,
    "num_conv_pos_embedding_groups": 2,
    "layerdrop": 0.0,
    "apply_spec_augment": False,
}
TRAINING = {
    "frontend": "hubert",
    "frontend_conf": {"model": TINY_HUBERT},
    "optim": "adamw",
    "optim_conf": {"lr": 1.0e-3, "weight_decay": 0.0},
    "grad_clip": 1.0,
    "max_epoch": 2,
    "batch_type": "unsorted",
    "batch_size": 2,
    "num_workers": 0,
    "use_tensorboard": False,
    "use_matplotlib": False,
    "num_att_plot": 0,
    "keep_nbest_models": 1,
}
TINY_GENDER = {
    "classes": "f m",
    "projector_conf": {"output_size": 8},
    **TRAINING,
    "best_model_criterion": [["valid", "acc", "max"]],
}
TINY_SPEAKER = {
    "encoder": "identity",
    "pooling": "mean",
    "projector": "linear",
    "projector_conf": {"output_size": 8},
    "loss": "cross_entropy",
    "embedding_conf": {"source": "hidden_layers", "num_layers": 2},
    **TRAINING,
    "best_model_criterion": [["valid", "eer", "min"]],
}
TINY_ASR = {
    **TRAINING,
    "best_model_criterion": [["valid", "cer", "min"]],
}


def voice(
    gender: str, seed: int, n_samples: int, speaker: int | None = None
) -> np.ndarray:
    """Give (n_samples,) int16 of a made-up voice at 16 kHz.

    Args:
        gender: ``f`` or ``m``.
        seed: Of this utterance.
        n_samples: Length.
        speaker: Seed of pitch and resonances; None: ``seed``.
    """
    rng = np.random.default_rng(seed if speaker is None else speaker)
    pitch = rng.uniform(90, 150) if gender == "m" else rng.uniform(170, 260)
    formants = np.array([500, 1500, 2500]) * rng.uniform(0.8, 1.2, 3)
    rng = np.random.default_rng(seed)
    phase = np.cumsum(pitch * (1 + 0.02 * rng.standard_normal(n_samples))) / 16000
    pulses = np.diff(np.floor(phase), prepend=0.0)
    scale = 1.0 if gender == "m" else 1.17
    speech = pulses
    for formant in formants:
        radius, angle = 0.97, 2 * np.pi * formant * scale / 16000
        speech = scipy.signal.lfilter(
            [1.0], [1, -2 * radius * np.cos(angle), radius**2], speech
        )
    speech = speech / np.abs(speech).max() + 0.01 * rng.standard_normal(n_samples)
    return np.clip(speech * 8000, -32768, 32767).astype(np.int16)


def write_dump(
    directory: Path,
    languages: list[str],
    speakers: dict[str, int] | None = None,
    utterances: int = 4,
) -> None:
    """Write ``<directory>/<lang>/{train,dev,test}`` as stage 2 does.

    Args:
        directory: ``dump/<corpus>``.
        languages: Language codes.
        speakers: Speakers of each gender by split.
        utterances: Utterances of each speaker.
    """
    speakers = speakers or {"train": 3, "dev": 1, "test": 2}
    for lang in languages:
        first = 0
        for split, per_gender in speakers.items():
            split_dir = directory / lang / split
            split_dir.mkdir(parents=True)
            rows, lengths = [], {}
            ark = str(split_dir / "wav.ark")
            audio = {}
            for gender in "fm":
                for k in range(first, first + per_gender):
                    for n in range(utterances):
                        speaker = f"{lang}-{gender}{k:02d}"
                        utt = f"{speaker}-{n:02d}"
                        seed = zlib.crc32(utt.encode())
                        n_samples = 4000 + 320 * (seed % 7)
                        speaker_seed = zlib.crc32(speaker.encode())
                        samples = voice(gender, seed, n_samples, speaker_seed)
                        audio[utt] = (16000, samples)
                        lengths[utt] = len(samples)
                        rows.append((utt, speaker, gender))
            first += per_gender
            scp = str(split_dir / "ark.scp")
            kaldiio.save_ark(ark, audio, scp=scp)
            locations = read_table(scp)
            Path(scp).unlink()
            write_data_dir(
                split_dir,
                [
                    Utterance(
                        utt,
                        speaker,
                        locations[utt],
                        {"gender": gender},
                        lang,
                        lengths[utt] / 16000,
                        f"{lang} {speaker[-1]}{utt[-1]}",
                    )
                    for utt, speaker, gender in rows
                ],
            )
            write_text(
                split_dir / "utt2num_samples",
                "".join(f"{utt} {lengths[utt]}\n" for utt in sorted(lengths)),
            )


def build_gender_model(config: dict, seed: int = 0):
    """Build a gender model from a training configuration."""
    defaults = vars(LabelEspnetTask.get_parser().parse_args([]))
    return LabelEspnetTask.build_model(
        argparse.Namespace(**{**defaults, "classes": "f m", **config, "seed": seed})
    )


def build_speaker_model(config: dict, seed: int = 0, n_speakers: int = 4):
    """Build a speaker model from a training configuration."""
    defaults = vars(SpeakerTask.get_parser().parse_args([]))
    return SpeakerTask.build_model(
        argparse.Namespace(
            **{**defaults, "spk_num": n_speakers, **config, "seed": seed}
        )
    )


def draw_speaker_trials(split_dir: Path, max_positives: int = 200) -> TrialList:
    """Draw the trials of a split that :func:`write_dump` wrote.

    They are also written, to ``<split_dir>/trials``.
    """
    drawn = draw_trials(read_data_dir(split_dir), max_positives, seed=42)
    write_trials(split_dir / "trials", drawn.trials)
    return drawn.trials
