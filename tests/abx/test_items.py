"""Items: ZeroSpeech's files in and out, and made of the times of phones."""

import numpy as np
import pytest

from espnet2_cltm.abx.items import (
    frames_of,
    items_of_phones,
    items_of_utterances,
    read_items,
    write_items,
)
from espnet2_cltm.corpus.datadir import Utterance
from espnet2_cltm.corpus.phones import Phone
from espnet2_cltm.errors import UserError

HEADER = "#file onset offset #phone prev-phone next-phone speaker"
SPOKEN = [
    *(Phone(0.1, 0.1, "k"), Phone(0.2, 0.1, "a"), Phone(0.3, 0.1, "s")),
    *(Phone(0.4, 0.2, "a"), Phone(1.0, 0.1, "o")),
]
UTTERANCES = [
    Utterance("s-1", "s", "a", lang="es"),
    Utterance("s-2", "s", "b", lang="es"),
]


def rows(items):
    return [tuple(row) for row in items.itertuples(index=False)]


def test_a_phone_has_its_own_times_and_its_neighbours_names():
    found = rows(items_of_phones(UTTERANCES, {"s-1": SPOKEN}, "phone"))
    assert found == [
        ("s-1", 0.1, pytest.approx(0.2), "k", "SIL", "a", "s"),
        ("s-1", 0.2, pytest.approx(0.3), "a", "k", "s", "s"),
        ("s-1", 0.3, pytest.approx(0.4), "s", "a", "a", "s"),
        ("s-1", 0.4, pytest.approx(0.6), "a", "s", "SIL", "s"),
        ("s-1", 1.0, pytest.approx(1.1), "o", "SIL", "SIL", "s"),
    ]


def test_a_triphone_takes_in_its_neighbours_and_never_silence():
    found = rows(items_of_phones(UTTERANCES, {"s-1": SPOKEN}, "triphone"))
    assert found == [
        ("s-1", 0.1, pytest.approx(0.4), "a", "k", "s", "s"),
        ("s-1", 0.2, pytest.approx(0.6), "s", "a", "a", "s"),
    ]


def test_an_utterance_goes_from_its_first_phone_to_its_last():
    found = items_of_utterances(UTTERANCES, {"s-1": SPOKEN}, {"s-1": 2.0, "s-2": 3.0})
    assert found["onset"].tolist() == [0.1, 0.0]
    assert found["offset"].tolist() == [pytest.approx(1.1), 3.0]
    assert set(found["label"]) == {"es"}


def test_what_is_written_is_read(tmp_path):
    items = items_of_phones(UTTERANCES, {"s-1": SPOKEN}, "phone")
    write_items(tmp_path / "a.item", items)
    assert (tmp_path / "a.item").read_text().startswith(f"{HEADER}\ns-1 0.1000 0.2000")
    assert rows(read_items(tmp_path / "a.item")) == [
        (file, pytest.approx(onset), pytest.approx(offset), *names)
        for file, onset, offset, *names in rows(items)
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a b c\n", "is not an item file"),
        (f"{HEADER}\n", "has no item"),
        (f"{HEADER}\nf 0 1 a b c\n", "line 2: 'f 0 1 a b c'"),
        (f"{HEADER}\nf 0 1 a b c s\nf x 1 a b c s\n", "line 3: 'f x 1"),
        (f"{HEADER}\nf 1 1 a b c s\n", "line 2: the item of f goes from 1 to 1"),
    ],
)
def test_other_files_are_refused(tmp_path, text, said):
    (tmp_path / "a.item").write_text(text)
    with pytest.raises(UserError, match=f"a.item.*{said}"):
        read_items(tmp_path / "a.item")


@pytest.mark.parametrize(
    ("onset", "offset", "frames"),
    [
        (0.0, 0.1, [0, 1, 2, 3, 4]),  # middles at 0.01, 0.03, ...
        (0.01, 0.03, [0, 1]),
        (0.011, 0.029, []),
        (0.29, 0.31, [14, 15]),  # 0.29 * 50 is not 14.5 in binary
    ],
)
def test_an_item_has_the_frames_whose_middle_lies_in_it(onset, offset, frames):
    items = items_of_phones(
        UTTERANCES, {"s-1": [Phone(onset, offset - onset, "a")]}, "phone"
    )
    first, behind = frames_of(items, 50)
    assert np.arange(first[0], behind[0]).tolist() == frames
