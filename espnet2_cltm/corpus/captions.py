"""Corpora of spoken captions, read as they come, for data directories with image.scp.

* ``spokencoco``, as SpokenCOCO and Places Audio have it: a JSON file a split,
  ``{"data": [{"image": ..., "captions": [{"wav", "speaker", "text", "uttid"}]}]}``;
  ``text`` and ``uttid`` may be missing. Other JSON of this form, such as translations
  of it, is read as well.
* ``flickr8k``, Flickr8k's audio: ``wav2capt.txt``, lines ``<wav> <picture> #<number>``,
  with ``wav2spk.txt``, lines ``<wav> <speaker>``, beside it.
* ``speechcoco``, SPEECH-COCO: a directory of JSON files, one a caption, with
  ``wavFilename``, ``imgID``, ``speaker``, ``synthesisedCaption`` and ``duration``.
"""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

from espnet2_cltm.corpus.datadir import Utterance, read_table
from espnet2_cltm.errors import UserError, foreign
from espnet2_cltm.files import read_text

_REMEDY = "give the corpus's own file, or another --layout"


def read_spokencoco(table: Path) -> Iterator[Utterance]:
    """Read SpokenCOCO's layout; see the module for it, and :data:`LAYOUTS`."""
    with foreign(f"{table} is not of the layout spokencoco", _REMEDY):
        for row in json.loads(read_text(table, _REMEDY))["data"]:
            for caption in row["captions"]:
                yield _caption(
                    caption["wav"],
                    row["image"],
                    str(caption["speaker"]),
                    caption.get("uttid"),
                    caption.get("text"),
                )


def read_flickr8k(table: Path) -> Iterator[Utterance]:
    """Read Flickr8k's layout; see the module for it, and :data:`LAYOUTS`."""
    speakers = read_table(table.parent / "wav2spk.txt")
    for audio, rest in read_table(table).items():
        picture, *number = rest.split()
        if len(number) != 1 or audio not in speakers:
            fault = "is not '<wav> <picture> #<number>'"
            if len(number) == 1:
                fault = f"has no speaker in {table.parent / 'wav2spk.txt'}"
            raise UserError(f"{table}: the line of {audio} {fault}: {_REMEDY}.")
        yield _caption(audio, picture, speakers[audio])


def read_speechcoco(table: Path) -> Iterator[Utterance]:
    """Read SPEECH-COCO's layout; see the module for it, and :data:`LAYOUTS`."""
    files = sorted(table.glob("*.json"))
    if not files:
        raise UserError(f"{table} is not a directory of JSON files: {_REMEDY}.")
    for path in files:
        with foreign(f"{path} is not of the layout speechcoco", _REMEDY):
            row = json.loads(read_text(path, _REMEDY))
            yield _caption(
                row["wavFilename"],
                f"{int(row['imgID']):012d}.jpg",
                str(row["speaker"]),
                text=row["synthesisedCaption"],
                duration=float(row["duration"]),
            )


LAYOUTS: dict[str, Callable[[Path], Iterator[Utterance]]] = {
    "spokencoco": read_spokencoco,
    "flickr8k": read_flickr8k,
    "speechcoco": read_speechcoco,
}
"""Readers by layout. Each takes the table and gives captions whose ``audio`` and
``image`` are as the table says; it raises UserError where the table is of another kind.
"""


def _caption(
    audio: str,
    image: str,
    speaker: str,
    utt: str | None = None,
    text: str | None = None,
    duration: float | None = None,
) -> Utterance:
    utt = utt or Path(audio).stem
    if not utt.startswith(f"{speaker}-"):
        utt = f"{speaker}-{utt}"
    text = " ".join(text.split()) if text else None
    return Utterance(utt, speaker, audio, image=image, text=text, duration=duration)
