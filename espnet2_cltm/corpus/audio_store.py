"""The audio store: every recording of a language decoded once, into kaldi arks.

Takes ``data/<corpus>/<lang>/{train,dev,test}`` and writes the same data directories
under ``dump``, with ``wav.scp`` pointing into arks of 16 kHz mono 16-bit WAV, whole
recordings and segments alike, all labels of what was kept (``utt2dur`` as measured) and
the times of its phones. ``wav.scp`` is written last: a split that has one is complete.

The work is cut into chunks of utterances (:mod:`espnet2_cltm.corpus.audio_chunks`), so
that nothing is decoded twice, whatever kills the program; what is written of a split
then is told in :mod:`espnet2_cltm.corpus.split_tables`.

A part of ``train`` may be asked for. What was decoded before stays, what is missing
comes in chunks of its own, and ``undecoded.tsv`` lists the others.
"""

import os
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from espnet2_cltm.corpus.audio import SAMPLE_RATE
from espnet2_cltm.corpus.audio_chunks import (
    cut_chunks,
    decode_chunk,
    find_done,
    hash_of,
    read_markers,
    read_outcomes,
)
from espnet2_cltm.corpus.audio_places import parse_audio
from espnet2_cltm.corpus.datadir import SPLITS, Utterance, read_data_dir
from espnet2_cltm.corpus.decoding_pool import DecodingPool
from espnet2_cltm.corpus.phones import CTM
from espnet2_cltm.corpus.pipes import is_pipe, pipe_state
from espnet2_cltm.corpus.split_tables import (
    Split,
    is_complete,
    mark_incomplete,
    refuse_losses,
    write_split,
)
from espnet2_cltm.corpus.stored import checksum_of_file
from espnet2_cltm.errors import UserError
from espnet2_cltm.files import alone_in
from espnet2_cltm.progress import progress


@dataclass(frozen=True)
class LanguageAudio:
    """What the store holds of one language.

    Attributes:
        n_kept: Number of utterances in the store.
        seconds: Seconds of their audio.
        rejected: Number of utterances left out, by reason.
        n_decoded: Number of utterances that this call decoded; the others were there
            before.
        remarks: Number of utterances kept, by what is to be known of them.
        commands: Commands in ``wav.scp``, which were run.
        n_undecoded: Number of utterances of which nothing was asked.
    """

    n_kept: int
    seconds: float
    rejected: Counter[str]
    n_decoded: int
    remarks: Counter[str] = field(default_factory=Counter)
    commands: Sequence[str] = ()
    n_undecoded: int = 0


def dump_language(
    data: Path,
    dump: Path,
    pool: DecodingPool,
    max_rejected: float = 0.05,
    max_seconds: float = 60.0,
    allow_pipes: bool = True,
    train: Collection[str] | None = None,
) -> LanguageAudio:
    """Bring one language's audio store up to date with its data directories.

    Args:
        data: Directory that holds one or more of ``train``, ``dev``, ``test``.
        dump: Store of that language; made if it is missing.
        pool: Processes that decode.
        max_rejected: Share of the language's utterances, in [0, 1], that may be
            rejected.
        max_seconds: The longest utterance.
        allow_pipes: Whether commands in ``wav.scp`` are run.
        train: Ids of the utterances of ``train`` that are needed, besides those that
            are decoded already; None for all.

    Returns:
        What the store now holds.

    Raises:
        UserError: A data directory is malformed, a phone's time is beyond its audio,
            too much is rejected (then ``rejected.tsv`` is there to look at, but no
            ``wav.scp``), a command is not allowed or not found, a process was killed,
            or the file system refuses.
    """
    lang = data.name
    with alone_in(dump):
        found = {
            name: read_data_dir(data / name)
            for name in SPLITS
            if (data / name).is_dir()
        }
        if not found:
            raise UserError(
                f"{data} holds none of {', '.join(SPLITS)}: run stage 1 for {lang}, or "
                "correct --datadir."
            )
        there = {name: read_markers(dump / name / "arks") for name in found}
        needed = dict(found)
        if train is not None and "train" in found:
            asked_or_there = {*train}.union(*there["train"].values())
            needed["train"] = [u for u in found["train"] if u.id in asked_or_there]
        commands = _find_commands(data, needed, allow_pipes)
        states = _run_commands(commands, pool, lang)
        splits = [
            _plan_split(
                *(found[name], needed[name], there[name], data / name, dump / name),
                *(max_seconds, states),
            )
            for name in found
        ]
        _remove_leftovers(dump, splits)
        n_decoded = _decode_missing(splits, pool, lang, max_seconds)
        outcomes = {split.directory: read_outcomes(split.chunks) for split in splits}
        every = [outcome for of_split in outcomes.values() for outcome in of_split]
        rejected = Counter(outcome.reason for outcome in every if outcome.reason)
        n_utterances = sum(map(len, found.values()))
        if rejected.total() > max_rejected * n_utterances:
            refuse_losses(lang, outcomes, rejected, max_rejected)
        for split in splits:
            write_split(split, outcomes[split.directory])
    return LanguageAudio(
        n_kept=len(every) - rejected.total(),
        seconds=sum(outcome.n_samples for outcome in every) / SAMPLE_RATE,
        rejected=rejected,
        n_decoded=n_decoded,
        remarks=Counter(remark for outcome in every for remark in outcome.remarks),
        commands=commands,
        n_undecoded=n_utterances - len(every),
    )


def _find_commands(
    data: Path, found: Mapping[str, list[Utterance]], allow_pipes: bool
) -> list[str]:
    """List the commands among the audio, each once."""
    commands: dict[str, str] = {}
    for name, utterances in found.items():
        for utterance in utterances:
            if is_pipe(utterance.audio):
                where = f"{data / name / 'wav.scp'}: the audio of {utterance.id}"
                commands.setdefault(utterance.audio, where)
    if commands and not allow_pipes:
        command, where = next(iter(commands.items()))
        raise UserError(
            f"{where} is a command ({command[:200]}), one of {len(commands)}, and "
            "--allow_pipes is false: give audio files in wav.scp, or allow commands."
        )
    return list(commands)


def _run_commands(
    commands: Sequence[str], pool: DecodingPool, lang: str
) -> dict[str, str]:
    """Run commands, and return the state of what each gives."""
    if not commands:
        return {}
    with progress(
        description=f"{lang}: commands in wav.scp", total=len(commands), unit="command"
    ) as bar:
        states = pool.run(
            [(pipe_state, command) for command in commands], lambda _: bar.update()
        )
    return dict(zip(commands, states, strict=True))


def _plan_split(
    utterances: list[Utterance],
    needed: list[Utterance],
    there: Mapping[Path, list[str]],
    data: Path,
    directory: Path,
    max_seconds: float,
    states: Mapping[str, str],
) -> Split:
    rows = {}
    for row in needed:
        state = states.get(row.audio) or _file_state(row.audio)
        segment = row.segment or ""
        rows[row.id] = f"{row.id}\t{row.audio}\t{segment}\t{state}\n"
    arks, limit = directory / "arks", f"{max_seconds}\n"
    done, left = find_done(needed, there, rows, limit)
    missing = cut_chunks(left, arks, rows, limit)
    # Labels are part of it, and so is the directory's name, which wav.scp holds.
    phones = data / CTM
    times = [f"{checksum_of_file(phones)}\n"] if phones.exists() else []
    first = [f"{directory}\n", limit, *times, *rows.values()]
    names = [f"{chunk.ark.name}\n" for chunk in (*done, *missing)]
    anew = cut_chunks(needed, arks, rows, limit)
    if {*names} != {f"{chunk.ark.name}\n" for chunk in anew}:
        first += sorted(names)  # wav.scp holds them, and they do not follow from rows
    fingerprint = hash_of(first, map(repr, utterances))
    return Split(directory, utterances, done, missing, fingerprint, phones)


def _file_state(location: str) -> str:
    try:
        state = os.stat(parse_audio(location).path)
    except OSError:
        return "missing"
    return f"{state.st_size} {state.st_mtime_ns}"


def _remove_leftovers(dump: Path, splits: list[Split]) -> None:
    """Remove chunks of an earlier input, and what a killed process left behind."""
    for name in SPLITS:
        if all(split.directory != dump / name for split in splits):
            mark_incomplete(dump / name)
    for split in splits:
        if not is_complete(split):
            mark_incomplete(split.directory)
        wanted = {path for chunk in split.chunks for path in (chunk.ark, chunk.marker)}
        for path in (split.directory / "arks").glob("*"):
            if path not in wanted:
                path.unlink()
        for path in split.directory.glob(".*.tmp*"):
            path.unlink()


def _decode_missing(
    splits: list[Split], pool: DecodingPool, lang: str, max_seconds: float
) -> int:
    """Decode the chunks that are not there; return their number of utterances."""
    missing = []
    for split in splits:
        if split.missing:
            mark_incomplete(split.directory)
        missing += split.missing
    if not missing:
        return 0
    n_all = sum(len(c.utterances) for split in splits for c in split.chunks)
    n_missing = sum(len(chunk.utterances) for chunk in missing)
    with progress(
        description=lang, total=n_all, initial=n_all - n_missing, unit="utt"
    ) as bar:
        calls = [
            (decode_chunk, c.utterances, c.ark, c.marker, max_seconds) for c in missing
        ]
        pool.run(calls, lambda index: bar.update(len(missing[index].utterances)))
    return n_missing
