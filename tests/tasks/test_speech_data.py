"""What a file states is honoured, whatever the type, and nothing of it is run."""

import pickle
import struct
from pathlib import Path

import kaldiio
import numpy as np
import pytest
import soundfile
from espnet2.train.distributed_utils import DistributedOption

from espnet2_cltm.corpus.audio import decode_recording
from espnet2_cltm.errors import UserError
from espnet2_cltm.tasks.espnet import CommonCollateFn, Trainer
from espnet2_cltm.tasks.inference import UtteranceReader
from espnet2_cltm.tasks.speech_data import (
    IterableSpeechDataset,
    SpeechDataset,
    SpeechTask,
)

TONE = 0.5 * np.sin(2 * np.pi * 440 * np.arange(48000) / 48000)


def write_sound(directory, rate, name, **options):
    path = directory / name
    soundfile.write(path, TONE[:: 48000 // rate], rate, **options)
    return str(path)


def write_ark(directory, rate, samples, **options):
    ark, scp = directory / "a.ark", directory / "ark.scp"
    kaldiio.save_ark(str(ark), {"utt": (rate, samples)}, scp=str(scp), **options)
    return scp.read_text().split()[1]


def int16(rate):
    return np.rint(TONE[:: 48000 // rate] * 32767).astype(np.int16)


WRITERS = {
    "WAV": ("sound", lambda d, r: write_sound(d, r, "a.wav")),
    "FLAC": ("sound", lambda d, r: write_sound(d, r, "a.flac", subtype="PCM_24")),
    "float WAV": ("sound", lambda d, r: write_sound(d, r, "a.wav", subtype="DOUBLE")),
    "AIFF": ("sound", lambda d, r: write_sound(d, r, "a.aiff")),
    "pipe": ("kaldi_ark", lambda d, r: f"cat {write_sound(d, r, 'a.wav')} |"),
    "ark": ("kaldi_ark", lambda d, r: write_ark(d, r, int16(r))),
    "ark of 8 bits": (
        "kaldi_ark",
        lambda d, r: write_ark(d, r, (int16(r) // 256 + 128).astype(np.uint8)),
    ),
    "FLAC ark": (
        "kaldi_ark",
        lambda d, r: write_ark(
            d, r, int16(r), write_function="soundfile", write_kwargs={"format": "flac"}
        ),
    ),
    "WAV as ark": ("kaldi_ark", lambda d, r: write_sound(d, r, "a.wav")),
    "two columns": (
        "multi_columns_sound",
        lambda d, r: f"{write_sound(d, r, 'a.wav')} {write_sound(d, r, 'b.flac')}",
    ),
    "variable columns": (
        "variable_columns_sound",
        lambda d, r: write_sound(d, r, "a.wav"),
    ),
}


def triple(directory, audio, kind, name="speech"):
    (directory / "wav.scp").write_text(f"utt {audio}\n")
    return (str(directory / "wav.scp"), name, kind)


@pytest.mark.parametrize("rate", [8000, 16000, 48000])
@pytest.mark.parametrize(("kind", "write"), WRITERS.values(), ids=WRITERS)
def test_every_type_gives_the_same_speech_at_16_khz(tmp_path, kind, write, rate):
    data = triple(tmp_path, write(tmp_path, rate), kind)
    waveform = UtteranceReader([data]).read("utt")
    (_, streamed) = next(iter(IterableSpeechDataset([data])))
    assert waveform.dtype == np.float32
    assert np.array_equal(waveform, streamed["speech"])
    assert len(waveform) == 16000
    middle = slice(1000, 15000)
    assert np.abs(waveform[middle] - TONE[::3][middle]).max() < 0.01


def test_other_data_are_read_by_espnet(tmp_path):
    targets = np.arange(9, dtype=np.int32)
    kaldiio.save_ark(
        str(tmp_path / "t.ark"), {"utt": targets}, scp=str(tmp_path / "t.scp")
    )
    data = [
        triple(tmp_path, write_sound(tmp_path, 16000, "a.wav"), "sound"),
        (str(tmp_path / "t.scp"), "target", "kaldi_ark"),
    ]
    for read in (
        SpeechDataset(data)["utt"][1],
        next(iter(IterableSpeechDataset(data)))[1],
    ):
        assert np.array_equal(read["target"], targets)
        assert len(read["speech"]) == 16000


def test_tasks_build_their_iterators_over_it(tmp_path):
    class Task(SpeechTask):
        num_optimizers = 1
        trainer = Trainer

        @classmethod
        def add_task_arguments(cls, parser):
            pass

        @classmethod
        def build_collate_fn(cls, args, train):
            return CommonCollateFn()

        @classmethod
        def build_preprocess_fn(cls, args, train):
            return None

        @classmethod
        def required_data_names(cls, train=True, inference=False):
            return ("speech",)

        @classmethod
        def optional_data_names(cls, train=True, inference=False):
            return ()

    data = triple(tmp_path, write_sound(tmp_path, 48000, "a.wav"), "sound")
    (tmp_path / "shape").write_text("utt 16000\n")
    args = Task.get_parser().parse_args(
        [
            *("--train_data_path_and_name_and_type", ",".join(data)),
            *("--train_shape_file", str(tmp_path / "shape")),
            *("--batch_type", "unsorted", "--batch_size", "1", "--num_workers", "0"),
            *("--output_dir", str(tmp_path)),
        ]
    )
    factory = Task.build_iter_factory(args, DistributedOption(), "train")
    streamed = Task.build_streaming_iterator(
        [data], None, CommonCollateFn(), num_workers=0, dtype="float32"
    )
    for batches in (factory.build_iter(1), streamed):
        ((utts, batch),) = batches
        assert list(utts) == ["utt"]
        assert batch["speech"].shape == (1, 16000)


class Trap:
    """Touches a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (Path.touch, (self.path,))


@pytest.mark.parametrize("name", ["speech", "target"])
@pytest.mark.parametrize(
    "read",
    [
        lambda data: SpeechDataset(data)["utt"],
        lambda data: next(iter(IterableSpeechDataset(data))),
    ],
    ids=["by utterance", "line by line"],
)
def test_nothing_in_an_ark_is_unpickled(tmp_path, name, read):
    pickled = pickle.dumps(Trap(tmp_path / "ran"))
    (tmp_path / "a.ark").write_bytes(b"utt PKL" + pickled)
    data = triple(tmp_path, f"{tmp_path}/a.ark:4", "kaldi_ark", name)
    with pytest.raises(UserError, match=r"not audio|a pickle"):
        read([data])
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("audio", ["touch {}/ran |", "| touch {}/ran"])
def test_no_command_gives_a_matrix(tmp_path, audio):
    data = triple(tmp_path, audio.format(tmp_path), "kaldi_ark", "target")
    with pytest.raises(UserError, match=r"utt is not a matrix .*a command"):
        SpeechDataset([data])["utt"]
    assert not (tmp_path / "ran").exists()


def test_a_command_in_an_audio_store_is_not_run(tmp_path):
    audio = f"touch {tmp_path}/ran; cat {write_sound(tmp_path, 16000, 'a.wav')} |"
    data = triple(tmp_path, audio, "kaldi_ark")
    (tmp_path / ".fingerprint").touch()
    with pytest.raises(UserError, match=r"utterance utt in .* is a command"):
        UtteranceReader([data]).read("utt")
    assert not (tmp_path / "ran").exists()


UNUSABLE = {
    "in 16-bit scale": (TONE * 32767, "beyond full scale"),
    "not a number": (np.full(16000, np.nan), "non-finite samples"),
    "too short": (TONE[:300], "fewer than 400"),
}


@pytest.mark.parametrize(("samples", "message"), UNUSABLE.values(), ids=UNUSABLE)
def test_unusable_speech_is_named_with_its_utterance(tmp_path, samples, message):
    soundfile.write(tmp_path / "a.wav", samples, 16000, subtype="FLOAT")
    data = triple(tmp_path, f"{tmp_path}/a.wav", "sound")
    with pytest.raises(UserError, match=f"utterance utt in .*{message}"):
        UtteranceReader([data]).read("utt")


def test_a_matrix_states_no_rate(tmp_path):
    scp = tmp_path / "wav.scp"
    kaldiio.save_ark(
        str(tmp_path / "a.ark"), {"utt": TONE.astype(np.float32)}, scp=str(scp)
    )
    with pytest.raises(UserError, match="states no sampling rate"):
        UtteranceReader([(str(scp), "speech", "kaldi_ark")]).read("utt")


def test_a_cut_file_is_named(tmp_path):
    path = write_sound(tmp_path, 16000, "a.wav")
    content = bytearray(Path(path).read_bytes())
    struct.pack_into("<I", content, 4, len(content) + 992)
    struct.pack_into("<I", content, 40, len(content) + 956)
    Path(path).write_bytes(content)
    with pytest.raises(UserError, match="truncated"):
        UtteranceReader([triple(tmp_path, path, "sound")]).read("utt")
    assert len(decode_recording(write_sound(tmp_path, 16000, "a.wav")).samples) == 16000
