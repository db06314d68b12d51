"""Files that all targets of a pretraining have in common.

Targets are made language by language from the audio store of stage 2,
``<dump>/<lang>/{train,dev}``, into a directory of their own, which has

* ``settings.json``: what the targets are made from; another setting is refused;
* ``languages/<lang>.{train,dev}.ark`` with ``.scp``: a piece of work each, whole or
  absent, so that an interruption costs at most those that were being made.
"""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import kaldiio
import numpy as np

from espnet2_cltm.corpus.datadir import read_table
from espnet2_cltm.errors import UserError
from espnet2_cltm.files import replacing, write_text

SPLITS = ("train", "dev")


def claim(settings: Mapping[str, Any], outdir: Path) -> None:
    """Mark a directory as that of these settings.

    Raises:
        UserError: It is that of others, or damaged.
    """
    path = outdir / "settings.json"
    wanted = json.loads(json.dumps(settings))
    if not path.exists():
        write_text(path, json.dumps(wanted, indent=2) + "\n")
        return
    try:
        there = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(
            f"{path} is damaged ({error}): delete {outdir} and start again."
        ) from error
    different = [name for name in wanted if there.get(name) != wanted[name]]
    if different:
        name = different[0]
        raise UserError(
            f"{outdir} holds targets of another setting ({name}: {there.get(name)}, "
            f"now {wanted[name]}): give another directory, or delete it."
        )


def piece(outdir: Path, lang: str, split: str) -> Path:
    """Name the ``.scp`` of a language's split; its ``.ark`` lies beside it."""
    return outdir / "languages" / f"{lang}.{split}.scp"


def write_ark(scp: Path, rows: Iterable[tuple[str, np.ndarray]]) -> None:
    """Write arrays as Kaldi's ``.ark``, and then the ``.scp`` that locates them.

    Args:
        scp: Its path.
        rows: Utterance ids with arrays that Kaldi knows, in the order of ids.
    """
    ark = scp.with_suffix(".ark")
    lines = []
    with replacing(ark) as temporary, temporary.open("wb") as file:
        for utt, array in rows:
            offset = file.tell() + len(utt.encode()) + 1
            kaldiio.save_ark(file, {utt: array})
            lines.append(f"{utt} {ark}:{offset}\n")
    write_text(scp, "".join(lines))


def read_audio(directory: Path) -> dict[str, str]:
    """Read the audio locations of a language's split, by utterance id."""
    path = directory / "wav.scp"
    # A corpus may have no dev utterances of a language, but all have some to train on.
    if directory.name != "train" and not path.exists():
        return {}
    return read_table(path)


def choose_languages(dump: Path, wanted: list[str]) -> tuple[str, ...]:
    """Give the languages that targets are made of: those wanted, or all there are.

    Raises:
        UserError: There are none, or not all of those.
    """
    known = sorted(
        path.name
        for path in (dump.iterdir() if dump.is_dir() else [])
        if (path / "train" / "wav.scp").exists()
    )
    if not known:
        raise UserError(
            f"{dump} holds no decoded language: run stages 1 and 2, or correct --dump."
        )
    unknown = [lang for lang in wanted if lang not in known]
    if unknown:
        raise UserError(
            f"{dump} has no {', '.join(unknown)}, only {', '.join(known)}: correct "
            "--langs, or run stages 1 and 2 for what is missing."
        )
    return tuple(dict.fromkeys(wanted)) or tuple(known)
