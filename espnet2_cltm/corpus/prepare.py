"""Stage 1: a corpus's languages become data directories, validated.

Takes what a corpus gives, joins the user's labels, leaves out what lacks a required
label or is over a limit, and writes ``<datadir>/<corpus>/<lang>/`` with
``{train,dev,test}/`` (:mod:`espnet2_cltm.corpus.datadir`), ``rejected.tsv`` (what was
left out and why: ``split item reason``) and ``prepared.json``. That file is written
last; it holds the counts and what the result was made from, so that a language whose
tables and options are unchanged is not prepared again.
"""

import gc
import hashlib
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from espnet2_cltm.calling import command_call
from espnet2_cltm.corpus.allowed_words import GENDERS, make_inert
from espnet2_cltm.corpus.datadir import SPLITS, Utterance, write_data_dir
from espnet2_cltm.corpus.labels import join_labels, labels_file
from espnet2_cltm.corpus.language import (
    CorpusOptions,
    CorpusSpec,
    LanguageSplits,
    Rejection,
)
from espnet2_cltm.corpus.selection import leave_out_unlabelled, limit_utterances
from espnet2_cltm.corpus.synthetic import can_speak, speaking
from espnet2_cltm.corpus.validate import validate_language
from espnet2_cltm.counting import agreeing, counted
from espnet2_cltm.errors import UserError
from espnet2_cltm.files import read_json, remove_if_there, replacing, write_json
from espnet2_cltm.language_codes import (
    CODE_RULE,
    SYNTHETIC,
    find_alike,
    is_donor_only,
    is_language_code,
)
from espnet2_cltm.progress import progress

DONE = "prepared.json"
REJECTED = "rejected.tsv"
# Fewer speakers of a gender than this are pointed out.
FEW_SPEAKERS = 2
# Goes up when the same input gives other files, so that they are made again.
_FORMAT = 5
# Utterances whose writing takes a few seconds.
_MANY = 200_000

Counts = dict[str, dict[str, int]]


@dataclass(frozen=True)
class PreparedLanguage:
    """Outcome of preparing one language.

    Attributes:
        lang: Language code.
        directory: Directory of its splits.
        skipped: Whether it was complete and unchanged already.
        utterances: Number by split and gender (``f``, ``m``, ``unknown``).
        speakers: The same for speakers.
        rejected: Number of items left out, by reason.
        unlabelled: By required label, the splits without it, for whose sake utterances
            that lack it were kept.
        joined: What became of the user's table of labels; empty where there is none.
        notes: What else the corpus says of it, such as which release was taken.
    """

    lang: str
    directory: Path
    skipped: bool
    utterances: Counts
    speakers: Counts
    rejected: dict[str, int]
    unlabelled: dict[str, list[str]] = field(default_factory=dict)
    joined: str = ""
    notes: list[str] = field(default_factory=list)

    def summary(self) -> str:
        """Tell the counts in one line."""
        has_gender = self._has_gender()
        parts = [
            f"{split} {_counts(self.utterances[split], 'utterance', has_gender)} from "
            f"{_counts(self.speakers[split], 'speaker', has_gender)}"
            for split in SPLITS
        ]
        dropped = (
            f"dropped {_reasons(self.rejected)}" if self.rejected else "none dropped"
        )
        return f"{self.lang}: {'; '.join(parts)}; {dropped}"

    def remarks(self) -> list[str]:
        """Return what else a user should know, one line each."""
        lines = [*self.notes, *filter(None, [self.joined])]
        for label, splits in self.unlabelled.items():
            lines.append(
                f"no usable utterance of {' and '.join(splits)} has a known {label}; "
                f"utterances without it are kept, and stage 3 leaves {self.lang} out "
                "of tasks that need it"
            )
        if self._has_gender() and "gender" not in self.unlabelled:
            lines += self._scarce_genders()
        return lines

    def _has_gender(self) -> bool:
        return any(counts.keys() & GENDERS for counts in self.speakers.values())

    def _scarce_genders(self) -> list[str]:
        # Dev is left out: it only steers a training, nothing is measured on it.
        counts = {
            (split, name): self.speakers[split].get(gender, 0)
            for split in ("train", "test")
            for gender, name in (("f", "female"), ("m", "male"))
        }
        scarce = [
            f"{split} has {count or 'no'} {name} "
            f"{agreeing(count, 'speaker', 'speakers')}"
            for (split, name), count in counts.items()
            if count < FEW_SPEAKERS
        ]
        if not scarce:
            return []
        few = "too few" if 0 in counts.values() else "very few"
        return [
            f"{few} speakers of a gender ({', '.join(scarce)}); stage 3 decides in "
            "which tasks it takes part"
        ]


def prepare(
    corpus: CorpusSpec,
    corpus_dir: Path | str,
    langs: Sequence[str],
    datadir: Path | str,
    options: CorpusOptions,
    announce: Callable[[str], None] = print,
) -> None:
    """Prepare languages one after the other; one that fails does not stop the rest.

    Args:
        corpus: The corpus.
        corpus_dir: Directory of the corpus.
        langs: Language codes; none for those that the corpus takes by default.
        datadir: Directory that gets ``<corpus>/<lang>/``.
        options: Options for the corpus and for this stage.
        announce: Function that gets each line for the screen.

    Raises:
        UserError: Languages are unknown, or some failed; those are named, each with
            its sentence announced before.
    """
    if not langs and corpus.default_languages:
        langs = corpus.default_languages(options)
    chosen = choose_languages(corpus, Path(corpus_dir), langs)
    if corpus.list_unusable and not langs:
        for lang, why in corpus.list_unusable(Path(corpus_dir)).items():
            announce(f"{lang} is not prepared: {why}")
    failed: list[str] = []
    for number, lang in enumerate(chosen, start=1):
        place = f"[{number}/{len(chosen)}]"
        try:
            outcome = prepare_language(corpus, corpus_dir, lang, datadir, options)
        except UserError as error:
            if len(chosen) == 1:
                raise
            failed.append(lang)
            announce(f"{place} {lang}: failed: {error}")
            continue
        skipped = (
            f" (skipped: {outcome.directory} is complete and its input and options are "
            "unchanged)"
        )
        announce(f"{place} {outcome.summary()}{skipped if outcome.skipped else ''}")
        for remark in outcome.remarks():
            announce(f"{place} {lang}: {remark}")
    if failed:
        raise UserError(
            f"{len(failed)} of {len(chosen)} languages could not be prepared "
            f"({' '.join(failed)}): see the sentence of each above, put it right or "
            "leave the language out of --langs, and run the same command again."
        )


def choose_languages(
    corpus: CorpusSpec, corpus_dir: Path, langs: Sequence[str] = ()
) -> list[str]:
    """Check languages against those that a corpus has.

    Args:
        corpus: The corpus.
        corpus_dir: Directory of the corpus.
        langs: Languages asked for; none for all.

    Returns:
        The languages in the order asked for, each once.

    Raises:
        UserError: The corpus does not have all of them, one has a name that is not a
            language code, or the corpus cannot be read.
    """
    try:
        known = corpus.list_languages(corpus_dir)
        unusable = corpus.list_unusable(corpus_dir) if corpus.list_unusable else {}
    except OSError as error:
        raise _cannot_read(error) from error
    for lang in langs:
        if lang in unusable:
            raise UserError(unusable[lang])
    chosen = list(dict.fromkeys(langs or known))
    if odd := [lang for lang in chosen if not is_language_code(lang)]:
        raise UserError(
            f"{str(corpus_dir / odd[0])!r} cannot be a language's directory, as a "
            f"language code has {CODE_RULE}: rename it, or choose other languages with "
            "--langs."
        )
    if alike := find_alike(chosen):
        raise UserError(
            f"The languages {' and '.join(alike)} of {corpus_dir} differ in case only, "
            "which some file systems do not tell apart: rename one, or choose other "
            "languages with --langs."
        )
    missing = [lang for lang in langs if lang not in known]
    if unknown := [lang for lang in missing if not can_speak(lang)]:
        verb = "is" if len(unknown) == 1 else "are"
        raise UserError(
            f"{' '.join(unknown)} of --langs {verb} not in {corpus_dir} "
            f"({corpus.name}): choose from "
            f"{' '.join(filter(is_language_code, sorted(known)))}; <lang>@{SYNTHETIC} "
            "is synthetic speech of a language."
        )
    return chosen


@contextmanager
def _no_search_for_cycles() -> Iterator[None]:
    """Spare Python the search for cycles, in vain in millions of rows: a tenth."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


@_no_search_for_cycles()
def prepare_language(
    corpus: CorpusSpec,
    corpus_dir: Path | str,
    lang: str,
    datadir: Path | str,
    options: CorpusOptions,
) -> PreparedLanguage:
    """Write one language's data directories, or see that they are there already.

    Args:
        corpus: The corpus.
        corpus_dir: Directory of the corpus.
        lang: Language of the corpus.
        datadir: Directory that gets ``<corpus>/<lang>/``.
        options: Options for the corpus and for this stage.

    Raises:
        UserError: The corpus cannot be read, a split is empty, the result is not valid
            or cannot be written.
    """
    corpus_dir, directory = Path(corpus_dir), Path(datadir) / corpus.name / lang
    if is_donor_only(lang) and lang not in corpus.list_languages(corpus_dir):
        corpus = speaking(corpus)
    loaded = None
    if corpus.list_inputs is None:
        # A corpus that makes its audio itself knows what is there and what is missing.
        loaded = _load(corpus, corpus_dir, lang, options)
    made_from = _fingerprint(corpus, corpus_dir, lang, options, loaded)
    done = directory / DONE
    if record := _read_record(done, made_from):
        return PreparedLanguage(lang, directory, True, **record)
    remove_if_there(done)
    language = loaded or _load(corpus, corpus_dir, lang, options)
    joined = ""
    if options.labels:
        path = labels_file(options.labels, lang)
        language, joined = join_labels(language, path)
    language, unlabelled = leave_out_unlabelled(language, options.require_labels)
    language = _apply_limits(language, options)
    _write_rejected(directory / REJECTED, language.rejected)
    for split in SPLITS:
        if not language.splits.get(split):
            dropped = Counter(
                item.reason for item in language.rejected if item.split == split
            )
            found = f"{_reasons(dropped)} dropped" if dropped else "it is empty"
            raise UserError(
                f"{corpus_dir / lang}: no utterance of {split} is left ({found}; "
                f"see {directory / REJECTED}): leave {lang} out of --langs, or "
                "complete its data."
            )
    many = sum(map(len, language.splits.values())) > _MANY
    for split in progress(SPLITS, description=f"Writing {lang}") if many else SPLITS:
        write_data_dir(directory / split, language.splits[split], language.phones)
    record = {
        "utterances": {s: _count(map(_gender, language.splits[s])) for s in SPLITS},
        "speakers": {s: count_speakers(language.splits[s]) for s in SPLITS},
        "rejected": _count(rejection.reason for rejection in language.rejected),
        "unlabelled": unlabelled,
        "joined": joined,
        "notes": language.notes,
    }
    # What is read back takes the place of what was written.
    del language, loaded
    if problems := validate_language(directory):
        raise UserError(
            f"{problems[0]} ({len(problems)} problems in {directory}; "
            f"'{command_call('validate_data')} {directory}' lists them.) "
            "Correct the corpus and run again."
        )
    files = [f"{s}/{path.name}" for s in SPLITS for path in (directory / s).iterdir()]
    made = {"made_from": made_from, "files": sorted([*files, REJECTED]), **record}
    write_json(done, made)
    return PreparedLanguage(lang, directory, False, **record)


def count_speakers(utterances: Iterable[Utterance]) -> dict[str, int]:
    """Count speakers by gender: ``f``, ``m``, ``unknown``."""
    genders: dict[str, str] = {}
    for utt in utterances:
        if "gender" in utt.labels or utt.speaker not in genders:
            genders[utt.speaker] = _gender(utt)
    return _count(genders.values())


def _cannot_read(error: OSError) -> UserError:
    return UserError(
        f"{error.filename} cannot be read ({error.strerror}): correct the path or its "
        "permissions."
    )


def _load(
    corpus: CorpusSpec, corpus_dir: Path, lang: str, options: CorpusOptions
) -> LanguageSplits:
    try:
        return corpus.load_language(corpus_dir, lang, options)
    except OSError as error:
        raise _cannot_read(error) from error


def _apply_limits(language: LanguageSplits, options: CorpusOptions) -> LanguageSplits:
    rejected = list(language.rejected)
    splits: dict[str, list[Utterance]] = {}
    for split, utterances in language.splits.items():
        limit = options.max_train_utts if split == "train" else options.max_test_utts
        splits[split], left_out = limit_utterances(utterances, limit, options.seed)
        reason = f"over the limit of {limit}"
        rejected += (Rejection(split, utt.id, reason) for utt in left_out)
    return replace(language, splits=splits, rejected=rejected)


def _write_rejected(path: Path, rejected: Iterable[Rejection]) -> None:
    with (
        replacing(path) as temporary,
        temporary.open("w", encoding="utf-8", errors="backslashreplace") as lines,
    ):
        lines.write("split\titem\treason\n")
        for rejection in sorted(rejected):
            fields = (rejection.split, rejection.item, rejection.reason)
            words = (make_inert(" ".join(field.split())) for field in fields)
            lines.write("\t".join(words) + "\n")


def _fingerprint(
    corpus: CorpusSpec,
    corpus_dir: Path,
    lang: str,
    options: CorpusOptions,
    language: LanguageSplits | None,
) -> dict[str, Any]:
    """What the result depends on, as JSON gives it back.

    That is the state of the corpus's files, or what was loaded where the corpus does
    not name them.
    """
    paths: list[Path] = []
    inputs: dict[str, Any] = {}
    if corpus.list_inputs is not None:
        paths += corpus.list_inputs(corpus_dir, lang, options)
    elif language is not None:
        content = repr((language.splits, language.rejected))
        inputs["content"] = hashlib.sha256(content.encode()).hexdigest()
    if options.labels:
        paths.append(labels_file(options.labels, lang))
    inputs |= {str(path): _state(path) for path in paths}
    return {
        "format": _FORMAT,
        "corpus": corpus.name,
        "corpus_dir": os.path.abspath(corpus_dir),
        "inputs": inputs,
        "use_validated": options.use_validated,
        "require_labels": list(options.require_labels),
        "max_train_utts": options.max_train_utts,
        "max_test_utts": options.max_test_utts,
        "seed": options.seed,
    }


def _state(path: Path) -> list[int] | None:
    try:
        status = path.stat()
    except (OSError, ValueError):  # such as a NUL in its name
        return None
    # The size of a directory says nothing; its time changes with every new file.
    return [0 if path.is_dir() else status.st_size, status.st_mtime_ns]


def _read_record(done: Path, made_from: dict[str, Any]) -> dict[str, Any] | None:
    """Counts of an earlier preparation, if it is complete and of the same input."""
    try:
        record = read_json(done, "run stage 1 again")
    except UserError:
        return None
    if record.pop("made_from", None) != made_from:
        return None
    if not all((done.parent / name).is_file() for name in record.pop("files")):
        return None
    return record


def _gender(utterance: Utterance) -> str:
    return utterance.labels.get("gender", "unknown")


def _count(values: Iterable[str]) -> dict[str, int]:
    return dict(sorted(Counter(values).items()))


def _counts(counts: dict[str, int], unit: str, has_gender: bool) -> str:
    text = counted(sum(counts.values()), unit)
    if not has_gender:
        return text
    parts = " + ".join(
        f"{counts.get(gender, 0)} {gender}"
        for gender in ("f", "m", "unknown")
        if gender in counts or gender != "unknown"
    )
    return f"{text} ({parts})"


def _reasons(counts: Mapping[str, int]) -> str:
    """For instance ``3 (clip missing: 1, gender not given: 2)``."""
    parts = ", ".join(f"{reason}: {count}" for reason, count in sorted(counts.items()))
    return f"{sum(counts.values())} ({parts})"
