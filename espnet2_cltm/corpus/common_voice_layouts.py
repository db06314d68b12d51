"""Where Common Voice's tables and clips lie, in every form in which people have them.

A language is a directory with ``train.tsv``, ``dev.tsv`` and ``test.tsv``, named after
it, as in a release of all languages; or below the directory of an archive of its own
(``mcv-scripted-ca-v25.0/cv-corpus-25.0-2026-03-09/ca``); or in ``transcript/`` of a
hub mirror, whose clips are in ``audio/<lang>/``. Spontaneous speech has one table,
``ss-corpus-<lang>.tsv``, with the split in a column. All are looked for down to
:data:`DEPTH` levels below the directory that is given. Of several releases of one
language the newest is taken.
"""

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from espnet2_cltm.corpus.datadir import SPLITS
from espnet2_cltm.errors import UserError
from espnet2_cltm.progress import progress

AUDIO_SUFFIXES = (".mp3", ".wav", ".flac", ".ogg", ".opus", ".m4a")
DEPTH = 4
_MOST_DIRECTORIES = 20_000  # that are looked into; a corpus has some hundred
_WITHOUT_TABLES = ("clips", "audio", "audios", "wav", "wavs")
_SPONTANEOUS = re.compile(r"ss-corpus-(.+)\.tsv")
_RELEASE = re.compile(r"(?:corpus-|-v|common_voice_)(\d+)[._](\d+)")
_OF_ONE_LANGUAGE = re.compile(
    r"(?:mcv-[a-z]+-(?P<mcv>.+)-v[\d.]+|cv-corpus-[\d.]+-[\d-]+-(?P<cv>[a-z].*))"
)
_PACKED = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".zip")


@dataclass(frozen=True)
class Place:
    """Where a language lies.

    Attributes:
        lang: Language code.
        directory: Directory of its tables.
        level: Levels below the directory that was searched.
        table: The one table of spontaneous speech; None where each split has its own.
        lacks: Why it cannot be used, as a sentence; empty where it can.
        note: What else was found and is not used, as a sentence; may be empty.
    """

    lang: str
    directory: Path
    level: int
    table: Path | None = None
    lacks: str = ""
    note: str = ""

    @property
    def release(self) -> tuple[int, int] | None:
        """Number of the release, as the names of directories tell it."""
        for part in reversed(self.directory.parts):
            if found := _RELEASE.search(part):
                return int(found[1]), int(found[2])
        return None

    @property
    def clips(self) -> Path:
        """Directory that holds the clips, perhaps in directories of their own."""
        mirrored = self.directory.parent.parent / "audio" / self.lang
        for path in (self.directory / "clips", self.directory / "audios", mirrored):
            if path.is_dir():
                return path
        return self.directory


def find_place(corpus_dir: Path, lang: str) -> Place:
    """Find one language.

    Raises:
        UserError: It is not there, or lacks something.
    """
    corpus_dir = Path(os.path.abspath(corpus_dir))
    directory = corpus_dir / lang
    if all((directory / f"{split}.tsv").is_file() for split in SPLITS):
        return Place(lang, directory, 1)  # without looking into all others
    place = find_places(corpus_dir).get(lang)
    if place is None:
        raise UserError(
            f"{corpus_dir} has no language {lang}: leave it out of --langs."
        )
    if place.lacks:
        raise UserError(place.lacks)
    return place


def find_places(corpus_dir: Path) -> dict[str, Place]:
    """Find every language, also those that lack something.

    Raises:
        UserError: There is none; the message tells what there is instead.
    """
    corpus_dir = Path(os.path.abspath(corpus_dir))
    if not corpus_dir.is_dir():
        is_packed = corpus_dir.is_file() and corpus_dir.name.endswith(_PACKED)
        raise UserError(
            f"{corpus_dir} is an archive: extract it, and give the directory."
            if is_packed
            else f"{corpus_dir} is not a directory: set COMMON_VOICE in db.sh (or "
            "--corpus_dir) to an extracted Common Voice release."
        )
    found: dict[str, list[Place]] = {}
    for place in _search(corpus_dir):
        found.setdefault(place.lang, []).append(place)
    if not found:
        raise UserError(
            f"{corpus_dir} holds no language of Common Voice, which is a directory "
            f"with train.tsv, dev.tsv and test.tsv: {_advice(corpus_dir)} "
            "(COMMON_VOICE in db.sh or --corpus_dir)."
        )
    return {lang: _choose(lang, places) for lang, places in sorted(found.items())}


def list_audio_directories(place: Place) -> list[Path]:
    """List the directories whose change tells that clips have come or gone."""
    if place.clips == place.directory / "clips":
        return [place.clips]  # looking for others takes seconds
    return [Path(folder) for folder, _, _ in os.walk(place.clips)]


def find_clips(place: Place, wanted: Iterable[str]) -> dict[str, str]:
    """Find audio files by the names that tables give them.

    A clip that was converted, for instance to WAV, is found by its name without
    suffix.

    Args:
        place: The language.
        wanted: Names of files.

    Returns:
        Path by name, for those that are there.

    Raises:
        UserError: More than half are not there.
    """
    found = dict.fromkeys(wanted, "")
    for folder, file in _walk(place, len(found)):
        if file in found:
            found[file] = f"{folder}/{file}"
    by_stem = {name.rpartition(".")[0]: name for name in found if not found[name]}
    packed = ""
    # Another walk, which few need, takes less than to keep a million other names.
    for folder, file in _walk(place, len(by_stem)) if by_stem else ():
        stem, _, suffix = file.rpartition(".")
        if file in found:
            continue
        if stem in by_stem and f".{suffix.lower()}" in AUDIO_SUFFIXES:
            found[by_stem[stem]] = f"{folder}/{file}"
        elif file.endswith(_PACKED):
            packed = f"{folder}/{file}"
    missing = [name for name, path in found.items() if not path]
    if len(missing) * 2 > len(found):
        raise UserError(
            f"{len(missing)} of the {len(found)} clips that the tables name are not in "
            f"{place.clips} (the first is {min(missing)}): "
            + (
                f"extract {packed} and the archives beside it, each where it lies."
                if packed
                else "it seems not extracted, or not wholly; extract the archive of "
                "the language again, with its clips."
            )
        )
    for name in missing:
        del found[name]
    return found


def _walk(place: Place, n_wanted: int) -> Iterator[tuple[str, str]]:
    """Yield each file's directory and name, behind links to directories, too."""
    has_own = place.clips != place.directory
    for folder, _, files in os.walk(place.clips, followlinks=has_own):
        shown: Iterable[str] = files
        if len(files) > 100_000:
            description = f"Looking for {n_wanted} clips of {place.lang}"
            shown = progress(files, description=description, unit="file")
        for file in shown:
            yield folder, file


def _search(corpus_dir: Path) -> Iterator[Place]:
    """Go through a directory and those below it, but not through clips."""
    level, directories, n_seen = 0, [corpus_dir], 0
    while directories and level <= DEPTH:
        below: list[Path] = []
        for directory in directories:
            n_seen += 1
            if n_seen > _MOST_DIRECTORIES:
                raise UserError(
                    f"{corpus_dir} holds more than {_MOST_DIRECTORIES} directories: "
                    "give the one with Common Voice alone (COMMON_VOICE in db.sh or "
                    "--corpus_dir)."
                )
            try:
                with os.scandir(directory) as entries:
                    names = {entry.name: entry.is_dir() for entry in entries}
            except OSError:
                if level == 0:
                    raise
                continue  # such as lost+found
            places = list(_places_in(directory, names, level))
            yield from places
            if not any(place.table or not place.lacks for place in places):
                below += [
                    directory / name
                    for name, is_dir in sorted(names.items())
                    if is_dir and name[0] != "." and name not in _WITHOUT_TABLES
                ]
        level, directories = level + 1, below


def _places_in(directory: Path, names: Iterable[str], level: int) -> Iterator[Place]:
    """Read a directory's names as those of a language, if they are."""
    for name in sorted(names):
        if spontaneous := _SPONTANEOUS.fullmatch(name):
            yield Place(spontaneous[1], directory, level, directory / name)
    tables = [name for name in (*SPLITS, "validated") if f"{name}.tsv" in names]
    if not tables:
        return
    lang = directory.name
    if named := _OF_ONE_LANGUAGE.fullmatch(lang):
        lang = named["mcv"] or named["cv"]
    missing = [f"{split}.tsv" for split in SPLITS if split not in tables]
    if not missing:
        lacks = ""
    elif "-delta-" in str(directory):
        lacks = (
            f"{directory} is of a delta release, which holds only what is new in a "
            f"release and no splits: extract the whole release, or leave {lang} out of "
            "--langs."
        )
    else:
        lacks = (
            f"{directory} has no {' and no '.join(missing)}: extract the whole archive "
            f"of the language, or leave {lang} out of --langs."
        )
    yield Place(lang, directory, level, lacks=lacks)


def _choose(lang: str, places: list[Place]) -> Place:
    """Choose between several places of one language."""
    whole = [place for place in places if not place.lacks] or places[:1]
    scripted = [place for place in whole if place.table is None] or whole
    nearest = [place for place in scripted if place.level <= 1]
    first, *others = nearest or sorted(
        scripted, key=lambda place: place.release or (0, 0), reverse=True
    )
    if any(other.release in (None, first.release) for other in others):
        lacks = (
            f"The language {lang} lies both in {first.directory} and in "
            f"{others[0].directory}: give one of them (COMMON_VOICE in db.sh or "
            f"--corpus_dir), or leave {lang} out of --langs."
        )
        return replace(first, lacks=lacks)
    note = f"taken from {first.directory}"
    if unused := [place for place in whole if place != first]:
        note += f", and not from {unused[0].directory}"
        note += f" and {len(unused) - 1} other places" if unused[1:] else ""
    elif first.level <= 1:
        note = ""
    return replace(first, note=note)


def _advice(corpus_dir: Path) -> str:
    """Return what to do with a directory that holds no language."""
    if any(_places_in(corpus_dir.parent, os.listdir(corpus_dir.parent), 0)):
        return f"it lies within one language's directory; give {corpus_dir.parent}"
    packed, is_kaldi = "", False
    for level in ("*", "*/*", "*/*/*"):
        for path in sorted(corpus_dir.glob(level))[:_MOST_DIRECTORIES]:
            if path.suffix in (".parquet", ".arrow"):
                return (
                    f"{path} is a hub's table with the audio in it, which is not read "
                    "here; get the archive of each language from Common Voice, and "
                    "extract it"
                )
            if not packed and path.name.endswith(_PACKED):
                packed = str(path)
            is_kaldi = is_kaldi or path.name == "wav.scp"
    if packed:
        return f"extract {packed} and the archives beside it first"
    if is_kaldi:
        return "it holds Kaldi directories; give --corpus kaldi"
    return "extract the archives of the languages there, or correct the path"
