"""What a corpus is: one object in one file, which lists and loads languages.

A corpus becomes known by its name in :mod:`espnet2_cltm.registry`: it comes with the
package, or another package declares it by an entry point of the group
``espnet2_cltm.corpora``. It gives what its files state; labels of the user's own
(``--labels``), required labels and limits are stage 1's, and hold for every corpus.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from espnet2_cltm.corpus.datadir import Utterance
from espnet2_cltm.corpus.phones import Phone
from espnet2_cltm.errors import UserError
from espnet2_cltm.files import shipped
from espnet2_cltm.language_codes import is_donor_only

GENDER_OF_VALUE = {
    "f": "f",
    "female": "f",
    "female_feminine": "f",
    "m": "m",
    "male": "m",
    "male_masculine": "m",
}
"""Genders as people write them, in lower case, among them Common Voice's spellings."""


@dataclass(frozen=True, slots=True, order=True)
class Rejection:
    """Something of the corpus that was left out.

    Attributes:
        split: ``train``, ``dev`` or ``test``.
        item: Clip, utterance or speaker, as the corpus names it.
        reason: Reason in a few words that are the same for all items of that kind.
    """

    split: str
    item: str
    reason: str


@dataclass
class LanguageSplits:
    """One language of a corpus.

    Attributes:
        splits: Utterances by split name (``train``, ``dev``, ``test``), with
            speakers that no two splits share.
        rejected: What was left out, with the reason.
        own_name: Function from an utterance to the corpus's own name of it, such as a
            clip's file name.
        unusable: Why a value that the corpus has is not taken for a label, such as
            "gender is 'other'", by utterance id and label.
        notes: What else a user should know, such as which of two releases was taken.
        phones: Times of the phones of an utterance by its id, where they are known.
    """

    splits: dict[str, list[Utterance]]
    rejected: list[Rejection] = field(default_factory=list)
    own_name: Callable[[Utterance], str] = lambda utterance: utterance.id
    unusable: dict[tuple[str, str], str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    phones: dict[str, list[Phone]] = field(default_factory=dict)


@dataclass(frozen=True)
class CorpusOptions:
    """Choices of stage 1, for a corpus or for what stage 1 makes of it.

    Attributes:
        nj: Number of processes to use.
        use_validated: Whether Common Voice's train is enlarged with ``validated.tsv``.
        config: YAML file of the demo corpus.
        labels: Path of a table of labels, ``{lang}`` standing for the language; empty
            for none.
        require_labels: Labels without which an utterance is left out, but in a language
            where a split has no others.
        max_train_utts: Most utterances in a language's train, 0 for all.
        max_test_utts: Most utterances in its dev and in its test, each, 0 for all.
        seed: Seed of the draw under those two limits.
        tts_dir: Directory where synthetic speech is put.
    """

    nj: int = 1
    use_validated: bool = False
    config: Path | None = None
    labels: str = ""
    require_labels: tuple[str, ...] = ("gender",)
    max_train_utts: int = 0
    max_test_utts: int = 0
    seed: int = 42
    tts_dir: Path = Path("downloads/tts")


@dataclass(frozen=True)
class CorpusSpec:
    """One corpus.

    Attributes:
        name: Name as in ``--corpus``.
        list_languages: Function from the corpus's directory to its language codes.
        load_language: Function of (corpus's directory, language, options) that loads a
            language.
        list_inputs: Function with the same arguments that lists the files on which the
            result depends, by which stage 1 sees that nothing has changed; None where
            loading is quick, or the corpus makes its audio itself: then stage 1 loads
            and compares.
        list_unusable: Function from the corpus's directory to those languages that lack
            something, each with the sentence that says what; None where loading tells.
        db_variable: Variable in ``db.sh`` that holds the corpus's directory.
        default_dir: Directory where ``db.sh`` names none; empty where it has to.
        default_languages: Function from the options to the languages where none are
            asked for; None for all.
        config: Its YAML file where it has one, in ``conf/``; ``--demo_config`` takes
            another.
        is_demo: Whether each task's demo budget is made for it.
        people_across_languages: Whether a speaker's name, but for ``<lang>-``, is one
            person in all languages.
    """

    name: str
    list_languages: Callable[[Path], list[str]]
    load_language: Callable[[Path, str, CorpusOptions], LanguageSplits]
    list_inputs: Callable[[Path, str, CorpusOptions], list[Path]] | None = None
    list_unusable: Callable[[Path], dict[str, str]] | None = None
    db_variable: str = ""
    default_dir: str = ""
    default_languages: Callable[[CorpusOptions], list[str]] | None = None
    config: str = ""
    is_demo: bool = False
    people_across_languages: bool = False

    def choose_config(self, asked: str) -> Path | None:
        """Return the YAML file of the corpus; None where it has none.

        Args:
            asked: Value of ``--demo_config``; may be empty.
        """
        chosen = asked or self.config
        return shipped(chosen) if chosen else None

    def choose_directory(self, asked: str, db: Mapping[str, str]) -> Path:
        """Return the directory of the corpus.

        Args:
            asked: Value of ``--corpus_dir``; may be empty.
            db: Variables of ``db.sh``.

        Raises:
            UserError: It is said nowhere.
        """
        chosen = asked or db.get(self.db_variable) or self.default_dir
        if not chosen:
            advice = f"set {self.db_variable} in db.sh, or " if self.db_variable else ""
            raise UserError(
                f"The directory of the corpus {self.name} is not known: {advice}give "
                "it with --corpus_dir."
            )
        return Path(chosen)


def person_of(speaker: str, lang: str) -> str:
    """Return who a speaker is, whatever the language.

    Speaker ids begin with ``<lang>-``. Where a corpus names a person the same in all
    languages (:attr:`CorpusSpec.people_across_languages`), what follows tells who it
    is. What stands in for a language has speakers of its own.
    """
    return speaker if is_donor_only(lang) else speaker.removeprefix(f"{lang}-")


def languages_below(
    directory: Path,
    wanted: Sequence[str],
    has_some: Callable[[Path], bool],
    what: str,
    remedy: str,
) -> tuple[str, ...]:
    """Return the languages whose directories below one have something: all, or some.

    Args:
        directory: Directory with a directory for each language.
        wanted: Language codes; empty for all that are there.
        has_some: Function that says of a language's directory whether it has any.
        what: What it has, for the message.
        remedy: What to do where it is missing, likewise.

    Raises:
        UserError: No language has any, or not all that are wanted.
    """
    places = directory.iterdir() if directory.is_dir() else ()
    known = sorted(path.name for path in places if has_some(path))
    if not known:
        raise UserError(f"{directory} holds no {what}: {remedy}.")
    if unknown := [lang for lang in wanted if lang not in known]:
        raise UserError(
            f"{directory} has no {what} of {', '.join(unknown)}, only of "
            f"{', '.join(known)}: correct --langs, or {remedy}."
        )
    return tuple(dict.fromkeys(wanted)) or tuple(known)
