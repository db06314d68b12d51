"""What a run did to each layer of its encoder (``--layers true``).

Right after its tests, the run's encoder and the pretrained one hear a sample of the
task's test utterances, the same for all runs, and every hidden state is measured:

* ``cka_pretrained``: its CKA (:mod:`.similarity`) with the pretrained encoder's, on the
  utterances of a language that the run is trained on;
* ``task_probe`` and ``language_probe``: how well a linear probe (:mod:`.probes`) reads
  the task's label and the language off the means over time, on utterances of all
  languages; beside them the pretrained encoder's;
* ``weight``: its share in the frontend's learned weighted sum, where there is one.

All this stands in ``metrics.json``. The views of the layers in ``layers.npz`` let stage
5 compare them with those of other runs. Nothing is drawn at random and nothing trained
on, so that results are the same with and without.

Of a language that a run is trained on, the checkpoint is measured that is tested on it.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from espnet2_cltm.corpus.audio import SAMPLE_RATE, load_audio
from espnet2_cltm.experiment.layer_sample import (
    MOST_SECONDS,
    Sample,
    hash_order,
    read_sample,
    tells_speakers,
)
from espnet2_cltm.experiment.layout import ExperimentDir
from espnet2_cltm.experiment.plan import Run
from espnet2_cltm.experiment.probes import N_FOLDS, probe_accuracy
from espnet2_cltm.experiment.settings import Settings
from espnet2_cltm.experiment.similarity import linear_cka, view
from espnet2_cltm.experiment.strategies import config_of_run
from espnet2_cltm.files import replacing
from espnet2_cltm.frontend.hubert import HubertFrontend
from espnet2_cltm.tasks.inference import length_batches

N_FRAMES = 128  # of each language
DIGITS = 6
# Options of the frontend that leave its layers as they were pretrained.
_NO_EFFECT = ("layers", "num_layers", "freeze", "freeze_layers", "reuse_frozen")


@dataclass(frozen=True)
class Encoded:
    """A language's utterances in all hidden states of an encoder.

    Attributes:
        means: (states, utterances, size) means over time.
        views: (states, ...) views of some of the frames.
    """

    means: np.ndarray
    views: np.ndarray


def measure_layers(
    directory: ExperimentDir,
    settings: Settings,
    run: Run,
    model_for: Callable[[str], tuple[int, Any]],
) -> dict[str, Any]:
    """Measure the layers of a trained run, and write their views.

    Args:
        directory: The experiment.
        settings: Its settings.
        run: The run.
        model_for: Function from a language to the epoch and the model, in that epoch's
            state, that are tested on it.

    Returns:
        What ``metrics.json`` records: measures of each hidden state, the lowest first,
        by language and name; empty where the frontend is not a HuBERT.
    """
    started = time.monotonic()
    measured: dict[str, Any] = {}
    views: dict[str, np.ndarray] = {}
    seen: tuple[int, dict[str, Encoded], dict[str, Any]] | None = None
    for lang in run.trained_on:
        epoch, model = model_for(lang)
        frontend = getattr(model, "frontend", None)
        if not isinstance(frontend, HubertFrontend):
            return {}
        sample, before, probes_before = _pretrained(directory, settings, run, frontend)
        if seen is None or seen[0] != epoch:
            encoded = _encode(frontend, sample)
            seen = (epoch, encoded, _probe(encoded, sample))
        _, after, probes = seen
        pairs = zip(before[lang].views, after[lang].views, strict=True)
        measured[lang] = {
            "cka_pretrained": [_rounded(linear_cka(*pair)) for pair in pairs],
            **probes,
            **{f"{name}_pretrained": found for name, found in probes_before.items()},
        }
        if frontend.layers == "weighted":
            shares = torch.softmax(frontend.layer_weights.detach().float(), dim=0)
            measured[lang]["weight"] = [_rounded(x) for x in shares.tolist()]
        # Half precision: CKA is off by some 1e-5.
        views[lang] = after[lang].views.astype(np.float16)
    with replacing(directory.layers(run.name)) as path, path.open("wb") as output:
        np.savez(output, **views)  # type: ignore[arg-type]
    n_utterances = sum(map(len, sample.utterances.values()))
    return {
        "utterances": n_utterances,
        "languages": list(sample.utterances),
        "measures": measured,
        "seconds": round(time.monotonic() - started, 3),
    }


_Pretrained = tuple[Sample, dict[str, Encoded], dict[str, Any]]
_held: dict[tuple, _Pretrained] = {}
"""The pretrained encoder's states, of the last task of this process's runs."""


def _pretrained(
    directory: ExperimentDir, settings: Settings, run: Run, frontend: HubertFrontend
) -> _Pretrained:
    """Return the sample, and what the pretrained encoder makes of it."""
    conf = config_of_run(settings, run).get("frontend_conf") or {}
    options = {k: v for k, v in conf.items() if k not in _NO_EFFECT}
    key = (directory.root.resolve(), run.task, str(options))
    if key not in _held:
        _held.clear()
        sample = read_sample(directory, settings, run.task)
        device = next(frontend.parameters()).device
        encoded = _encode(type(frontend)(**options).to(device), sample)
        _held[key] = sample, encoded, _probe(encoded, sample)
    return _held[key]


@torch.inference_mode()
def _encode(frontend: HubertFrontend, sample: Sample) -> dict[str, Encoded]:
    """Encode the sample, each language by itself, in evaluation mode."""
    was_training = frontend.training
    frontend.eval()
    device = next(frontend.parameters()).device
    found = {}
    for lang, utterances in sample.utterances.items():
        most = int(MOST_SECONDS * SAMPLE_RATE)
        lengths = {k: min(u.num_samples, most) for k, u in enumerate(utterances)}
        # Of each utterance so many frames, evenly over its length.
        n_frames = [len(x) for x in np.array_split(np.empty(N_FRAMES), len(utterances))]
        means: dict[int, np.ndarray] = {}
        frames: dict[int, np.ndarray] = {}
        for batch in length_batches(lengths, sample.batch_bins):
            waveforms = [
                torch.tensor(load_audio(utterances[k].audio)[:most]) for k in batch
            ]
            speech = torch.nn.utils.rnn.pad_sequence(waveforms, batch_first=True)
            n_samples = torch.tensor([len(waveform) for waveform in waveforms])
            states, n_valid = frontend.hidden_states(
                speech.to(device), n_samples.to(device)
            )
            for row, (k, n) in enumerate(zip(batch, n_valid.tolist(), strict=True)):
                valid = torch.stack([state[row, :n].float() for state in states])
                means[k] = valid.mean(dim=1).cpu().numpy()
                at = (torch.arange(n_frames[k]) + 0.5) * n / max(n_frames[k], 1)
                frames[k] = valid[:, at.long().to(device)].cpu().numpy()
        order = range(len(utterances))
        found[lang] = Encoded(
            np.stack([means[k] for k in order], axis=1),
            np.stack([view(x) for x in np.concatenate([*map(frames.get, order)], 1)]),
        )
    frontend.train(was_training)
    return found


def _probe(encoded: Mapping[str, Encoded], sample: Sample) -> dict[str, Any]:
    """Return the accuracies of both probes, by hidden state, where there are any."""
    rows = [
        (lang, u, person)
        for lang, found in sample.utterances.items()
        for u, person in zip(found, sample.people[lang], strict=True)
    ]
    languages = [lang for lang, _, _ in rows]
    labels = [u.label for _, u, _ in rows]
    means = np.concatenate([encoded[lang].means for lang in sample.utterances], axis=1)
    people = [person for _, _, person in rows]
    if tells_speakers([u for _, u, _ in rows]):
        # Every speaker has to be in training: utterances are dealt out.
        of_task = _folds([u.utt for _, u, _ in rows], languages, labels)
        by_person = _folds(people, languages, languages)
    elif all(people):
        of_task = by_person = _folds(people, languages, labels)
    else:
        return {}
    kinds = {
        "task_probe": (labels, of_task, languages),
        "language_probe": (languages, by_person, None),
    }
    found = {}
    for name, of in kinds.items():
        accuracies = [probe_accuracy(features, *of) for features in means]
        if None not in accuracies:
            found[name] = [_rounded(x) for x in accuracies if x is not None]
    return found


def _folds(
    units: Sequence[str], languages: Sequence[str], labels: Sequence[str]
) -> list[int]:
    """Deal units out to folds, those of a label in a language in turns."""
    fold_of: dict[str, int] = {}
    dealt: dict[tuple[str, str], int] = {}
    for unit, *kind in sorted(
        zip(units, languages, labels, strict=True), key=lambda one: hash_order(one[0])
    ):
        if unit not in fold_of:
            turn = dealt.get((kind[0], kind[1]), 0)
            fold_of[unit], dealt[kind[0], kind[1]] = turn % N_FOLDS, turn + 1
    return [fold_of[unit] for unit in units]


def _rounded(value: float) -> float:
    return round(float(value), DIGITS)
