from collections import Counter

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from espnet2_cltm.errors import UserError
from espnet2_cltm.label.espnet_task import LabelEspnetTask
from espnet2_cltm.tasks.training import training_arguments
from espnet2_cltm.tasks.whole_batches import WholeBatches, require_whole_batches
from tests.speech import TINY_GENDER


@given(
    n=st.integers(1, 12),
    batch_size=st.integers(1, 6),
    n_batches=st.integers(1, 5),
    n_epochs=st.integers(1, 4),
    seed=st.integers(0, 2**31),
)
def test_batches_are_equal_and_use_every_utterance_equally(
    n, batch_size, n_batches, n_epochs, seed
):
    utterances = [f"utt{k}" for k in range(n)]
    sampler = WholeBatches(utterances, batch_size, n_batches, seed)
    epochs = [sampler.generate(seed + epoch) for epoch in range(1, n_epochs + 1)]
    assert all(len(epoch) == n_batches == len(sampler) for epoch in epochs)
    assert all(len(batch) == batch_size for epoch in epochs for batch in epoch)
    used = Counter(utt for epoch in epochs for batch in epoch for utt in batch)
    counts = [used[utt] for utt in utterances]
    assert max(counts) - min(counts) <= 1
    # An epoch's batches depend on nothing but the seed and its number.
    again = WholeBatches(utterances, batch_size, n_batches, seed)
    assert again.generate(seed + n_epochs) == epochs[-1]


def test_seeds_give_other_orders():
    utterances = [f"utt{k}" for k in range(20)]
    orders = [
        WholeBatches(utterances, 4, 5, seed).generate(seed + 1) for seed in (1, 2)
    ]
    assert orders[0] != orders[1]


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("batch_type", "sorted"),
        ("iterator_type", "chunk"),
        ("num_iters_per_epoch", None),
        ("shuffle_within_batch", True),
        ("drop_last_iter", True),
    ],
)
def test_options_that_make_other_batches_are_refused(tmp_path, option, value):
    config = {**TINY_GENDER, "whole_batches": True, "num_iters_per_epoch": 3}
    path = tmp_path / "train.yaml"
    path.write_text(yaml.safe_dump({**config, option: value}))
    args = training_arguments(LabelEspnetTask, path)
    with pytest.raises(UserError, match=option):
        require_whole_batches(args)
