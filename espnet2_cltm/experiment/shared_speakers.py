"""People who speak several languages: nobody who is tested is trained on.

Splits share no speaker within a language, but a bilingual person may be in one
language's train and another's test. Speaker ids begin with ``<lang>-``; where a
corpus names a person the same in all languages (Common Voice does), what follows
tells who it is.
"""

from collections.abc import Mapping, Sequence

from espnet2_cltm.corpus.datadir import Utterance, read_table
from espnet2_cltm.experiment.settings import Settings


def person_of(speaker: str, lang: str) -> str:
    """Give a speaker's id without the language."""
    return speaker.removeprefix(f"{lang}-")


def tested_people(
    settings: Settings, languages: Sequence[str]
) -> dict[str, frozenset[str]]:
    """Collect who is in dev or test of each language.

    Args:
        settings: The experiment's settings.
        languages: Language codes.
    """
    people = {}
    for lang in languages:
        speakers: set[str] = set()
        for split in ("dev", "test"):
            path = settings.split_dir(lang, split) / "utt2spk"
            if path.exists():
                speakers.update(read_table(path).values())
        people[lang] = frozenset(person_of(speaker, lang) for speaker in speakers)
    return people


def without(
    people: Mapping[str, frozenset[str]], lang: str, train: Sequence[Utterance]
) -> list[Utterance]:
    """Leave out whom another language tests.

    Args:
        people: From :func:`tested_people`, or empty.
        lang: The language of ``train``.
        train: Its training utterances.
    """
    tested = {
        person for other, tested in people.items() if other != lang for person in tested
    }
    return [u for u in train if person_of(u.speaker, lang) not in tested]
