"""What a corpus module gives: one language's splits and what was left out.

Every corpus is a module with two functions, listed in
:mod:`espnet2_cltm.corpus.registry`::

    def list_languages(corpus_dir: Path) -> list[str]
    def load_language(
        corpus_dir: Path, lang: str, options: CorpusOptions
    ) -> LanguageSplits

and, where loading takes long, a third one with the files that the result depends on,
by which stage 1 sees that nothing has changed (without it, it loads and compares)::

    def list_inputs(corpus_dir: Path, lang: str, options: CorpusOptions) -> list[Path]
"""

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
