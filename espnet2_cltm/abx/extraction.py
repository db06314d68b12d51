"""Features of an encoder's layers, of log-mel, and of the same encoder untrained.

Nothing else of ABX needs torch. Frames go to files, a file a layer, so that memory
holds one layer at a time.
"""

import math
import shutil
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from espnet2_cltm.abx.features import LOG_MEL, NORMALISED, RANDOM, Frames
from espnet2_cltm.corpus.audio import SAMPLE_RATE, load_audio
from espnet2_cltm.errors import UserError
from espnet2_cltm.files import read_json, write_json
from espnet2_cltm.frontend.checkpoint import describe_encoder, load_encoder
from espnet2_cltm.frontend.families import windows
from espnet2_cltm.frontend.hubert import HubertFrontend
from espnet2_cltm.frontend.log_mel import log_energies, log_mel
from espnet2_cltm.progress import progress

_MEL_RATE = 100.0
_FILTERBANKS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    LOG_MEL: log_energies,
    NORMALISED: lambda waveform: log_mel(waveform, stacked=1),
}


@dataclass(frozen=True)
class Source:
    """Where features come from.

    Attributes:
        layers: Numbers of its layers: 0 enters the first, k leaves the k-th.
        rate: Frames a second.
        compute: Function from a (samples,) float32 waveform at 16 kHz to the (frames,
            size) features of every layer.
    """

    layers: tuple[int, ...]
    rate: float
    compute: Callable[[np.ndarray], list[np.ndarray]]


def open_source(
    kind: str, model: str, layers: tuple[int, ...] | None, device: str, seed: int
) -> Source:
    """Return a source of features.

    Args:
        kind: :data:`.MODEL`; :data:`.RANDOM`, the same encoder with random weights;
            :data:`.LOG_MEL` or :data:`.NORMALISED`.
        model: Encoder, as :func:`.load_encoder` takes it.
        layers: Numbers of layers; None for all.
        device: Device that computes.
        seed: Seed of random weights.

    Raises:
        UserError: The encoder is not available, or lacks a layer.
    """
    if kind in _FILTERBANKS:
        bands = _FILTERBANKS[kind]
        return Source((0,), _MEL_RATE, lambda w: [bands(torch.from_numpy(w)).numpy()])
    described: str | dict = model
    if kind == RANDOM:
        checkpoint = load_encoder(model)
        config = checkpoint.model.config
        described = describe_encoder(config, checkpoint.normalize_waveform)
        described["init_seed"] = seed
    frontend = HubertFrontend(described).to(device).eval()
    config = frontend.hubert.config
    depth = config.num_hidden_layers
    chosen = tuple(range(depth + 1)) if layers is None else layers
    if max(chosen) > depth:
        raise UserError(
            f"{model} has no layer {max(chosen)}: give --layer from 0 to {depth}."
        )

    @torch.inference_mode()
    def compute(waveform: np.ndarray) -> list[np.ndarray]:
        batch = torch.from_numpy(waveform)[None].to(device)
        states, n_frames = frontend.hidden_states(batch, torch.tensor([len(waveform)]))
        return [states[k][0, : int(n_frames[0])].cpu().numpy() for k in chosen]

    shift = math.prod(stride for _, stride in windows(config))
    return Source(chosen, SAMPLE_RATE / shift, compute)


def extract(
    source: Source,
    layers: Iterable[int],
    audio: Mapping[str, str],
    directory: Path,
    description: str,
) -> None:
    """Compute the features of files, and write those of some layers.

    What an interrupted call has left is computed again; what is complete is not.

    Args:
        source: The source.
        layers: Layers to write.
        audio: Location of each file's audio.
        directory: Directory that gets ``<layer>.f32`` and, last, ``index.json``.
        description: What the progress bar says.

    Raises:
        UserError: Audio cannot be read, or is too short.
    """
    layers = list(layers)
    index = directory / "index.json"
    files = sorted(audio)
    if index.exists():
        there = read_json(index, f"delete {directory}")
        if there["files"] == files and set(layers) <= set(there["layers"]):
            return
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    n_frames, size = [], 0
    with ExitStack() as stack:
        opened = {
            layer: stack.enter_context((directory / f"{layer}.f32").open("wb"))
            for layer in layers
        }
        for file in progress(files, description=description, unit="utt"):
            states = source.compute(load_audio(audio[file]))
            n_frames.append(len(states[0]))
            size = states[0].shape[1]
            for layer, values in zip(source.layers, states, strict=True):
                if layer in opened:
                    opened[layer].write(np.ascontiguousarray(values, np.float32).data)
    content = {"files": files, "n_frames": n_frames, "size": size, "layers": layers}
    write_json(index, content)


def read_layer(name: str, directory: Path, layer: int, rate: float) -> Frames:
    """Read the features of a layer that :func:`extract` wrote.

    Args:
        name: What messages call them.
        directory: Its directory.
        layer: Number of the layer.
        rate: Frames a second.
    """
    index = read_json(directory / "index.json", f"delete {directory}")
    values = np.fromfile(directory / f"{layer}.f32", np.float32)
    begins = np.concatenate([[0], np.cumsum(index["n_frames"])]).tolist()
    return Frames(
        name,
        values.reshape(-1, index["size"]),
        dict(zip(index["files"], begins, strict=False)),
        dict(zip(index["files"], index["n_frames"], strict=True)),
        rate,
    )
