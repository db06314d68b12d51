"""Cells and errors are those of fastabx, where that package is there.

It needs Python 3.12 and PyTorch 2.10; the hand-computed cases of the other files stand
in for it elsewhere.
"""

import numpy as np
import pytest

from espnet2_cltm.abx.cells import Design, make_cells
from espnet2_cltm.abx.distances import prepare_frames
from espnet2_cltm.abx.items import frames_of, write_items
from espnet2_cltm.abx.scoring import cell_errors, collapse
from tests.abx.random_items import RATE, random_items

fastabx = pytest.importorskip("fastabx")
torch = pytest.importorskip("torch")

CONDITIONS = [
    ("within", "within"),
    ("within", "any"),
    ("across", "within"),
    ("across", "any"),
]


def ours(items, features, design, distance):
    """Return the error by names of a cell, and the collapsed error."""
    first, behind = frames_of(items, RATE)
    starts, frames = {}, []
    for file, found in features.items():
        starts[file] = sum(map(len, frames))
        frames.append(found)
    shift = items["file"].map(starts).to_numpy()
    spans = np.stack([first + shift, behind + shift], axis=1)
    prepared = prepare_frames(np.concatenate(frames), distance, "random")
    cells = make_cells(items, design)
    errors = cell_errors(prepared, spans, cells, distance, "")
    names = [
        (*labels, *context.split(), *speakers[: 1 if cells.is_symmetric else 2])
        for labels, context, speakers in zip(
            cells.labels, cells.contexts, cells.speakers, strict=True
        )
    ]
    return dict(zip(names, errors, strict=True)), collapse(cells, errors, 0, 0)


def theirs(tmp_path, items, features, design, distance):
    path = tmp_path / "a.item"
    write_items(path, items)
    for file, found in features.items():
        torch.save(torch.from_numpy(found), tmp_path / f"{file}.pt")
    context = ["prev-phone", "next-phone"] if design.context == "within" else []
    across = ["speaker"] if design.speaker == "across" else []
    by = [*context, *([] if across else ["speaker"])]
    dataset = fastabx.Dataset.from_item(path, tmp_path, RATE, progress=False)
    task = fastabx.Task(dataset, on="#phone", by=by, across=across)
    score = fastabx.Score(task, distance, progress=False)
    columns = ["#phone", "#phone_b", *context, "speaker"]
    columns += ["speaker_x"] if across else []
    cells = {
        tuple(row[:-1]): row[-1] for row in score.cells[[*columns, "score"]].rows()
    }
    levels = [tuple(reversed(context))] if context else []
    details = score.details(levels=[*levels, "speaker"])
    pairs = {
        tuple(row[:2]): row[2]
        for row in details[["#phone", "#phone_b", "score"]].rows()
    }
    return cells, pairs, score.collapse(levels=[*levels, "speaker"])


@pytest.mark.parametrize("distance", ["angular", "kl_symmetric"])
@pytest.mark.parametrize(("speaker", "context"), CONDITIONS)
def test_errors_are_those_of_fastabx(tmp_path, speaker, context, distance):
    n = 1000 if speaker == "within" or context == "within" else 400
    items, features = random_items(n, speakers=5, neighbours="xyz")
    if distance == "kl_symmetric":
        features = {f: softmax(found) for f, found in features.items()}
    design = Design(speaker=speaker, context=context, max_group=0, max_x_speakers=0)
    found, score = ours(items, features, design, distance)
    cells, pairs, error = theirs(tmp_path, items, features, design, distance)
    assert found.keys() == cells.keys()
    worst = max(abs(found[name] - cells[name]) for name in cells)
    print(f"{speaker} {context} {distance}: {len(cells)} cells, worst {worst:.1e}")
    assert worst < 1e-4
    assert score.error == pytest.approx(error, abs=1e-4)
    for row in score.contrasts.itertuples():
        assert row.error == pytest.approx(pairs[row.label, row.other], abs=1e-4)


def softmax(frames):
    exponents = np.exp(frames - frames.max(axis=1, keepdims=True))
    return (exponents / exponents.sum(axis=1, keepdims=True)).astype("f4")


def test_limits_take_as_many_as_fastabx(tmp_path):
    items, features = random_items(600, labels="ab", speakers=4, neighbours="x")
    design = Design(max_group=3, max_x_speakers=2)
    cells = make_cells(items, design)
    path = tmp_path / "a.item"
    write_items(path, items)
    for file, found in features.items():
        torch.save(torch.from_numpy(found), tmp_path / f"{file}.pt")
    task = fastabx.Task(
        fastabx.Dataset.from_item(path, tmp_path, RATE, progress=False),
        on="#phone",
        by=["prev-phone", "next-phone"],
        across=["speaker"],
        subsampler=fastabx.Subsampler(3, 2, 0),
    )
    assert len(cells) == len(task)
    assert cells.n_triples().sum() == sum(len(cell) for cell in task)
