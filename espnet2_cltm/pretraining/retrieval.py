"""How often what is said finds what is shown, and the other way round.

Queries are captions or pictures, candidates those of the other kind, or captions of
another language; nothing of it was trained on but, maybe, the pictures::

    R@k = share of the queries with a right candidate among the k nearest

A candidate is right where it is the query's picture, or a caption of it. As near as a
right one counts as nearer: vectors that are all the same find nothing. Chance is what a
random order finds, 1 - C(n - m, k) / C(n, k) with m right ones among n, on average.

Pictures that training has seen and others are tested apart: the first tell what new
voices do, the second what new words do besides.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from espnet2_cltm.corpus.audio import SAMPLE_RATE, load_audio
from espnet2_cltm.corpus.datadir import IMAGES, read_table
from espnet2_cltm.corpus.pictures import read_picture
from espnet2_cltm.corpus.stored import read_lengths
from espnet2_cltm.errors import UserError
from espnet2_cltm.frontend.batches import batch_of
from espnet2_cltm.frontend.encoder_steps import encoder_precision
from espnet2_cltm.pretraining.crops import FRAME_LENGTH
from espnet2_cltm.pretraining.model import MaskedPredictionModel
from espnet2_cltm.pretraining.pictures import captions_of
from espnet2_cltm.progress import progress

RANKS = (1, 5, 10)
KNOWN, NEW = "known", "new"
PICTURES = "pictures"
"""In place of a language: pictures are of none."""
COLUMNS = (
    *("shown", "queries", "candidates", "n_queries", "n_candidates"),
    *(f"{what}@{rank}" for rank in RANKS for what in ("recall", "chance")),
)
_BATCH = 32


@dataclass(frozen=True)
class Caption:
    """An utterance that tells of a picture.

    Attributes:
        utt: Its id.
        lang: Its language.
        audio: Location of its audio.
        samples: Its length.
        picture: File of the picture.
    """

    utt: str
    lang: str
    audio: str
    samples: int
    picture: str


def read_test_captions(
    dump: Path, langs: Sequence[str], splits: Sequence[str]
) -> list[Caption]:
    """Read the captions of some splits of an audio store.

    Raises:
        UserError: There are none.
    """
    captions = []
    for lang in langs:
        for split in splits:
            directory = dump / lang / split
            pictures = captions_of(directory)
            if not pictures:
                continue
            audio = read_table(directory / "wav.scp")
            lengths = read_lengths(directory, pictures)
            captions += [
                Caption(utt, lang, audio[utt], lengths[utt], picture)
                for utt, picture in pictures.items()
                if lengths[utt] >= FRAME_LENGTH
            ]
    if not captions:
        raise UserError(
            f"{dump} has no caption of a picture in {' or '.join(splits)}: put "
            f"{IMAGES} beside the wav.scp of your data and run stages 1 and 2 again, "
            "or give other --langs or --splits."
        )
    return captions


def embed_captions(
    model: MaskedPredictionModel, captions: Sequence[Caption], seconds: float
) -> np.ndarray:
    """Return (captions, size) unit vectors.

    Args:
        model: Grounded model, in evaluation mode.
        captions: Captions.
        seconds: Length that captions were cut to in training.
    """
    longest = round(seconds * SAMPLE_RATE)
    # Of about one length, so that little is padded.
    order = sorted(range(len(captions)), key=lambda n: captions[n].samples)
    vectors: dict[int, np.ndarray] = {}
    device = next(model.parameters()).device
    with progress(description="captions", total=len(captions), unit="utt") as bar:
        for first in range(0, len(order), _BATCH):
            chosen = order[first : first + _BATCH]
            speech, lengths = batch_of(
                (load_audio(captions[n].audio)[:longest] for n in chosen), device
            )
            grounding = model.grounding
            with torch.inference_mode():
                with encoder_precision(model.autocast, device):
                    states, frames = model.hubert.heard(
                        speech, lengths, grounding.layer
                    )
                found = grounding.embed_speech(states.float(), frames).cpu().numpy()
            vectors.update(zip(chosen, found, strict=True))
            bar.update(len(chosen))
    return np.stack([vectors[n] for n in range(len(captions))])


def embed_pictures(
    model: MaskedPredictionModel, files: Sequence[str], size: int
) -> np.ndarray:
    """Return (files, size) unit vectors of pictures that are scaled to ``size``."""
    device = next(model.parameters()).device
    vectors = []
    for first in range(0, len(files), _BATCH):
        some = np.stack([read_picture(one, size) for one in files[first:][:_BATCH]])
        with torch.inference_mode():
            found = model.grounding.embed_pictures(torch.from_numpy(some).to(device))
        vectors.append(found.cpu().numpy())
    return np.concatenate(vectors)


def recall(similarity: np.ndarray, right: np.ndarray, rank: int) -> float:
    """Return the share of queries that have a right candidate among the nearest.

    Args:
        similarity: (queries, candidates); higher is nearer.
        right: (queries, candidates) bool, true in every row at least once.
        rank: Number of the nearest.
    """
    best = np.where(right, similarity, -np.inf).max(axis=1, keepdims=True)
    before = ((similarity >= best) & ~right).sum(axis=1)
    return float((before < rank).mean())


def chance(n_right: np.ndarray, n_candidates: int, rank: int) -> float:
    """Return the :func:`recall` of a random order, on average.

    Args:
        n_right: (queries,) numbers of right candidates.
        n_candidates: Number of candidates of each query.
        rank: Number of the nearest.
    """
    taken = min(rank, n_candidates)
    ways = math.comb(n_candidates, taken)
    missed = [math.comb(n_candidates - n, taken) / ways for n in n_right.tolist()]
    return 1 - sum(missed) / len(missed)


def measure(
    captions: Sequence[Caption],
    vectors: np.ndarray,
    picture_vectors: Mapping[str, np.ndarray],
    known: frozenset[str],
) -> list[dict[str, str | float]]:
    """Measure all ways of asking.

    Args:
        captions: Captions.
        vectors: (captions, size) their unit vectors.
        picture_vectors: (size,) unit vector by picture.
        known: Pictures that training has seen.

    Returns:
        Rows of :data:`COLUMNS`; ways that have no query are left out.
    """
    rows = []
    for shown in (KNOWN, NEW):
        by_lang: dict[str, list[int]] = {}
        for n, caption in enumerate(captions):
            if (caption.picture in known) == (shown == KNOWN):
                by_lang.setdefault(caption.lang, []).append(n)
        chosen = [n for of_lang in by_lang.values() for n in of_lang]
        pictures = sorted({captions[n].picture for n in chosen})
        groups = {
            lang: (
                np.array([captions[n].picture for n in of_lang]),
                vectors[of_lang],
            )
            for lang, of_lang in sorted(by_lang.items())
        }
        if pictures:
            seen = np.stack([picture_vectors[one] for one in pictures])
            groups[PICTURES] = np.array(pictures), seen
        rows += [{"shown": shown, **row} for row in _compare(groups)]
    return rows


def _compare(
    groups: Mapping[str, tuple[np.ndarray, np.ndarray]],
) -> Iterator[dict[str, str | float]]:
    """Ask each group, pictures and vectors, for what each shows or tells of."""
    for query, (asked, asked_vectors) in groups.items():
        for candidate, (offered, offered_vectors) in groups.items():
            if query == candidate == PICTURES:
                continue
            similarity = asked_vectors @ offered_vectors.T
            right = asked[:, None] == offered[None]
            if query == candidate:  # nobody is an answer to their own question
                np.fill_diagonal(similarity, -np.inf)
                np.fill_diagonal(right, False)
            can_be_found = right.any(axis=1)
            if not can_be_found.any():
                continue
            similarity, right = similarity[can_be_found], right[can_be_found]
            row: dict[str, str | float] = {
                "queries": query,
                "candidates": candidate,
                "n_queries": len(right),
                "n_candidates": right.shape[1] - (query == candidate),
            }
            n_right, n_offered = right.sum(axis=1), int(row["n_candidates"])
            for rank in RANKS:
                row[f"recall@{rank}"] = recall(similarity, right, rank)
                row[f"chance@{rank}"] = chance(n_right, n_offered, rank)
            yield row


def summary(rows: Sequence[Mapping[str, str | float]]) -> str:
    """Return R@10 of each way of asking, over languages, with chance beside it."""
    kinds = {
        "speech to pictures": lambda q, c: c == PICTURES,
        "pictures to speech": lambda q, c: q == PICTURES,
        "speech to speech of another voice": lambda q, c: q == c,
        "speech to speech of another language": lambda q, c: (
            PICTURES not in (q, c) and q != c
        ),
    }
    rank = RANKS[-1]
    lines = []
    for shown in (KNOWN, NEW):
        for kind, belongs in kinds.items():
            some = [
                row
                for row in rows
                if row["shown"] == shown and belongs(row["queries"], row["candidates"])
            ]
            if not some:
                continue
            found, by_chance = (
                [100 * float(row[f"{what}@{rank}"]) for row in some]
                for what in ("recall", "chance")
            )
            lines.append(
                f"{shown} pictures, {kind}: R@{rank} {np.mean(found):.1f}% "
                f"({min(found):.1f} to {max(found):.1f}), chance "
                f"{np.mean(by_chance):.1f}%"
            )
    return "\n".join(lines)
