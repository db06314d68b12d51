"""What a language's splits have to use: without the people whom another one tests.

Splits share no speaker within a language, but a bilingual person may be in one
language's train or dev and in another's test. People who are tested in any language
serve for nothing else.
"""

from collections.abc import Mapping, Sequence

from espnet2_cltm.corpus.datadir import SPLITS, Utterance, read_table
from espnet2_cltm.corpus.language import person_of
from espnet2_cltm.corpus.stored import read_split, read_undecoded
from espnet2_cltm.errors import UserError
from espnet2_cltm.experiment.settings import Settings

# A split leaves out the people whom another language has in these.
_BARRED_BY: Mapping[str, tuple[str, ...]] = {
    "train": ("dev", "test"),
    "dev": ("test",),
    "test": (),
}

People = Mapping[str, Mapping[str, frozenset[str]]]
"""People in dev and in test, by language and split."""


def people_of(settings: Settings, languages: Sequence[str]) -> People:
    """Return the people in dev and in test, if languages share some, or else none."""
    if not settings.shared_speakers:
        return {}
    return {
        lang: {
            split: frozenset(
                person_of(speaker, lang) for speaker in _speakers(settings, lang, split)
            )
            for split in ("dev", "test")
        }
        for lang in languages
    }


def without_tested(
    people: People, lang: str, split: str, utterances: Sequence[Utterance]
) -> list[Utterance]:
    """Leave out people whom another language tests or, from train, validates on.

    Args:
        people: People of all languages, or an empty mapping.
        lang: Language of the utterances.
        split: Split of the utterances.
        utterances: The split's utterances.
    """
    if not people:
        return list(utterances)
    barred = {
        person
        for other, splits in people.items()
        if other != lang
        for other_split in _BARRED_BY[split]
        for person in splits[other_split]
    }
    return [u for u in utterances if person_of(u.speaker, lang) not in barred]


def read_language(
    settings: Settings, lang: str, people: People
) -> tuple[dict[str, list[Utterance]], dict[str, int], dict[str, tuple[int, str, str]]]:
    """Read a language from the audio store.

    Args:
        settings: The experiment's settings.
        lang: The language.
        people: People of all languages, or an empty mapping.

    Returns:
        By split, the usable utterances, those that are not decoded among them; by
        split, the number of those left out because other languages test their
        speakers; by decoded utterance, length and place of the audio, and speaker.

    Raises:
        UserError: The audio store lacks the language.
    """
    splits, n_barred, listed = {}, {}, {}
    for split in SPLITS:
        directory = settings.split_dir(lang, split)
        if not (directory / "wav.scp").exists():
            raise UserError(
                f"{directory} is not in the audio store: run stages 1 and 2 for "
                f"{lang}, or remove it from --langs."
            )
        decoded, num_samples = read_split(directory)
        utterances = sorted([*decoded, *read_undecoded(directory)], key=lambda u: u.id)
        splits[split] = without_tested(people, lang, split, utterances)
        n_barred[split] = len(utterances) - len(splits[split])
        for u in decoded:
            listed[u.id] = (num_samples[u.id], u.audio, u.speaker)
    return splits, n_barred, listed


def _speakers(settings: Settings, lang: str, split: str) -> list[str]:
    path = settings.split_dir(lang, split) / "utt2spk"
    return list(read_table(path).values()) if path.exists() else []
