"""The tasks, as ESPnet tasks.

ESPnet's phoneme tokenizer, which its collate function brings along, imports
``g2p_en``. That import takes seconds, tries to download data, and is of no use to
these tasks, so it is put off until something asks for it.
"""

from espnet2_cltm.tasks.postponed_import import importing_later

with importing_later("g2p_en"):
    import espnet2.text.phoneme_tokenizer  # noqa: F401
