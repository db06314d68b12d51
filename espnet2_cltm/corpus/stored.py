"""Reading splits of the audio store: only what stage 2 wrote, and nothing else.

``.fingerprint`` holds a hash of what a split was made from, and the checksum of every
table. What later stages take from the store is compared with it, so that a table that
was cut or changed is named and not used; stage 2 makes it again.

``undecoded.tsv`` lists what may be drawn but was not decoded, as nothing has needed it
yet: what a draw goes by of each, so that it is the same as if all were decoded.
"""

import re
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path

from espnet2_cltm.corpus.datadir import Utterance, read_data_dir, read_table
from espnet2_cltm.corpus.pipes import is_pipe
from espnet2_cltm.errors import UserError
from espnet2_cltm.files import read_text, write_rows_if_any

FINGERPRINT = ".fingerprint"
UNDECODED = "undecoded.tsv"
_NOT_LABELS = ("utt", "spk", "lang")  # its first columns; no label has these names


def is_store(directory: Path) -> bool:
    """Return whether a directory is a split of an audio store."""
    return (directory / FINGERPRINT).exists()


def is_stored(audio: str) -> bool:
    """Return whether audio is what the store holds: ``file.ark:offset``, no command."""
    return bool(re.fullmatch(r".+:\d+", audio)) and not is_pipe(audio)


def checksum_of_file(path: Path) -> str:
    """Return a file's CRC-32."""
    value = 0
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            value = zlib.crc32(block, value)
    return f"{value:08x}"


def checksums_of_tables(directory: Path) -> list[str]:
    """Return a line for each table of a split: its name and checksum."""
    return [
        f"{path.name} {checksum_of_file(path)}"
        for path in sorted(directory.iterdir())
        if path.is_file() and path.name[0] != "."
    ]


def read_split(directory: Path) -> tuple[list[Utterance], dict[str, int]]:
    """Read a split of the store.

    Args:
        directory: The split's directory, with ``wav.scp``.

    Returns:
        Its utterances, and their lengths in samples.

    Raises:
        UserError: A table was changed since stage 2 wrote it, lacks an utterance, or
            names other audio than an entry of an ark.
    """
    remedy = "run stage 2 again, which makes it anew"
    if is_store(directory):
        recorded = read_text(directory / FINGERPRINT, remedy).splitlines()[1:]
        changed = sorted(set(recorded) - set(checksums_of_tables(directory)))
        if changed:
            raise UserError(
                f"{directory / changed[0].partition(' ')[0]} is not as stage 2 wrote "
                f"it: {remedy}."
            )
    utterances = read_data_dir(directory)
    for utterance in utterances:
        if not is_stored(utterance.audio):
            raise UserError(
                f"{directory / 'wav.scp'}: the audio of {utterance.id} is not "
                f"file.ark:offset but '{utterance.audio[:100]}': {remedy}."
            )
    return utterances, read_lengths(directory, [row.id for row in utterances])


def write_undecoded(directory: Path, utterances: Sequence[Utterance]) -> None:
    """Write the list of what is not decoded; without utterances there is none."""
    labels = sorted({label for u in utterances for label in u.labels})
    rows = (
        (u.id, u.speaker, u.lang or "", *(u.labels.get(label, "") for label in labels))
        for u in utterances
    )
    write_rows_if_any(directory / UNDECODED, [*_NOT_LABELS, *labels], rows)


def read_undecoded(directory: Path) -> list[Utterance]:
    """Read what may be drawn from a split of the store but is not decoded.

    Their audio is an empty text; :func:`read_split` has checked the list.
    """
    path = directory / UNDECODED
    if not path.exists():
        return []
    remedy = "run stage 2 again, which makes it anew"
    header, *lines = read_text(path, remedy).rstrip("\n").split("\n")
    labels = header.split("\t")[len(_NOT_LABELS) :]
    # Utterances with the same labels share them: there may be millions.
    shared: dict[tuple[str, ...], dict[str, str]] = {}
    utterances = []
    for line in lines:
        utt, speaker, lang, *values = line.split("\t")
        known = shared.setdefault(
            tuple(values),
            {k: v for k, v in zip(labels, values, strict=True) if v},
        )
        utterances.append(Utterance(utt, speaker, "", known, lang or None))
    return utterances


def read_lengths(directory: Path, utts: Iterable[str]) -> dict[str, int]:
    """Read the lengths of a split's utterances in samples.

    Raises:
        UserError: One of them has none.
    """
    path = directory / "utt2num_samples"
    table = read_table(path)
    lengths = {}
    for utt in utts:
        if not table.get(utt, "").isdecimal():
            raise UserError(
                f"{path} has no number of samples for {utt}: run stage 2 again, which "
                "makes it anew."
            )
        lengths[utt] = int(table[utt])
    return lengths
