"""Speaker embeddings of utterances, computed in batches of similar length.

An utterance is trimmed, played at each speed, and embedded; the embeddings are
L2-normalised, averaged over the speeds and normalised again. They depend on nothing but
the utterances and ``batch_bins``, to the last bit. On disk they have Kaldi's form,
``embeddings.ark`` and ``embeddings.scp``.
"""

import hashlib
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import kaldiio
import numpy as np
import torch

from espnet2_cltm.corpus.bounded_cache import WaveformCache
from espnet2_cltm.errors import UserError
from espnet2_cltm.files import replacing, write_text
from espnet2_cltm.frontend.batches import batch_of
from espnet2_cltm.speaker.losses import PairMlp
from espnet2_cltm.speaker.model import EmbeddingSettings, SpeakerModel
from espnet2_cltm.speaker.trials import TrialList, cosine_scores
from espnet2_cltm.speaker.waveforms import variants
from espnet2_cltm.tasks.inference import length_batches

# Batches of waveforms held in memory at once: enough to find some of one length.
_BATCHES_HELD = 16

_PAIRS_SCORED = 4096  # at once

_cache = WaveformCache(0)


def cache_waveforms(max_bytes: int) -> None:
    """Keep trimmed and time-stretched waveforms in memory for this process's models.

    Args:
        max_bytes: Most memory to use; 0 to keep nothing.
    """
    global _cache
    _cache = WaveformCache(max_bytes)


@torch.inference_mode()
def embed_utterances(
    model: SpeakerModel,
    num_samples: Mapping[str, int],
    read_waveform: Callable[[str], np.ndarray],
    batch_bins: int,
    device: str = "cpu",
) -> np.ndarray:
    """Embed utterances.

    Args:
        model: Speaker model; its training mode is restored at the end.
        num_samples: Length of each utterance in samples, before trimming.
        read_waveform: Function from an utterance id to its (samples,) float32 waveform
            in [-1, 1).
        batch_bins: Most samples in a batch, padding included.
        device: Device that the model is on.

    Returns:
        (utterances, size) float32 unit vectors, in the order of the sorted ids.
    """
    was_training = model.training
    model.eval()
    settings = model.embedding
    utts = sorted(num_samples)
    row = {utt: index for index, utt in enumerate(utts)}
    sums: np.ndarray | None = None
    at_once = _BATCHES_HELD * batch_bins // len(settings.speeds)
    for held in length_batches(num_samples, at_once):
        waveforms = _prepare(held, read_waveform, settings, model.ignores_padding)
        lengths = {key: len(waveform) for key, waveform in waveforms.items()}
        normalised: dict[tuple[str, int], np.ndarray] = {}
        for batch in length_batches(lengths, batch_bins, not model.ignores_padding):
            embeddings = _embed_batch(model, [waveforms[key] for key in batch], device)
            normalised.update(zip(batch, embeddings, strict=True))
        if sums is None:
            size = len(next(iter(normalised.values())))
            sums = np.zeros((len(utts), size), dtype=np.float32)
        for utt, speed in sorted(normalised):  # the sum depends on the order
            sums[row[utt]] += normalised[utt, speed]
    model.train(was_training)
    if sums is None:
        return np.zeros((0, 0), dtype=np.float32)
    return sums / np.linalg.norm(sums, axis=1, keepdims=True)


def write_embeddings(
    directory: Path | str, utts: Sequence[str], embeddings: np.ndarray
) -> None:
    """Write embeddings as float32 vectors.

    The scp is written last: where it exists, the ark is complete.

    Args:
        directory: Output directory, made if it is missing.
        utts: Utterance ids.
        embeddings: (utts, size) embeddings.

    Raises:
        UserError: An embedding is not finite, or the file system refuses.
    """
    odd = np.flatnonzero(~np.isfinite(embeddings).all(axis=1))
    if len(odd):
        raise UserError(
            f"The embedding of utterance {utts[odd[0]]} is not finite, so the model's "
            "weights are damaged or its training diverged: train it again."
        )
    ark, scp = Path(directory) / "embeddings.ark", Path(directory) / "embeddings.scp"
    scp.unlink(missing_ok=True)
    rows = dict(zip(utts, embeddings.astype(np.float32), strict=True))
    with replacing(ark) as temporary, tempfile.NamedTemporaryFile("r") as listed:
        kaldiio.save_ark(str(temporary), rows, scp=listed.name)
        offsets = [line.rstrip("\n").rpartition(":")[2] for line in listed]
    lines = (f"{utt} {ark}:{at}\n" for utt, at in zip(rows, offsets, strict=True))
    write_text(scp, "".join(lines))


def _prepare(
    utts: Sequence[str],
    read_waveform: Callable[[str], np.ndarray],
    settings: EmbeddingSettings,
    ignores_padding: bool,
) -> dict[tuple[str, int], np.ndarray]:
    """Trim and stretch; return waveforms by utterance and index of the speed."""
    waveforms = {}
    for utt in utts:
        for speed, waveform in enumerate(_variants(read_waveform(utt), settings)):
            if not ignores_padding:
                multiple = settings.length_multiple
                waveform = waveform[: len(waveform) // multiple * multiple or None]
            waveforms[utt, speed] = waveform
    return waveforms


def _variants(
    waveform: np.ndarray, settings: EmbeddingSettings
) -> Sequence[np.ndarray]:
    key = (
        hashlib.blake2b(waveform.tobytes(), digest_size=16).digest(),
        tuple(settings.speeds),
        settings.trim_db,
    )
    return _cache.get(
        key, lambda: variants(waveform, settings.speeds, settings.trim_db)
    )


def _embed_batch(
    model: SpeakerModel, waveforms: Sequence[np.ndarray], device: str
) -> np.ndarray:
    embeddings = model.embed(*batch_of(waveforms, device))
    return torch.nn.functional.normalize(embeddings.float(), dim=1).cpu().numpy()


@torch.inference_mode()
def score_pairs(
    model: SpeakerModel, embeddings: np.ndarray, trials: TrialList
) -> np.ndarray:
    """Score trials as a model does: by its own scorer, or else by the cosine.

    Args:
        model: Speaker model; its training mode is restored at the end.
        embeddings: (utts, size) float32 unit vectors, in the order of ``trials.utts``.
        trials: The trials to score.

    Returns:
        (trials,) float32 scores, higher for one speaker.
    """
    scorer = model.loss
    if not isinstance(scorer, PairMlp):
        return cosine_scores(embeddings, trials)
    was_training = scorer.training
    scorer.eval()
    device = next(scorer.parameters()).device
    vectors = torch.from_numpy(embeddings).to(device)
    scores = np.empty(len(trials), dtype=np.float32)
    for start in range(0, len(trials), _PAIRS_SCORED):
        chosen = slice(start, start + _PAIRS_SCORED)
        sides = (
            vectors[torch.from_numpy(utts[chosen].astype(np.int64)).to(device)]
            for utts in (trials.enrol, trials.test)
        )
        scores[chosen] = scorer.score(*sides).float().cpu().numpy()
    scorer.train(was_training)
    return scores
