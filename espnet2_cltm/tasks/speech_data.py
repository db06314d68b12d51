"""Speech as ESPnet's commands name it, ``path,name,type``, read as stage 2 reads it.

ESPnet's readers drop the sampling rate that a file states, leave each type in a scale
of its own, run what a ``wav.scp`` holds and unpickle what an ark holds. Here the speech
of every type that states a rate comes out as float32 at 16 kHz in [-1, 1), channels
averaged; everything else is read by ESPnet.
"""

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import kaldiio
import numpy as np

from espnet2_cltm.corpus.audio import RejectedAudio, read_audio
from espnet2_cltm.corpus.audio_places import parse_audio
from espnet2_cltm.corpus.datadir import read_table
from espnet2_cltm.corpus.stored import is_store
from espnet2_cltm.errors import UserError
from espnet2_cltm.tasks import espnet
from espnet2_cltm.tasks.espnet import ESPnetDataset, IterableESPnetDataset

ONE_FILE = ("sound", "kaldi_ark")
"""ESPnet's types where a line of ``wav.scp`` names one recording."""

SEVERAL_FILES = ("multi_columns_sound", "variable_columns_sound")
"""ESPnet's types where it names a file for each channel."""

_Triples = Collection[tuple[str, ...]]


def _is_speech(name: str, kind: str) -> bool:
    return name.endswith("speech") and kind in (*ONE_FILE, *SEVERAL_FILES)


class _Reader(Mapping[str, np.ndarray]):
    """What a Kaldi table names, by utterance."""

    def __init__(self, scp: Path | str):
        self._scp = Path(scp)
        self._places = read_table(scp)

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)


class SpeechReader(_Reader):
    """Waveforms by utterance.

    Args:
        wav_scp: The list; commands in it are run unless it is of an audio store.
        kind: One of ESPnet's types of audio.

    Raises:
        UserError: The list cannot be read.
    """

    def __init__(self, wav_scp: Path | str, kind: str):
        super().__init__(wav_scp)
        self._has_columns = kind in SEVERAL_FILES
        self._allow_pipes = not is_store(self._scp.parent)

    def __getitem__(self, utt: str) -> np.ndarray:
        """Return a waveform, float32 [n_samples] in [-1, 1) at 16 kHz.

        Raises:
            UserError: The audio cannot be used.
        """
        audio = self._places[utt]
        try:
            files = audio.split() if self._has_columns else [audio]
            waveforms = [read_audio(file, self._allow_pipes) for file in files]
        except (RejectedAudio, UserError) as error:
            raise UserError(
                f"The audio of utterance {utt} in {self._scp} cannot be read: "
                f"{str(error).rstrip('.')}. Correct its line, or take the utterance "
                "out."
            ) from error
        if len({len(waveform) for waveform in waveforms}) > 1:
            raise UserError(
                f"The audio of utterance {utt} in {self._scp} has channels of "
                "different lengths: correct its line, or take the utterance out."
            )
        return waveforms[0] if len(waveforms) == 1 else np.mean(waveforms, axis=0)


class _MatrixReader(_Reader):
    """Matrices and vectors by utterance; no command is run and nothing unpickled."""

    def __getitem__(self, utt: str) -> np.ndarray:
        place = parse_audio(self._places[utt])
        try:
            if place.is_pipe:
                raise ValueError("a command")
            with open(place.path, "rb") as ark:
                ark.seek(place.offset or 0)
                if ark.read(3) == b"PKL":
                    raise ValueError("a pickle")
            value = kaldiio.load_mat(self._places[utt])
        except Exception as error:  # kaldiio's are of any type
            raise UserError(
                f"{self._scp}: {utt} is not a matrix in an ark ({error}): correct its "
                "line, or make the file anew."
            ) from error
        return value[1] if isinstance(value, tuple) else value


class SpeechDataset(ESPnetDataset):
    """ESPnet's dataset with such speech.

    Args:
        path_name_type_list: ESPnet's triples; speech is what has a name that ends so.
        **options: Options of ESPnet's dataset.
    """

    def __init__(self, path_name_type_list: _Triples, **options: Any):
        self._speech = {
            (path, kind)
            for path, name, kind in path_name_type_list
            if _is_speech(name, kind)
        }
        super().__init__(path_name_type_list, **options)

    def _build_loader(self, path: str, loader_type: str, *others: Any) -> Any:
        if (path, loader_type) in self._speech:
            return SpeechReader(path, loader_type)
        if loader_type == "kaldi_ark":
            return _MatrixReader(path)
        return super()._build_loader(path, loader_type, *others)


class IterableSpeechDataset(IterableESPnetDataset):
    """ESPnet's dataset for statistics, with such speech.

    Args:
        path_name_type_list: ESPnet's triples.
        **options: Options of ESPnet's dataset.
    """

    path_name_type_list: list[Any]

    def __init__(self, path_name_type_list: _Triples, **options: Any):
        super().__init__(path_name_type_list, **options)
        # What ESPnet reads line by line, but for speech and arks.
        lines = [
            (path, name, kind)
            for path, name, kind in self.path_name_type_list
            if not _is_speech(name, kind) and kind != "kaldi_ark"
        ]
        by_utterance = [one for one in path_name_type_list if one not in lines]
        if by_utterance:
            self.path_name_type_list = lines
            self.non_iterable_dataset = SpeechDataset(by_utterance)


class SpeechTask(espnet.AbsTask):
    """ESPnet's task interface, with such speech."""

    @classmethod
    def build_iter_factory(cls, *args: Any, **kwargs: Any) -> Any:
        """Build ESPnet's iterator over :class:`SpeechDataset`."""
        with _reading_speech():
            return super().build_iter_factory(*args, **kwargs)

    @classmethod
    def build_streaming_iterator(cls, *args: Any, **kwargs: Any) -> Any:
        """Build ESPnet's loader over :class:`IterableSpeechDataset`."""
        with _reading_speech():
            return super().build_streaming_iterator(*args, **kwargs)

    @classmethod
    def main_worker(cls, args: Any) -> None:
        """Do what the command line says; what a worker refuses is one sentence."""
        try:
            super().main_worker(args)
        except UserError as error:
            # torch puts the trace of a worker of its loader in front.
            name = f"{UserError.__module__}.{UserError.__name__}: "
            raise UserError(str(error).rpartition(name)[2].strip()) from error


@contextmanager
def _reading_speech() -> Iterator[None]:
    """Let ESPnet build these datasets, as it names its own where it builds them."""
    with mock.patch.multiple(
        espnet.abs_task,
        ESPnetDataset=SpeechDataset,
        IterableESPnetDataset=IterableSpeechDataset,
    ):
        yield
