"""Random items with features that tell a little of their labels."""

import numpy as np
import pandas as pd

from espnet2_cltm.abx.items import COLUMNS

RATE = 50


def random_items(n=400, size=6, seed=0, labels="abcd", speakers=5, neighbours="xy"):
    """Return items of several files, and features by file: (frames, size)."""
    generator = np.random.default_rng(seed)
    centres = dict(zip(labels, generator.normal(size=(len(labels), size)), strict=True))
    features, rows = {}, []
    per_file = 10
    for number in range(n // per_file):
        file, speaker = f"f{number:03d}", f"s{number % speakers}"
        frames, at = [], 0
        for _ in range(per_file):
            label = labels[generator.integers(len(labels))]
            length = int(generator.integers(1, 9))
            frames.append(centres[label] + 2 * generator.normal(size=(length, size)))
            names = [neighbours[generator.integers(len(neighbours))] for _ in range(2)]
            times = at / RATE, (at + length) / RATE
            rows.append((file, *times, label, *names, speaker))
            at += length
        features[file] = np.concatenate([*frames, np.zeros((1, size))]).astype("f4")
    return pd.DataFrame(rows, columns=list(COLUMNS)), features
