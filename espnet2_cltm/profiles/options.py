"""Options that commands about recordings share."""

from espnet2_cltm.options import POSITIVE, Option

NGRAM = Option(
    "ngram",
    "length of the token sequences that atds counts; longer ones tell more of a "
    "language and need more recordings",
    POSITIVE,
    "1",
)
