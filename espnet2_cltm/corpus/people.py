"""Who a speaker is, whatever the language.

Speaker ids begin with ``<lang>-``. Where a corpus names a person the same in all
languages (Common Voice does), what follows tells who it is.
"""


def person_of(speaker: str, lang: str) -> str:
    """Give a speaker's id without the language."""
    return speaker.removeprefix(f"{lang}-")
