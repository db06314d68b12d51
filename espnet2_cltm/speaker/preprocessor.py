"""Preparation of what ESPnet reads for the speaker model.

Waveforms are brought to one scale; speakers become class indices in the order of
``spk2utt``; crops are like ESPnet's, augmentation is ESPnet's own. For Siamese training
every utterance gets a partner, drawn anew in every epoch.
"""

import itertools
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from espnet2_cltm.corpus.audio import SAMPLE_RATE
from espnet2_cltm.corpus.datadir import read_table
from espnet2_cltm.errors import UserError, foreign
from espnet2_cltm.files import read_text
from espnet2_cltm.tasks.espnet import SpkPreprocessor
from espnet2_cltm.tasks.parts import scale_waveform
from espnet2_cltm.tasks.speech_data import SpeechDataset


def read_spk2utt(path: Path | str | None) -> dict[str, list[str]]:
    """Read ``spk2utt``, whose order of lines is the order of the classes.

    Raises:
        UserError: The file is missing or empty, a line has no utterance, or a speaker
            has two lines.
    """
    remedy = "give --spk2utt the spk2utt file of the training data"
    if not path:
        raise UserError(f"The speakers are not given: {remedy}.")
    lines = read_text(path, remedy).splitlines()
    speakers: dict[str, list[str]] = {}
    for number, line in enumerate(lines, 1):
        speaker, *utts = line.split() or [""]
        if not utts or speaker in speakers:
            problem = "has a line already" if utts else "has no utterance"
            raise UserError(
                f"{path}, line {number}: the speaker {speaker!r} {problem}: remove the "
                "line."
            )
        speakers[speaker] = utts
    if not speakers:
        raise UserError(f"{path} is empty: give the speakers of the training data.")
    return speakers


class SpeakerPreprocessor(SpkPreprocessor):
    """ESPnet's ``SpkPreprocessor`` on waveforms of one scale.

    Differences: utterances stay whole unless ``target_duration`` is given, there is
    no augmentation unless asked for, and validation takes one utterance at a time.

    Args:
        train: Whether the data are for training.
        spk2utt: File of the speakers, in the order of the classes; for training only.
        target_duration: Length of a random crop in seconds, to which shorter
            utterances are repeated; None for the whole utterance.
        **augmentation: ESPnet's ``rir_scp``, ``rir_apply_prob``, ``noise_info``,
            ``noise_apply_prob`` and ``short_noise_thres``; noise and impulse responses
            are at 16 kHz.
    """

    def __init__(
        self,
        train: bool,
        spk2utt: str | None = None,
        target_duration: float | None = None,
        **augmentation: Any,
    ):
        if train:
            self.speakers = read_spk2utt(spk2utt)
        super().__init__(
            train,
            target_duration=target_duration or 0.0,
            spk2utt=spk2utt,
            **{
                "rir_apply_prob": 0.0,
                "noise_apply_prob": 0.0,
                "noise_info": (),
                **augmentation,
            },
        )
        if train and (self.rir_apply_prob > 0 or self.noise_apply_prob > 0):
            for path in itertools.chain(self.rirs or [], *(self.noises or [])):
                _check_rate(path)

    def __call__(self, uid: str, data: dict[str, Any]) -> dict[str, np.ndarray]:
        """Return float32 ``speech`` and, in training, int64 ``spk_labels`` (1,).

        Raises:
            UserError: The speaker is not in ``spk2utt``.
        """
        if not self.train:
            return {"speech": scale_waveform(data["speech"])}
        label = self._class_of(uid, data["spk_labels"])
        return {
            "speech": self.prepare_speech(data["speech"]),
            "spk_labels": np.array([label], dtype=np.int64),
        }

    def prepare_speech(self, speech: np.ndarray) -> np.ndarray:
        """Scale, crop and augment one training utterance."""
        speech = scale_waveform(speech)
        if self.target_duration:
            speech = self._crop(speech)
        if self.noise_apply_prob > 0 or self.rir_apply_prob > 0:
            speech = self._apply_data_augmentation(speech)
        return speech.astype(np.float32, copy=False)

    def _crop(self, speech: np.ndarray) -> np.ndarray:
        """Cut out ``target_duration``; repeat a shorter utterance first.

        The same as ``SpkPreprocessor._speech_process``, which fails with numpy 2.4
        because it uses a one-element array as a number.
        """
        missing = self.target_duration - len(speech)
        if missing > 0:
            speech = np.pad(speech, (0, missing + 1), "wrap")
        start = int(random.random() * (len(speech) - self.target_duration))
        return speech[start : start + self.target_duration]

    def _class_of(self, uid: str, speaker: str) -> int:
        if speaker not in self.spk2label:
            raise UserError(
                f"Utterance {uid} is by the speaker {speaker}, who is not in the "
                "training's spk2utt: make spk2utt from the same utt2spk."
            )
        return self.spk2label[speaker]


def _check_rate(path: str | None) -> None:
    """Refuse noise and impulse responses of another rate, which ESPnet ignores."""
    if path is None:  # a line that adds nothing
        return
    with foreign(
        f"{path}, of noise_info or rir_scp, cannot be read", "correct its path"
    ):
        rate = soundfile.info(path).samplerate
    if rate != SAMPLE_RATE:
        raise UserError(
            f"{path}, of noise_info or rir_scp, has {rate} Hz: resample it to "
            f"{SAMPLE_RATE} Hz."
        )


class PairPreprocessor(SpeakerPreprocessor):
    """Give every training utterance a partner, half of them of the same speaker.

    A speaker with one utterance gets partners from other speakers only. Draws come from
    numpy's generator, which ESPnet seeds with ``--seed`` and the epoch.

    Args:
        train: Whether the data are for training.
        spk2utt: File of the speakers with all utterances that partners are drawn from.
        data: ESPnet's ``(path, name, type)`` triples of these utterances' data.
        **options: Options of :class:`SpeakerPreprocessor`.

    Raises:
        UserError: ``spk2utt`` has one speaker only, or names an utterance without
            audio.
    """

    def __init__(
        self,
        train: bool,
        spk2utt: str | None = None,
        data: Sequence[tuple[str, str, str]] = (),
        **options: Any,
    ):
        super().__init__(train, spk2utt, **options)
        if not train:
            return
        if len(self.speakers) < 2:
            raise UserError(f"{spk2utt} has one speaker only: pairs need two or more.")
        speech = [tuple(triple) for triple in data if triple[1] == "speech"]
        utts = {utt for utts in self.speakers.values() for utt in utts}
        for wav_scp, *_ in speech:
            missing = utts - read_table(wav_scp).keys()
            if missing:
                raise UserError(
                    f"{spk2utt} names the utterance {min(missing)}, which is not in "
                    f"{wav_scp}: make both from the same utterances."
                )
        self.dataset = SpeechDataset(speech)
        self.names = list(self.speakers)

    def __call__(self, uid: str, data: dict[str, Any]) -> dict[str, np.ndarray]:
        """Return ``speech``, ``speech2`` and ``spk_labels`` (1,), 1 for one speaker."""
        if not self.train:
            return super().__call__(uid, data)
        speaker = self._class_of(uid, data["spk_labels"])
        partner, is_same = self._draw_partner(uid, speaker)
        return {
            "speech": self.prepare_speech(data["speech"]),
            "speech2": self.prepare_speech(self.dataset[partner][1]["speech"]),
            "spk_labels": np.array([is_same], dtype=np.int64),
        }

    def _draw_partner(self, uid: str, speaker: int) -> tuple[str, bool]:
        own = [utt for utt in self.speakers[self.names[speaker]] if utt != uid]
        if own and np.random.random() < 0.5:
            return own[np.random.randint(len(own))], True
        other = np.random.randint(len(self.names) - 1)
        utts = self.speakers[self.names[other + (other >= speaker)]]
        return utts[np.random.randint(len(utts))], False
