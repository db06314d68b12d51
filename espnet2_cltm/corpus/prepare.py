"""Stage 1: a corpus's languages become data directories, validated.

Takes what a corpus module gives, leaves ``<datadir>/<corpus>/<lang>/`` with
``{train,dev,test}/`` (:mod:`espnet2_cltm.corpus.datadir`), ``rejected.tsv`` (what was
left out and why: ``split item reason``) and ``prepared.json``. That file is written
last; it holds the counts and what the result was made from, so that a language whose
tables and options are unchanged is not prepared again.
"""

import hashlib
import json
import os
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from espnet2_cltm.corpus.datadir import GENDERS, SPLITS, Utterance, write_data_dir
from espnet2_cltm.corpus.language import CorpusOptions, LanguageSplits, Rejection
from espnet2_cltm.corpus.registry import cannot_read, choose_languages, get_corpus
from espnet2_cltm.corpus.splits import limit_utterances
from espnet2_cltm.corpus.validate import validate_language
from espnet2_cltm.errors import UserError
from espnet2_cltm.files import cannot_write, replacing, write_text
from espnet2_cltm.progress import progress

DONE = "prepared.json"
REJECTED = "rejected.tsv"
# Fewer speakers of a gender than this are pointed out.
FEW_SPEAKERS = 2
# Goes up when the same input gives other files, so that they are made again.
_FORMAT = 2
# Utterances whose writing takes a few seconds.
_MANY = 200_000
_GENDER_NAMES = {"f": "female", "m": "male"}


@dataclass(frozen=True)
class PreparedLanguage:
    """Outcome of preparing one language.

    Attributes:
        lang: Language code.
        directory: Where its splits lie.
        skipped: Whether it was complete and unchanged already.
        utterances: Number by split and gender (``f``, ``m``, ``unknown``).
        speakers: The same for speakers.
        rejected: Number of items left out, by reason.
        unlabelled: Splits without any gender, for which utterances of unknown gender
            were kept although genders were asked for.
    """

    lang: str
    directory: Path
    skipped: bool
    utterances: dict[str, dict[str, int]]
    speakers: dict[str, dict[str, int]]
    rejected: dict[str, int]
    unlabelled: list[str]

    def summary(self) -> str:
        """Tell the counts in one line."""
        parts = [
            f"{split} {_counts(self.utterances[split], 'utterance')} from "
            f"{_counts(self.speakers[split], 'speaker')}"
            for split in SPLITS
        ]
        dropped = (
            f"dropped {_reasons(self.rejected)}" if self.rejected else "none dropped"
        )
        return f"{self.lang}: {'; '.join(parts)}; {dropped}"

    def scarcity(self) -> str | None:
        """Tell in one line which splits have too few speakers of a gender."""
        if self.unlabelled:
            return (
                f"{self.lang}: no usable utterance of {' and '.join(self.unlabelled)} "
                "states a gender; unlabelled ones are kept, and stage 3 leaves "
                f"{self.lang} out of gender identification"
            )
        # Dev is left out: it only steers a training, nothing is measured on it.
        counts = {
            (split, gender): self.speakers[split].get(gender, 0)
            for split in ("train", "test")
            for gender in GENDERS
        }
        scarce = [
            f"{split} has {count or 'no'} {_GENDER_NAMES[gender]} "
            f"speaker{'' if count == 1 else 's'}"
            for (split, gender), count in counts.items()
            if count < FEW_SPEAKERS
        ]
        if not scarce:
            return None
        few = "too few" if 0 in counts.values() else "very few"
        return (
            f"{self.lang}: {few} speakers of a gender ({', '.join(scarce)}); stage 3 "
            "decides in which tasks it takes part"
        )


def prepare(
    corpus: str,
    corpus_dir: Path | str,
    langs: Sequence[str] | None,
    datadir: Path | str,
    options: CorpusOptions,
    announce: Callable[[str], None] = print,
) -> list[PreparedLanguage]:
    """Prepare languages one after the other; one that fails does not stop the rest.

    Args:
        corpus: Name in :mod:`espnet2_cltm.corpus.registry`.
        corpus_dir: Where the corpus lies.
        langs: Language codes; None or nothing for all that the corpus has.
        datadir: Gets ``<corpus>/<lang>/``.
        options: Passed to the corpus.
        announce: Gets each line for the screen.

    Raises:
        UserError: Corpus or languages are unknown, or some languages failed; those
            are named, each with its sentence announced before.
    """
    chosen = choose_languages(corpus, Path(corpus_dir), langs)
    prepared: list[PreparedLanguage] = []
    failures: dict[str, UserError] = {}
    for number, lang in enumerate(chosen, start=1):
        place = f"[{number}/{len(chosen)}]"
        try:
            outcome = prepare_language(corpus, corpus_dir, lang, datadir, options)
        except UserError as error:
            failures[lang] = error
            announce(f"{place} {lang}: failed: {error}")
            continue
        prepared.append(outcome)
        skipped = (
            f" (skipped: {outcome.directory} is complete and its input and options are "
            "unchanged)"
        )
        announce(f"{place} {outcome.summary()}{skipped if outcome.skipped else ''}")
        if scarcity := outcome.scarcity():
            announce(f"{place} {scarcity}")
    if len(failures) == 1 == len(chosen):
        raise failures[chosen[0]]
    if failures:
        raise UserError(
            f"{len(failures)} of {len(chosen)} languages could not be prepared "
            f"({' '.join(failures)}): see the sentence of each above, put it right or "
            "leave the language out of --langs, and run the same command again."
        )
    return prepared


def prepare_language(
    corpus: str,
    corpus_dir: Path | str,
    lang: str,
    datadir: Path | str,
    options: CorpusOptions,
) -> PreparedLanguage:
    """Write one language's data directories, or see that they are there already.

    Args:
        corpus: Name in :mod:`espnet2_cltm.corpus.registry`.
        corpus_dir: Where the corpus lies.
        lang: A language of the corpus.
        datadir: Gets ``<corpus>/<lang>/``.
        options: Passed to the corpus; ``max_train_utts`` and ``max_test_utts`` are
            applied here.

    Raises:
        UserError: The corpus can't be read, a split is empty, the result is not valid
            or can't be written.
    """
    directory = Path(datadir) / corpus / lang
    loaded = None
    if not hasattr(get_corpus(corpus), "list_inputs"):
        # A corpus that makes its audio itself knows what is there and what is missing.
        loaded = _load(corpus, Path(corpus_dir), lang, options)
    made_from = _fingerprint(
        corpus, Path(corpus_dir), lang, options, loaded and loaded[0]
    )
    done = directory / DONE
    if record := _read_record(done, made_from):
        return PreparedLanguage(lang, directory, True, **record)
    try:
        done.unlink(missing_ok=True)
    except OSError as error:
        raise cannot_write(done, error) from error
    language, unlabelled = loaded or _load(corpus, Path(corpus_dir), lang, options)
    language = _apply_limits(language, options)
    rejected = Counter(rejection.reason for rejection in language.rejected)
    _write_rejected(directory / REJECTED, language.rejected)
    for split in SPLITS:
        if not language.splits.get(split):
            dropped = Counter(
                item.reason for item in language.rejected if item.split == split
            )
            found = f"{_reasons(dropped)} dropped" if dropped else "it is empty"
            raise UserError(
                f"{Path(corpus_dir) / lang}: no utterance of {split} is left ({found}; "
                f"see {directory / REJECTED}): leave {lang} out of --langs, or "
                "complete its data."
            )
    many = sum(map(len, language.splits.values())) > _MANY
    for split in progress(SPLITS, description=f"Writing {lang}") if many else SPLITS:
        write_data_dir(directory / split, language.splits[split])
    if problems := validate_language(directory):
        raise UserError(
            f"{problems[0]} ({len(problems)} problems in {directory}; "
            f"'python -m espnet2_cltm.bin.validate_data {directory}' lists them.) "
            "Correct the corpus and run again."
        )
    record = {
        "utterances": {s: _count_utterances(language.splits[s]) for s in SPLITS},
        "speakers": {s: _count_speakers(language.splits[s]) for s in SPLITS},
        "rejected": dict(sorted(rejected.items())),
        "unlabelled": unlabelled,
    }
    files = [f"{s}/{path.name}" for s in SPLITS for path in (directory / s).iterdir()]
    text = json.dumps(
        {"made_from": made_from, "files": sorted([*files, REJECTED]), **record},
        indent=1,
        ensure_ascii=False,
    )
    write_text(done, text + "\n")
    return PreparedLanguage(lang, directory, False, **record)


def _load(
    corpus: str, corpus_dir: Path, lang: str, options: CorpusOptions
) -> tuple[LanguageSplits, list[str]]:
    """Load a language, with unlabelled utterances where a split has no others.

    Returns:
        The language, and the splits for whose sake unlabelled utterances were kept.
    """
    load_language = get_corpus(corpus).load_language
    try:
        language = load_language(corpus_dir, lang, options)
        empty = [split for split in SPLITS if not language.splits.get(split)]
        if not empty or not options.require_gender:
            return language, []
        # A language that gender identification can't use may serve other tasks. Where
        # a split stays empty, its reasons are no longer hidden behind gender's.
        options = replace(options, require_gender=False)
        return load_language(corpus_dir, lang, options), empty
    except OSError as error:
        raise cannot_read(error) from error


def _apply_limits(language: LanguageSplits, options: CorpusOptions) -> LanguageSplits:
    rejected = list(language.rejected)
    splits: dict[str, list[Utterance]] = {}
    for split, utterances in language.splits.items():
        limit = options.max_train_utts if split == "train" else options.max_test_utts
        splits[split], left_out = limit_utterances(utterances, limit, options.seed)
        reason = f"over the limit of {limit}"
        rejected += (Rejection(split, utt.id, reason) for utt in left_out)
    return LanguageSplits(splits, rejected)


def _write_rejected(path: Path, rejected: Iterable[Rejection]) -> None:
    with (
        replacing(path) as temporary,
        temporary.open("w", encoding="utf-8", errors="backslashreplace") as lines,
    ):
        lines.write("split\titem\treason\n")
        for rejection in sorted(rejected):
            fields = (rejection.split, rejection.item, rejection.reason)
            lines.write("\t".join(" ".join(field.split()) for field in fields) + "\n")


def _fingerprint(
    corpus: str,
    corpus_dir: Path,
    lang: str,
    options: CorpusOptions,
    language: LanguageSplits | None,
) -> dict[str, Any]:
    """What the result depends on, as JSON gives it back.

    That is the state of the corpus's files, or what was loaded where the corpus does
    not name them.
    """
    inputs: dict[str, Any] = {}
    if language is None:
        paths = get_corpus(corpus).list_inputs(corpus_dir, lang, options)
        inputs = {str(path): _state(path) for path in paths}
    else:
        content = repr((language.splits, language.rejected))
        inputs["content"] = hashlib.sha256(content.encode()).hexdigest()
    return {
        "format": _FORMAT,
        "corpus": corpus,
        "corpus_dir": os.path.abspath(corpus_dir),
        "inputs": inputs,
        "use_validated": options.use_validated,
        "require_gender": options.require_gender,
        "max_train_utts": options.max_train_utts,
        "max_test_utts": options.max_test_utts,
        "seed": options.seed,
    }


def _state(path: Path) -> list[int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    # The size of a directory says nothing; its time changes with every new file.
    return [0 if path.is_dir() else status.st_size, status.st_mtime_ns]


def _read_record(done: Path, made_from: dict[str, Any]) -> dict[str, Any] | None:
    """Counts of an earlier preparation, if it is complete and of the same input."""
    try:
        record = json.loads(done.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if record.pop("made_from", None) != made_from:
        return None
    if not all((done.parent / name).is_file() for name in record.pop("files")):
        return None
    return record


def _count_utterances(utterances: Iterable[Utterance]) -> dict[str, int]:
    counts = Counter(utterance.gender or "unknown" for utterance in utterances)
    return dict(sorted(counts.items()))


def _count_speakers(utterances: Iterable[Utterance]) -> dict[str, int]:
    genders: dict[str, str] = {}
    for utterance in utterances:
        if utterance.gender or utterance.speaker not in genders:
            genders[utterance.speaker] = utterance.gender or "unknown"
    return dict(sorted(Counter(genders.values()).items()))


def _counts(counts: dict[str, int], unit: str) -> str:
    total = sum(counts.values())
    parts = " + ".join(
        f"{counts.get(gender, 0)} {gender}"
        for gender in ("f", "m", "unknown")
        if gender in counts or gender != "unknown"
    )
    return f"{total} {unit}{'' if total == 1 else 's'} ({parts})"


def _reasons(counts: dict[str, int]) -> str:
    """For instance ``3 (clip missing 1, gender not given 2)``."""
    parts = ", ".join(f"{reason} {count}" for reason, count in sorted(counts.items()))
    return f"{sum(counts.values())} ({parts})"
