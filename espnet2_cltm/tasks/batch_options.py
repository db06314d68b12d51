"""ESPnet's options under which all batches can be equal (no torch is imported here)."""

ESPNET_BATCH_SIZE = 20
"""ESPnet's ``batch_size`` where a configuration does not give it."""

WHOLE_BATCHES_NEED = {
    "batch_type": ("unsorted", "folded"),
    "iterator_type": ("sequence", "sequence"),
    "multiple_iterator": (False, False),
    "shuffle_within_batch": (False, False),
    "drop_last_iter": (False, False),
}
"""By option, the value that whole batches need, and ESPnet's default."""
