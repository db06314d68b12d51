"""The utterance lists and trials of experiments that are merged: equal, or refused.

Where the audio lies may differ between machines: a list's place is then that of the
first experiment whose audio is here, or else of the first.
"""

import logging
import shutil
from collections.abc import Sequence
from itertools import zip_longest
from pathlib import Path

from espnet2_cltm.corpus.audio import backing_file
from espnet2_cltm.corpus.utterance_list import (
    ListedUtterance,
    read_utterance_list,
    write_utterance_list,
)
from espnet2_cltm.errors import UserError
from espnet2_cltm.experiment.layout import ExperimentDir
from espnet2_cltm.files import replacing
from espnet2_cltm.progress import progress


def merge_data(
    sources: Sequence[ExperimentDir], merged: ExperimentDir, may_grow: bool = False
) -> None:
    """Give the merged experiment the lists and trials of all.

    Args:
        sources: The experiments.
        merged: The merged one; it may be the first source.
        may_grow: Whether of two lists one may be the beginning of the other, as in
            learning curves.

    Raises:
        UserError: Two experiments have drawn differently; the first difference is
            named.
    """
    places: dict[Path, list[Path]] = {}
    for source in sources:
        data = source.root / "data"
        for path in sorted([*data.glob("*/*/*.tsv"), *data.glob("*/*/*.trials")]):
            places.setdefault(path.relative_to(source.root), []).append(path)
    without_audio = set()
    for name in progress(sorted(places), description="Merging subsets", unit="file"):
        target = merged.root / name
        if name.suffix == ".tsv":
            audio_is_here = _merge_lists(places[name], target, may_grow)
            if not audio_is_here:
                without_audio.add(name.parts[2])
        else:
            _merge_trials(places[name], target)
    if without_audio:
        logging.warning(
            "The audio of %d languages, %s first, is not where the lists say: before a "
            "run is made with it, run stages 1 to 3 here with all --langs.",
            len(without_audio),
            min(without_audio),
        )


def _merge_lists(paths: Sequence[Path], target: Path, may_grow: bool) -> bool:
    """Write the one list; tell whether its audio is here."""
    lists = [read_utterance_list(path) for path in paths]
    for path, listed in zip(paths[1:], lists[1:], strict=True):
        _require_equal(paths[0], lists[0], path, listed, may_grow)
    longest = max(len(listed) for listed in lists)
    whole = [listed for listed in lists if len(listed) == longest]
    here = [listed for listed in whole if _has_audio(listed)]
    chosen = (here or whole)[0]
    # What a merge has written before stays as it is, not only what it holds.
    if not (target in paths and lists[paths.index(target)] == chosen):
        write_utterance_list(target, chosen)
    return bool(here)


def _require_equal(
    path: Path,
    listed: Sequence[ListedUtterance],
    other_path: Path,
    other: Sequence[ListedUtterance],
    may_grow: bool,
) -> None:
    for number, (one, two) in enumerate(zip_longest(listed, other), start=2):
        if may_grow and (one is None or two is None):
            return
        if _identity(one) != _identity(two):
            raise UserError(
                f"{path} and {other_path} differ, first in line {number} "
                f"({_identity(one) or 'no line'} and {_identity(two) or 'no line'}): "
                "the experiments drew from different data and cannot be merged."
            )


def _identity(utterance: ListedUtterance | None) -> str:
    if utterance is None:
        return ""
    return f"{utterance.utt} {utterance.label} {utterance.num_samples}"


def _has_audio(listed: Sequence[ListedUtterance]) -> bool:
    """Tell whether the audio of a list's first utterance is there."""
    if not listed:
        return True
    file = backing_file(listed[0].audio)
    return file is None or file.exists()


def _merge_trials(paths: Sequence[Path], target: Path) -> None:
    first = paths[0].read_bytes()
    for path in paths[1:]:
        other = path.read_bytes()
        if other != first:
            lines = zip_longest(first.splitlines(), other.splitlines())
            number, one, two = next(
                (number, one, two)
                for number, (one, two) in enumerate(lines, start=1)
                if one != two
            )
            raise UserError(
                f"{paths[0]} and {path} differ, first in line {number} "
                f"({_text(one)} and {_text(two)}): the experiments drew from different "
                "data and cannot be merged."
            )
    if target not in paths:
        with replacing(target) as temporary:
            shutil.copyfile(paths[0], temporary)


def _text(line: bytes | None) -> str:
    return "no line" if line is None else line.decode(errors="replace")
