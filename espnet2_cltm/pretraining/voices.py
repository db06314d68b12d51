"""Voices of a corpus: spectrum and pitch of every utterance as a whole.

Takes the audio store of stage 2 and leaves, beside what all targets have
(:mod:`.target_files`),

* ``scale.npy``: (2, size) float32, what is taken from each value (the mean over
  ``train``) and what it is divided by (the deviation);
* ``{train,dev}/voice.scp`` with ``voice.ark``: a (size,) float32 vector of every
  utterance, scaled by these; pitch is three times as large as all else, since it is
  told by two numbers of many.

Languages hold the vectors as they are. The result depends on the audio alone.
"""

from pathlib import Path

import kaldiio
import numpy as np

from espnet2_cltm.corpus.audio import load_audio
from espnet2_cltm.corpus.decoding_pool import DecodingPool
from espnet2_cltm.errors import UserError
from espnet2_cltm.files import replacing
from espnet2_cltm.pretraining.features import PITCH_SIZE, describe_voice
from espnet2_cltm.pretraining.target_files import (
    SPLITS,
    claim,
    piece,
    read_audio,
    write_ark,
)
from espnet2_cltm.progress import progress

PITCH_WEIGHT = 3.0
"""How many times as large as all else the pitch is made."""


def make_voices(dump: Path, langs: tuple[str, ...], outdir: Path, nj: int) -> list[str]:
    """Make what is missing of a corpus's voices.

    Args:
        dump: The audio store of a corpus.
        langs: Languages.
        outdir: See the module.
        nj: Number of processes.

    Returns:
        What was done or skipped, a line each.

    Raises:
        UserError: ``outdir`` holds those of other languages, or audio is missing.
    """
    claim({"dump": str(dump), "langs": langs, "features": "voice"}, outdir)
    wanted = [(lang, split) for lang in langs for split in SPLITS]
    if all((outdir / split / "voice.scp").exists() for split in SPLITS):
        return [f"{outdir}: all voices were made before, skipped"]
    missing = [
        (dump / lang / split, piece(outdir, lang, split))
        for lang, split in wanted
        if not piece(outdir, lang, split).exists()
    ]
    with (
        DecodingPool(nj) as pool,
        progress(
            description="voices",
            total=len(wanted),
            initial=len(wanted) - len(missing),
            unit="part",
        ) as bar,
    ):
        pool.run(
            [(_describe, *arguments) for arguments in missing],
            lambda index: bar.update(),
        )
    vectors = {
        split: dict(
            row
            for lang in langs
            for row in kaldiio.load_scp_sequential(str(piece(outdir, lang, split)))
        )
        for split in SPLITS
    }
    heard = np.stack(list(vectors["train"].values()))
    scale = np.stack([heard.mean(axis=0), np.maximum(heard.std(axis=0), 1e-5)])
    scale[1, -PITCH_SIZE:] /= PITCH_WEIGHT
    with replacing(outdir / "scale.npy") as temporary, temporary.open("wb") as file:
        np.save(file, scale)
    done = []
    for split, rows in vectors.items():
        scaled = ((utt, (row - scale[0]) / scale[1]) for utt, row in rows.items())
        write_ark(outdir / split / "voice.scp", scaled)
        done.append(f"{outdir / split}: voices of {len(rows)} utterances")
    return done


def _describe(directory: Path, scp: Path) -> None:
    """Write the voices of a language's split."""
    write_ark(
        scp,
        (
            (utt, describe_voice(load_audio(location)))
            for utt, location in read_audio(directory).items()
        ),
    )


def read_voice_size(outdir: Path) -> int:
    """Read the size of a directory's vectors.

    Raises:
        UserError: There are none.
    """
    path = outdir / "scale.npy"
    try:
        return np.load(path).shape[1]
    except (OSError, ValueError) as error:
        raise UserError(
            f"{path} cannot be read ({error}): run the stage that makes voices."
        ) from error
