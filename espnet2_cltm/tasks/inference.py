"""What inference commands share: options, model, utterances, waveforms, batches.

Options are named as in ESPnet's inference commands. Batches depend on the lengths
of the waveforms and ``--batch_bins`` alone, so that a command and an experiment give
the same numbers to the last bit.
"""

import argparse
import tempfile
from collections.abc import Callable, Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import numpy as np
import torch
from espnet2.train.abs_espnet_model import AbsESPnetModel
from espnet2.utils import config_argparse
from espnet2.utils.types import str2triple_str, str_or_none

from espnet2_cltm.corpus.audio import MIN_SAMPLES, OVERSHOOT
from espnet2_cltm.corpus.datadir import read_table
from espnet2_cltm.devices import check_gpus
from espnet2_cltm.errors import UserError, foreign
from espnet2_cltm.progress import progress
from espnet2_cltm.registry import find_task
from espnet2_cltm.tasks.espnet import AbsTask
from espnet2_cltm.tasks.model_files import find_packed_model, load_model
from espnet2_cltm.tasks.parts import scale_waveform
from espnet2_cltm.tasks.speech_data import SpeechDataset

Key = TypeVar("Key", bound=Hashable)
Pretrained = TypeVar("Pretrained", bound="PretrainedModel")


def length_batches(
    num_samples: Mapping[Key, int], batch_bins: int, equal_lengths: bool = False
) -> list[list[Key]]:
    """Cut utterances, sorted by length, into batches of bounded padded size.

    Args:
        num_samples: Length of each utterance in samples, by sortable keys.
        batch_bins: Most samples in a batch, padding included; a longer utterance makes
            a batch of its own.
        equal_lengths: Whether a batch holds utterances of one length only.

    Returns:
        Batches of keys; each key of ``num_samples`` is in one batch.
    """
    batches: list[list[Key]] = []
    for key in sorted(num_samples, key=lambda key: (num_samples[key], key)):
        fits = bool(batches) and (
            (len(batches[-1]) + 1) * num_samples[key] <= batch_bins
        )
        if fits and equal_lengths:
            fits = num_samples[batches[-1][0]] == num_samples[key]
        if fits:
            batches[-1].append(key)
        else:
            batches.append([key])
    return batches


def inference_parser(description: str) -> argparse.ArgumentParser:
    """Return a parser with the options of all inference commands but ``--key_file``."""
    parser = config_argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--log_level", default="INFO", type=str.upper)
    parser.add_argument("--output_dir", required=True)
    parser.add_argument(
        "--ngpu", type=int, default=0, help="number of GPUs; 0, the default, is the CPU"
    )
    parser.add_argument(
        "--batch_bins",
        type=int,
        default=480_000,
        help="most samples in a batch, padding included (default: %(default)s)",
    )
    parser.add_argument(
        "--data_path_and_name_and_type",
        type=str2triple_str,
        required=True,
        action="append",
        help="wav.scp,speech,kaldi_ark or wav.scp,speech,sound; resampled to 16 kHz",
    )
    group = parser.add_argument_group("The model: two files of a training, or one tag")
    group.add_argument(
        "--train_config", type=str_or_none, help="config.yaml of the training"
    )
    group.add_argument(
        "--model_file", type=str_or_none, help="weights, such as latest.pth"
    )
    group.add_argument(
        "--model_tag",
        type=str_or_none,
        help="run whose model was kept, exp/<tag>/runs/<run>, its model.zip, or the id "
        "of a repository on the Hugging Face hub that holds one",
    )
    group.add_argument(
        "--language",
        type=str_or_none,
        help="with --model_tag, test language whose checkpoint is taken",
    )
    return parser


class PretrainedModel:
    """Base of the classes that apply a trained model to one recording after another.

    Args:
        train_config: ``config.yaml`` of a training.
        model_file: Weights of that training.
        device: ``cpu`` or ``cuda``.
        model_tag: Kept model, in place of both files; see :meth:`from_pretrained`.
        language: With ``model_tag``, test language whose checkpoint is taken, where
            there are several.

    Raises:
        UserError: The model is not available or is another task's, or no model or two
            models are named.
    """

    task: ClassVar[type[AbsTask]]

    def __init__(
        self,
        train_config: Path | str | None = None,
        model_file: Path | str | None = None,
        device: str = "cpu",
        *,
        model_tag: Path | str | None = None,
        language: str | None = None,
    ):
        model = _load_chosen(self.task, train_config, model_file, model_tag, language)
        self.model: Any = model.to(device).eval()
        self.device = device

    @classmethod
    def from_pretrained(
        cls: type[Pretrained], model_tag: Path | str | None = None, **kwargs: Any
    ) -> Pretrained:
        """Load a model that an experiment has kept (``--keep_models``).

        Args:
            model_tag: Run's directory, its ``model.zip``, or id of a repository on the
                Hugging Face hub that holds one.
            **kwargs: Arguments of the class.

        Raises:
            UserError: The model is not available.
        """
        return cls(model_tag=model_tag, **kwargs)

    @classmethod
    def from_options(cls: type[Pretrained], args: argparse.Namespace) -> Pretrained:
        """Load the model that a command's options name, see :func:`inference_parser`.

        Raises:
            UserError: The model or the GPU is not available.
        """
        check_gpus(args.ngpu)
        return cls(
            args.train_config,
            args.model_file,
            "cuda" if args.ngpu > 0 else "cpu",
            model_tag=args.model_tag,
            language=args.language,
        )


def _load_chosen(
    task: type[AbsTask],
    train_config: Path | str | None,
    model_file: Path | str | None,
    model_tag: Path | str | None,
    language: str | None,
) -> AbsESPnetModel:
    """Build the model that the options name, on the CPU."""
    if model_tag is None:
        if language is not None:
            raise UserError(
                f"language {language!r} is given without model_tag: leave it out, as "
                "model_file names the weights."
            )
        if train_config is None or model_file is None:
            raise UserError(
                "No model is named: give train_config and model_file, or model_tag."
            )
        return load_model(task, train_config, model_file)
    if train_config is not None or model_file is not None:
        raise UserError(
            "Two models are named: give either model_tag, or train_config and "
            "model_file."
        )
    packed = find_packed_model(model_tag)
    if find_task(packed.task).code().ESPNET_TASK is not task:
        raise UserError(
            f"{packed.path} is a model of the task {packed.task}, not one that "
            f"{task.train_command} trains: give a run of another task."
        )
    with tempfile.TemporaryDirectory() as directory:
        return load_model(task, **packed.extract(directory, language))


def usable_waveform(speech: np.ndarray | torch.Tensor) -> np.ndarray:
    """Check a waveform and convert it to the form that models take.

    Args:
        speech: (samples,) waveform at 16 kHz, floats in [-1, 1) or 16-bit integers.

    Returns:
        (samples,) float32 waveform.

    Raises:
        UserError: It has several channels, is too short, or holds NaN or infinity.
    """
    if isinstance(speech, torch.Tensor):
        speech = speech.detach().cpu().numpy()
    waveform = scale_waveform(np.asarray(speech))
    if problem := _problem_of(waveform):
        raise UserError(f"The waveform {problem}: give another.")
    return waveform


def _problem_of(waveform: np.ndarray) -> str | None:
    if waveform.ndim != 1:
        return f"has the shape {waveform.shape}, not that of one channel, (samples,)"
    if len(waveform) < MIN_SAMPLES:
        return f"has {len(waveform)} samples, fewer than {MIN_SAMPLES}"
    if not np.isfinite(waveform).all():
        return "holds NaN or infinity"
    peak = float(np.abs(waveform).max())
    return f"reaches {peak:.4g} and not 1" if peak > OVERSHOOT else None


def add_key_file(group: argparse._ActionsContainer) -> None:
    """Add ``--key_file``, which chooses utterances."""
    group.add_argument(
        "--key_file",
        type=str_or_none,
        help="file whose first column holds the ids of the utterances to take",
    )


class UtteranceReader:
    """Reader of the utterances of ``--data_path_and_name_and_type``.

    Args:
        data: ``(path, name, type)`` triples of the option.

    Raises:
        UserError: None of them is ``speech``, or its file cannot be read.
    """

    def __init__(self, data: Sequence[tuple[str, str, str]]):
        speech = [triple for triple in data if triple[1] == "speech"]
        if not speech:
            raise UserError(
                "--data_path_and_name_and_type names no 'speech': give "
                "wav.scp,speech,sound or wav.scp,speech,kaldi_ark."
            )
        self.wav_scp = speech[0][0]
        self.utts = tuple(read_table(self.wav_scp))
        with foreign(
            f"{self.wav_scp} is not a list of type {speech[0][2]}",
            "correct it, or the type in --data_path_and_name_and_type",
        ):
            self._dataset = SpeechDataset(speech)

    def choose(self, key_file: str | None) -> list[str]:
        """Return the ids in a key file's first column, or all ids where there is none.

        Raises:
            UserError: The file cannot be read, is empty, or names another utterance.
        """
        utts = list(self.utts if key_file is None else read_table(key_file))
        if not utts:
            raise UserError(
                f"{key_file or self.wav_scp} is empty: give the utterances' ids."
            )
        self.require(utts, key_file)
        return utts

    def require(self, utts: Sequence[str], named_by: str | None) -> None:
        """Check that utterances have audio.

        Args:
            utts: Utterance ids.
            named_by: File that names them, for the message.

        Raises:
            UserError: One of them has no audio.
        """
        missing = set(utts).difference(self.utts)
        if missing:
            raise UserError(
                f"Utterance {min(missing)} of {named_by} is not in {self.wav_scp}: "
                "remove it or add its audio."
            )

    def read(self, utt: str) -> np.ndarray:
        """Read an utterance.

        Returns:
            (samples,) float32 waveform in [-1, 1) at 16 kHz.

        Raises:
            UserError: The audio cannot be read, is too short, or holds NaN or infinity.
        """
        try:
            waveform = scale_waveform(self._dataset[utt][1]["speech"])
        except (OSError, ValueError, RuntimeError) as error:
            problem: str | None = f"cannot be read ({error})"
        else:
            problem = _problem_of(waveform)
        if problem:
            raise UserError(
                f"The audio of utterance {utt} in {self.wav_scp} {problem}: correct "
                "its line, or take the utterance out."
            )
        return waveform

    def count_samples(self, utts: Sequence[str]) -> dict[str, int]:
        """Return the lengths of utterances, in samples."""
        return {
            utt: len(self.read(utt))
            for utt in progress(utts, description="Reading lengths", unit="utt")
        }

    def read_with_progress(
        self, utts: Sequence[str], description: str
    ) -> Callable[[str], np.ndarray]:
        """Return :meth:`read` with a progress bar.

        Args:
            utts: Utterances that will be read, each once.
            description: Label of the bar.
        """
        bar = progress(description=description, total=len(utts), unit="utt")

        def read(utt: str) -> np.ndarray:
            waveform = self.read(utt)
            bar.update()
            if bar.n == bar.total:
                bar.close()
            return waveform

        return read
