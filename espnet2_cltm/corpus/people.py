"""Who a speaker is, whatever the language."""

from espnet2_cltm.corpus.language import person_of

__all__ = ["person_of"]
