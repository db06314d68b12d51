"""The pictures of a corpus, read once, all of one size, for a training.

Takes the audio store of stage 2, ``<dump>/<lang>/{train,dev}``, of which ``image.scp``
names the picture that an utterance is a caption of, and leaves in a directory

* ``settings.json``: what it is made from; another setting is refused;
* ``pictures.npy``: (pictures, size, size, 3) uint8;
* ``pictures.scp``: file of each picture by its number, from 0; it comes last: a
  directory that has it is complete;
* ``{train,dev}/utt2picture``: number of the picture that each caption tells of.

Two captions are of one picture where ``image.scp`` gives them one file, whatever their
languages.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from espnet2_cltm.corpus.datadir import IMAGES, read_images, read_table
from espnet2_cltm.corpus.decoding_pool import DecodingPool
from espnet2_cltm.corpus.pictures import read_picture
from espnet2_cltm.errors import UserError, foreign
from espnet2_cltm.files import claim, replacing, write_text
from espnet2_cltm.progress import progress
from espnet2_cltm.subsets import random_order

SPLITS = ("train", "dev")
_CHUNK = 256  # pictures that an interruption may cost each process
_REMEDY = "run stage 3 again, which makes it"


@dataclass(frozen=True)
class PictureSettings:
    """What pictures are made from.

    Attributes:
        dump: Audio store of a corpus.
        langs: Languages.
        size: Width and height in pixels.
        share: Share of a language's captions in train that are shown; None for all.
        seed: Seed by which these are drawn.
    """

    dump: str
    langs: tuple[str, ...]
    size: int
    share: float | None = None
    seed: int = 0


@dataclass(frozen=True)
class Captions:
    """A split's captions, and what they tell of.

    Attributes:
        picture_of: Number of the picture of each caption, by utterance.
        pictures: (pictures, size, size, 3) uint8, of all splits; it may lie on disk.
    """

    picture_of: Mapping[str, int]
    pictures: np.ndarray


def make_pictures(settings: PictureSettings, outdir: Path, nj: int) -> str:
    """Make a corpus's pictures where they are missing, and return a line about them.

    Args:
        settings: Settings of the pictures.
        outdir: Directory of the pictures.
        nj: Number of processes.

    Raises:
        UserError: ``outdir`` holds other pictures, a split has no caption, or a picture
            is missing or broken.
    """
    claim(asdict(settings), outdir, "pictures")
    if (outdir / "pictures.scp").exists():
        return f"{outdir}: all pictures were read before, skipped"
    captions = {split: _captions(settings, split) for split in SPLITS}
    files = sorted({file for split in SPLITS for file in captions[split].values()})
    parts = [files[first : first + _CHUNK] for first in range(0, len(files), _CHUNK)]
    made = [outdir / "parts" / f"{number:05d}.npy" for number in range(len(parts))]
    calls = [
        (_read, part, settings.size, file)
        for part, file in zip(parts, made, strict=True)
        if not file.exists()
    ]
    with DecodingPool(nj, apart=False) as pool:
        run_parts(pool, calls, len(made), "reading pictures")
    with replacing(outdir / "pictures.npy") as temporary:
        shape = (len(files), settings.size, settings.size, 3)
        together = np.lib.format.open_memmap(temporary, "w+", np.uint8, shape)
        for number, part in enumerate(made):
            first = number * _CHUNK
            together[first : first + _CHUNK] = np.load(part)
        together.flush()
    number_of = {file: number for number, file in enumerate(files)}
    for split in SPLITS:
        rows = sorted(captions[split].items())
        lines = "".join(f"{utt} {number_of[file]}\n" for utt, file in rows)
        write_text(outdir / split / "utt2picture", lines)
    lines = "".join(f"{number} {file}\n" for number, file in enumerate(files))
    write_text(outdir / "pictures.scp", lines)
    for part in made:
        part.unlink()
    made[0].parent.rmdir()
    counts = " and ".join(f"{len(captions[split])} of {split}" for split in SPLITS)
    return f"{outdir}: {len(files)} pictures, captions: {counts}"


def run_parts(
    pool: DecodingPool, calls: Sequence[tuple[Any, ...]], total: int, description: str
) -> None:
    """Make what is left to do, with progress.

    Args:
        pool: The processes.
        calls: Functions and arguments of what has not been done before.
        total: Number of calls with those that have.
        description: Label of the progress bar.
    """
    with progress(
        description=description, total=total, initial=total - len(calls), unit="part"
    ) as bar:
        pool.run(calls, lambda _: bar.update())


def _captions(settings: PictureSettings, split: str) -> dict[str, str]:
    """Return the files of pictures by the captions of all languages."""
    found: dict[str, str] = {}
    for lang in settings.langs:
        directory = Path(settings.dump) / lang / split
        found |= captions_of(directory, settings.share, settings.seed)
    if not found:
        raise UserError(
            f"{settings.dump} has no caption of a picture in {split}: put {IMAGES} "
            "beside the wav.scp of your data and run stages 1 and 2 again, or set "
            "--grounding_weight to 0."
        )
    return found


def captions_of(
    directory: Path, share: float | None = None, seed: int = 0
) -> dict[str, str]:
    """Return the files of pictures by the captions of a split of the audio store.

    Args:
        directory: ``<lang>/<split>`` of the store.
        share: Share of train's captions, drawn by the seed; a smaller one is the
            beginning of a larger one. None for all.
        seed: Seed of the draw.
    """
    if not (directory / IMAGES).exists():
        return {}
    files = read_images(directory, read_table(directory / "wav.scp"))
    if share is None or directory.name != "train":
        return files
    drawn = random_order(files, seed, "pictures")[: round(share * len(files))]
    return {utt: files[utt] for utt in drawn}


def _read(files: Sequence[str], size: int, outfile: Path) -> None:
    """Write some pictures into one array."""
    with replacing(outfile) as temporary:
        np.save(temporary, np.stack([read_picture(file, size) for file in files]))


def read_captions(directory: Path, split: str) -> Captions:
    """Read what :func:`make_pictures` left for a split.

    Raises:
        UserError: It is missing or damaged.
    """
    path = directory / "pictures.npy"
    if not (directory / "pictures.scp").exists():
        raise UserError(f"{directory} holds no pictures: {_REMEDY}.")
    with foreign(f"{path} cannot be read", _REMEDY):
        pictures = np.load(path, mmap_mode="r", allow_pickle=False)
    table = directory / split / "utt2picture"
    with foreign(f"{table} is damaged", _REMEDY):
        picture_of = {utt: int(number) for utt, number in read_table(table).items()}
        if not all(0 <= number < len(pictures) for number in picture_of.values()):
            raise ValueError("it names pictures that are not there")
    return Captions(picture_of, pictures)
