"""People who speak several languages: who is tested serves for nothing else.

Splits share no speaker within a language, but a bilingual person may be in one
language's train or dev and another's test.
"""

from collections.abc import Mapping, Sequence

from espnet2_cltm.corpus.datadir import Utterance, read_table
from espnet2_cltm.corpus.people import person_of
from espnet2_cltm.experiment.settings import Settings

# A split gives up the people whom another language has in these.
_BARRED_BY = {"train": ("dev", "test"), "dev": ("test",), "test": ()}

People = Mapping[str, Mapping[str, frozenset[str]]]


def people_of(settings: Settings, languages: Sequence[str]) -> People:
    """Collect who is in dev and in test of each language.

    Args:
        settings: The experiment's settings.
        languages: Language codes.

    Returns:
        People by language and split.
    """
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
    """Leave out whom another language tests, or of train also validates on.

    Args:
        people: From :func:`people_of`, or empty.
        lang: The language of the utterances.
        split: Their split.
        utterances: The split's utterances.
    """
    barred = {
        person
        for other, splits in people.items()
        if other != lang
        for other_split in _BARRED_BY[split]
        for person in splits[other_split]
    }
    return [u for u in utterances if person_of(u.speaker, lang) not in barred]


def _speakers(settings: Settings, lang: str, split: str) -> list[str]:
    path = settings.split_dir(lang, split) / "utt2spk"
    return list(read_table(path).values()) if path.exists() else []
