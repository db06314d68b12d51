"""Cells and errors of a case computed by hand, and intervals that hold."""

import numpy as np
import pandas as pd
import pytest

from espnet2_cltm.abx.cells import MATCH, Design, make_cells
from espnet2_cltm.abx.distances import prepare_frames
from espnet2_cltm.abx.items import COLUMNS
from espnet2_cltm.abx.scoring import cell_errors, collapse
from espnet2_cltm.errors import UserError
from tests.abx.random_items import RATE, random_items


def table(*rows):
    """Items (label, speaker, neighbours), each of a file of its own."""
    return pd.DataFrame(
        [
            (f"f{n}", 0.0, 1.0, label, *(neighbours or "xx"), speaker)
            for n, (label, speaker, neighbours) in enumerate(rows)
        ],
        columns=list(COLUMNS),
    )


def degrees(*angles):
    """One frame an item, at an angle in the plane."""
    radians = np.deg2rad(angles)
    frames = np.stack([np.cos(radians), np.sin(radians)], axis=1)
    return prepare_frames(frames, "angular", "x"), np.arange(len(angles))[:, None] + [
        0,
        1,
    ]


def errors_of(items, design, *angles):
    frames, spans = degrees(*angles)
    cells = make_cells(items, design)
    errors = cell_errors(frames, spans, cells, "angular", "")
    return {
        (*map(str, labels), *map(str, speakers)): error
        for labels, speakers, error in zip(
            cells.labels, cells.speakers, errors, strict=True
        )
    }, collapse(cells, errors, 0, 0)


def test_a_case_by_hand_within_a_speaker():
    # Two a at 0 and 10 degrees, one b at 18. X at 0: A is 10 away, B 18. X at 10: A is
    # 10 away, B 8: one of two triples is wrong. b has no second item for X.
    items = table(("a", "s", ""), ("a", "s", ""), ("b", "s", ""))
    found, score = errors_of(items, Design(speaker="within"), 0, 10, 18)
    assert found == {("a", "b", "s", "s"): 0.5}
    assert score.error == 0.5
    assert score.contrasts.to_dict("records") == [
        {"label": "a", "other": "b", "error": 0.5, "triples": 2}
    ]


def test_a_case_by_hand_across_speakers():
    # Of s: a at 0, b at 40. Of t: a at 10 and 30, b at 60.
    items = table(
        *(("a", "s", ""), ("b", "s", ""), ("a", "t", ""), ("a", "t", "")),
        ("b", "t", ""),
    )
    found, score = errors_of(items, Design(), 0, 40, 10, 30, 60)
    assert found == {
        # X of t: 10 is nearer to 0, 30 is nearer to 40.
        ("a", "b", "s", "t"): 0.5,
        # X of t at 60 is nearer to 40 than to 0.
        ("b", "a", "s", "t"): 0.0,
        # X of s at 0: a of t is 10 and 30 away, b 60.
        ("a", "b", "t", "s"): 0.0,
        # X of s at 40: b of t is 20 away; a 30 and 10.
        ("b", "a", "t", "s"): 0.5,
    }
    assert score.error == 0.25
    assert score.contrasts["error"].tolist() == [0.25, 0.25]


def test_a_tie_counts_half():
    items = table(("a", "s", ""), ("b", "s", ""), ("a", "t", ""))
    found, _ = errors_of(items, Design(), 0, 40, 20)
    assert found == {("a", "b", "s", "t"): 0.5}


def test_other_neighbours_are_compared_only_if_any_will_do():
    items = table(("a", "s", "xy"), ("b", "s", "xz"), ("a", "t", "xy"))
    with pytest.raises(UserError, match="no three can be compared"):
        make_cells(items, Design())
    assert len(make_cells(items, Design(context="any"))) == 1


def test_languages_share_a_gender_and_never_a_speaker():
    items = table(
        *(("es", "es-1", ""), ("es", "es-2", ""), ("es", "es-3", "")),
        *(("sw", "sw-1", ""), ("sw", "sw-2", "")),
    )
    items[MATCH] = list("ffmfm")
    cells = make_cells(items, Design(on="language"))
    assert cells.labels.tolist() == [["es", "sw"]] * 2
    assert cells.speakers.tolist() == [["es-1", "es-2"], ["es-2", "es-1"]]
    assert [cells.groups[b].tolist() for b in cells.b] == [[3], [3]]
    with pytest.raises(UserError, match="--on language needs --speaker across"):
        Design(on="language", speaker="within")


def test_contexts_come_before_speakers_and_these_before_pairs():
    # Speaker s has two contexts, wrong and right; t has one, wrong: (0.5 + 1) / 2.
    items = table(
        *(("a", "s", "xx"), ("a", "s", "xx"), ("b", "s", "xx")),
        *(("a", "s", "yy"), ("a", "s", "yy"), ("b", "s", "yy")),
        *(("a", "t", "xx"), ("a", "t", "xx"), ("b", "t", "xx")),
    )
    angles = (0, 60, 30, 0, 1, 90, 0, 60, 30)
    _, score = errors_of(items, Design(speaker="within"), *angles)
    assert score.error == 0.75


def test_a_single_label_is_refused():
    with pytest.raises(UserError, match="of one phone, 'a'"):
        make_cells(table(("a", "s", ""), ("a", "t", "")), Design())


def test_draws_are_within_limits_and_depend_on_the_seed_alone():
    items, _ = random_items(600, labels="ab", speakers=6, neighbours="x")
    design = Design(max_group=3, max_x_speakers=2, seed=1)

    def drawn(items, design):
        cells = make_cells(items, design)
        names = (items["file"] + items["onset"].map(str)).to_numpy()
        return cells, {
            (*labels, *speakers): (
                sorted(names[cells.groups[a]]),
                sorted(names[cells.groups[b]]),
            )
            for labels, speakers, a, b in zip(
                map(tuple, cells.labels),
                map(tuple, cells.speakers),
                cells.a,
                cells.b,
                strict=True,
            )
        }

    cells, first = drawn(items, design)
    assert max(map(len, cells.groups)) == 3
    assert len(cells) == 2 * 6 * 2
    shuffled = items.sample(frac=1, random_state=0).reset_index(drop=True)
    assert drawn(shuffled, design)[1] == first
    assert drawn(items, Design(max_group=3, max_x_speakers=2, seed=2))[1] != first


def test_an_interval_holds_the_error_and_needs_three_speakers():
    items, features = random_items(400, labels="ab", speakers=6, neighbours="x")
    frames = prepare_frames(np.concatenate(list(features.values())), "angular", "x")
    lengths = [len(found) for found in features.values()]
    starts = dict(zip(features, np.cumsum([0, *lengths[:-1]]), strict=True))
    first = items["file"].map(starts).to_numpy(int)
    spans = np.stack(
        [
            first + (items[side] * RATE).round().astype(int).to_numpy()
            for side in ("onset", "offset")
        ],
        axis=1,
    )
    cells = make_cells(items, Design(context="any"))
    errors = cell_errors(frames, spans, cells, "angular", "")
    score = collapse(cells, errors, 500, 0)
    assert 0 < score.low < score.error < score.high < 0.6
    assert collapse(cells, errors, 500, 0).low == score.low
    few = make_cells(items[items["speaker"].isin(["s0", "s1"])], Design(context="any"))
    assert np.isnan(collapse(few, np.zeros(len(few)), 500, 0).low)
