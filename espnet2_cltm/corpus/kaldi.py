"""A user's own data: Kaldi directories ``<dir>/<lang>/{train,dev,test}/``.

Each holds ``wav.scp utt2spk``, and ``segments`` where utterances are parts of the
recordings in ``wav.scp``; ``utt2dur``, ``text`` and labels, ``utt2<label>`` or
``spk2<label>``, are taken where they are there (``gender`` is ``m`` or ``f``), and so
are ``phones.ctm``, which aligners write, and ``image.scp``, pictures by utterance. All
three splits must be there, as ESPnet's training wants a dev set. So that languages can
be put together, a speaker id gets ``<lang>-`` in front, whatever it begins with, and an
utterance id the new speaker id.
Audio is taken as it stands in ``wav.scp``: a relative path starts at the directory one
runs from, a pipe is passed on.
"""

import itertools
import os
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from espnet2_cltm.corpus.allowed_words import is_id
from espnet2_cltm.corpus.audio_places import audio_file
from espnet2_cltm.corpus.datadir import (
    IMAGES,
    SPLITS,
    Utterance,
    label_tables,
    read_data_dir,
    read_table,
)
from espnet2_cltm.corpus.language import (
    CorpusOptions,
    CorpusSpec,
    LanguageSplits,
    Rejection,
)
from espnet2_cltm.corpus.phones import CTM, Phone, read_phones
from espnet2_cltm.corpus.selection import barred_speakers
from espnet2_cltm.corpus.validate import contradictory_genders
from espnet2_cltm.errors import UserError
from espnet2_cltm.progress import progress

_MANY_FILES = 100_000


def list_languages(corpus_dir: Path) -> list[str]:
    """List the language directories.

    Raises:
        UserError: The directory is missing or holds no language.
    """
    corpus_dir = Path(corpus_dir)
    if not corpus_dir.is_dir():
        raise UserError(
            f"{corpus_dir} is not a directory: give with --corpus_dir the directory "
            "that holds <lang>/train, <lang>/dev and <lang>/test."
        )
    languages = sorted(
        entry.name
        for entry in corpus_dir.iterdir()
        if any((entry / split).is_dir() for split in SPLITS)
    )
    if languages:
        return languages
    advice = "put each language's directories into a directory named after it"
    if any((corpus_dir / split).is_dir() for split in SPLITS):
        advice = f"it is one language's directory; give {corpus_dir.absolute().parent}"
    raise UserError(
        f"{corpus_dir} holds no <lang>/train, <lang>/dev and <lang>/test: {advice}."
    )


def list_inputs(corpus_dir: Path, lang: str, options: CorpusOptions) -> list[Path]:
    """List what the result of :func:`load_language` depends on."""
    inputs: list[Path] = []
    for split in SPLITS:
        directory = Path(corpus_dir) / lang / split
        names = ("wav.scp", "utt2spk", "utt2dur", "text", "segments", CTM, IMAGES)
        inputs += (directory / name for name in names)
        for prefix in ("utt2", "spk2"):
            inputs += label_tables(directory, prefix).values()
        # What is missing now is read when it appears.
        if (directory / "wav.scp").is_file():
            audio = read_table(directory / "wav.scp").values()
            files = sorted({file for one in audio if (file := audio_file(one))})
            inputs += (Path(file) for file in files if not os.path.exists(file))
    return inputs


def load_language(
    corpus_dir: Path, lang: str, options: CorpusOptions
) -> LanguageSplits:
    """Read one language.

    Speakers that two splits share are left out of one of them (see
    :func:`.barred_speakers`).

    Args:
        corpus_dir: Directory that holds the language directories.
        lang: Name of one of them; becomes ``utt2lang``.
        options: Not used; every corpus has them.

    Raises:
        UserError: A directory, file or picture is missing or malformed; a speaker of
            a split has two genders; a phone's time is beyond its audio; more than
            half of the audio files of a split are missing, or one is looked for in the
            wrong place.
    """
    rejected: list[Rejection] = []
    splits: dict[str, list[Utterance]] = {}
    # By split and own id, as a name may stand for other audio in another split.
    times: dict[str, dict[str, list[Phone]]] = {}
    for split in SPLITS:
        directory = Path(corpus_dir) / lang / split
        utterances = _read_split(directory)
        times[split] = read_phones(
            directory / CTM,
            {utt.id for utt in utterances},
            {utt.id: utt.duration for utt in utterances if utt.duration},
        )
        missing = _missing_audio(directory, utterances)
        rejected += (Rejection(split, u, "audio file missing") for u in sorted(missing))
        splits[split] = [u for u in utterances if u.id not in missing]
    barred = barred_speakers(
        {split: {utt.speaker for utt in utts} for split, utts in splits.items()}
    )
    for split, utterances in splits.items():
        reasons = [(u, barred[split].get(u.speaker)) for u in utterances]
        rejected += (Rejection(split, u.id, reason) for u, reason in reasons if reason)
        splits[split] = [u for u, reason in reasons if not reason]
    new_ids = _new_ids(itertools.chain.from_iterable(splits.values()), lang)
    own_names: dict[str, str] = {}
    phones: dict[str, list[Phone]] = {}
    for split, utterances in splits.items():
        for number, utterance in enumerate(utterances):
            name = new_ids[utterance.speaker, utterance.id]
            speaker = f"{lang}-{utterance.speaker}"
            # To Kaldi's tools a tab parts words as a blank does.
            text = utterance.text and utterance.text.replace("\t", " ")
            utterances[number] = replace(
                utterance, id=name, speaker=speaker, lang=lang, text=text
            )
            own_names[name] = utterance.id
            if found := times[split].get(utterance.id):
                phones[name] = found
        _check_order(Path(corpus_dir) / lang / split, utterances)
    return LanguageSplits(
        splits,
        rejected,
        lambda utterance: own_names[utterance.id],
        phones=phones,
    )


def _read_split(directory: Path) -> list[Utterance]:
    if not directory.is_dir():
        raise UserError(
            f"{directory} is missing: each language needs train, dev and test; make "
            "it, with wav.scp, utt2spk and the labels, such as utt2gender."
        )
    for name in ("wav.scp", "utt2spk"):
        if not (directory / name).is_file():
            raise UserError(
                f"{directory / name} is missing: each of train, dev and test needs "
                "wav.scp and utt2spk."
            )
    utterances = read_data_dir(directory)
    for utterance in utterances:
        if not is_id(utterance.speaker):
            raise UserError(
                f"{_place(directory / 'utt2spk', utterance.id)}: {utterance.speaker!r} "
                "cannot be a speaker id; write '<utterance> <speaker>', ids without "
                "white space."
            )
        if not utterance.audio:
            raise UserError(
                f"{_place(directory / 'wav.scp', utterance.recording)}: "
                f"{utterance.recording} has no "
                "audio; write '<utterance> <path>'."
            )
    if problems := contradictory_genders(directory):
        raise UserError(
            f"{problems[0]} Correct it, or give two people two speaker ids."
        )
    known = sum(utterance.duration is not None for utterance in utterances)
    if 0 < known < len(utterances):
        raise UserError(
            f"{directory / 'utt2dur'} has {known} of {len(utterances)} utterances: "
            "complete it, or remove it, as Kaldi's tools drop those that it lacks."
        )
    return _with_whole_paths(directory, utterances)


def _with_whole_paths(directory: Path, utterances: list[Utterance]) -> list[Utterance]:
    """Make the paths of pictures absolute, as no later stage copies them."""
    there: dict[str, bool] = {}
    for number, utterance in enumerate(utterances):
        if utterance.image is None:
            continue
        path = os.path.abspath(utterance.image)
        if not there.setdefault(path, os.path.isfile(path)):
            raise UserError(
                f"{_place(directory / IMAGES, utterance.id)}: the picture "
                f"{utterance.image} does not exist: correct its path; a relative one "
                f"starts at the directory one runs from, {os.getcwd()}."
            )
        utterances[number] = replace(utterance, image=path)
    return utterances


def _missing_audio(directory: Path, utterances: list[Utterance]) -> set[str]:
    """Utterances whose audio is a file that does not exist."""
    scp = directory / "wav.scp"
    shown: Iterable[Utterance] = utterances
    if len(utterances) > _MANY_FILES:
        shown = progress(utterances, description=f"Looking for the audio of {scp}")
    missing: dict[str, Utterance] = {}
    lost = set()
    files = 0
    for utterance in shown:
        file = audio_file(utterance.audio)
        if file is None:
            continue
        files += 1
        if file not in missing and os.path.exists(file):
            continue
        if file not in missing and os.path.exists(directory / file):
            raise UserError(
                f"{_place(scp, utterance.recording)}: {file} does not exist in "
                f"{os.getcwd()}, from where relative paths start, but does in "
                f"{directory}: write {directory / file} or an absolute path."
            )
        missing.setdefault(file, utterance)
        lost.add(utterance.id)
    if len(lost) * 2 > files:
        file, first = next(iter(missing.items()))
        raise UserError(
            f"{_place(scp, first.recording)}: {file} does not exist, and so for "
            f"{len(lost)} of {files} audio files: correct the paths; relative ones "
            f"start at the directory one runs from, {os.getcwd()}."
        )
    return lost


def _new_ids(utterances: Iterable[Utterance], lang: str) -> dict[tuple[str, str], str]:
    """Return new ids, all different, by speaker and own id."""
    new_ids: dict[tuple[str, str], str] = {}
    taken: set[str] = set()
    for speaker, own in sorted((utt.speaker, utt.id) for utt in utterances):
        name = f"{lang}-{speaker}-{own.removeprefix(f'{speaker}-')}"
        while name in taken:  # "s1-a" and "a", both of s1; or "a" of s1-b
            name += "_"
        taken.add(name)
        new_ids[speaker, own] = name
    return new_ids


def _check_order(directory: Path, utterances: list[Utterance]) -> None:
    """Refuse ids whose order puts a speaker's utterances in two places."""
    ordered = sorted(utterances, key=lambda utterance: utterance.id)
    for first, second in itertools.pairwise(ordered):
        if first.speaker > second.speaker:
            raise UserError(
                f"Speakers {second.speaker} and {first.speaker} of {directory} sort "
                "otherwise than their utterances, which Kaldi's tools refuse: give "
                "speakers ids of one length."
            )


def _place(path: Path, key: str) -> str:
    """Name the file and the line that starts with ``key``."""
    return f"{path}, line {list(read_table(path)).index(key) + 1}"


KALDI = CorpusSpec(
    name="kaldi",
    list_languages=list_languages,
    load_language=load_language,
    list_inputs=list_inputs,
    db_variable="KALDI",
)
