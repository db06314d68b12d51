"""Lists of drawn utterances: what training and testing need to know of each.

A list is a table ``utt label num_samples audio speaker`` with a header, in an order
that matters. ``write_espnet_data`` turns one into the Kaldi files that ESPnet's options
name.
"""

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from espnet2_cltm.corpus.audio import SAMPLE_RATE
from espnet2_cltm.corpus.stored import is_stored
from espnet2_cltm.errors import UserError
from espnet2_cltm.files import read_rows, write_rows, write_text

HEADER = ("utt", "label", "num_samples", "audio", "speaker")


@dataclass(frozen=True)
class ListedUtterance:
    """One utterance of a list.

    Attributes:
        utt: Utterance id.
        label: What the task predicts or tells apart.
        num_samples: Length at 16 kHz.
        audio: Location in the audio store, ``file.ark:offset``.
        speaker: Who speaks; empty where a list of an older version does not tell.
    """

    utt: str
    label: str
    num_samples: int
    audio: str
    speaker: str = ""


def write_utterance_list(path: Path, utterances: Sequence[ListedUtterance]) -> None:
    """Write a list, whole or not at all."""
    rows = ((u.utt, u.label, u.num_samples, u.audio, u.speaker) for u in utterances)
    write_rows(path, itertools.chain([HEADER], rows))


def read_utterance_list(path: Path) -> list[ListedUtterance]:
    """Read a list.

    Raises:
        UserError: The file is missing or is not such a list.
    """
    older = {"speaker": ""}
    rows = read_rows(path, HEADER, "a list of utterances", "run stage 3 again", older)
    utterances = []
    for number, (utt, label, num_samples, audio, speaker) in enumerate(rows, start=2):
        if not re.fullmatch("[0-9]{1,12}", num_samples):
            raise UserError(
                f"{path}, line {number}: {num_samples!r} is not a number of samples: "
                "run stage 3 again."
            )
        if not is_stored(audio):
            raise UserError(
                f"{path}, line {number}: the audio of {utt} is not file.ark:offset but "
                f"'{audio[:100]}': run stage 3 again."
            )
        utterances.append(ListedUtterance(utt, label, int(num_samples), audio, speaker))
    return utterances


def total_seconds(utterances: Sequence[ListedUtterance]) -> float:
    """Add up the lengths of utterances."""
    return sum(u.num_samples for u in utterances) / SAMPLE_RATE


def write_espnet_data(
    directory: Path, utterances: Sequence[ListedUtterance], label_file: str
) -> None:
    """Write ``wav.scp``, labels and ``utt2num_samples``, in the list's order.

    ESPnet takes the utterances, and their order before shuffling, from the shape
    file, ``utt2num_samples``.

    Args:
        directory: Directory to write to.
        utterances: The list.
        label_file: Name of the file of labels.
    """
    for name, value in (
        ("wav.scp", lambda u: u.audio),
        (label_file, lambda u: u.label),
        ("utt2num_samples", lambda u: u.num_samples),
    ):
        text = "".join(f"{u.utt} {value(u)}\n" for u in utterances)
        write_text(directory / name, text)


def espnet_data_options(
    directory: Path, which: str, labels: tuple[str, str] | None
) -> dict[str, list]:
    """Return ESPnet's data options for what :func:`write_espnet_data` wrote.

    Args:
        directory: Directory that it wrote to.
        which: ``train`` or ``valid``.
        labels: The file of labels and their name in ESPnet; None to leave them out.
    """
    data = [[str(directory / "wav.scp"), "speech", "kaldi_ark"]]
    if labels is not None:
        label_file, name = labels
        data.append([str(directory / label_file), name, "text"])
    return {
        f"{which}_data_path_and_name_and_type": data,
        f"{which}_shape_file": [str(directory / "utt2num_samples")],
    }
