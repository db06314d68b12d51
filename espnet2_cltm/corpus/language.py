"""What a corpus is: one object in one file, which lists and loads languages.

A corpus becomes known by its name in :mod:`espnet2_cltm.registry`: it comes with the
package, or another package declares it by an entry point of the group
``espnet2_cltm.corpora``.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from espnet2_cltm.corpus.datadir import Utterance


@dataclass(frozen=True, slots=True, order=True)
class Rejection:
    """Something of the corpus that was left out.

    Attributes:
        split: ``train``, ``dev`` or ``test``.
        item: Clip, utterance or speaker, as the corpus names it.
        reason: Why, in a few words that are the same for all items of that kind.
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
    """

    splits: dict[str, list[Utterance]]
    rejected: list[Rejection] = field(default_factory=list)


@dataclass(frozen=True)
class CorpusOptions:
    """Choices that a corpus module, or stage 1 after it, may need.

    Attributes:
        nj: Number of processes to use.
        use_validated: Common Voice: enlarge train with ``validated.tsv``.
        config: Corpus-specific YAML file (the demo's speakers and prompts).
        require_gender: Leave out utterances whose gender is not known; stage 1 keeps
            them in a language where a split has no others.
        max_train_utts: At most so many utterances in a language's train, 0 for all.
        max_test_utts: The same for dev and for test, each.
        seed: Of the draw under those two limits.
    """

    nj: int = 1
    use_validated: bool = False
    config: Path | None = None
    require_gender: bool = True
    max_train_utts: int = 0
    max_test_utts: int = 0
    seed: int = 42


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
        db_variable: Variable in ``db.sh`` that holds the corpus's directory.
        default_dir: Directory where ``db.sh`` names none; empty where one must be given.
        default_languages: Function from the options to the languages where none are
            asked for; None for all.
        is_demo: Whether each task's demo budget is made for it.
        people_across_languages: Whether a speaker's name, but for ``<lang>-``, is one
            person in all languages.
    """

    name: str
    list_languages: Callable[[Path], list[str]]
    load_language: Callable[[Path, str, CorpusOptions], LanguageSplits]
    list_inputs: Callable[[Path, str, CorpusOptions], list[Path]] | None = None
    db_variable: str = ""
    default_dir: str = ""
    default_languages: Callable[[CorpusOptions], list[str]] | None = None
    is_demo: bool = False
    people_across_languages: bool = False
