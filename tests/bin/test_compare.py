import json
from pathlib import Path

import pytest

from espnet2_cltm.bin.build_matrix import main as build_matrix
from espnet2_cltm.bin.compare import get_parser, main
from tests.matrix.results_files import perf_rows, write_results

ROOT = Path(__file__).parents[2]
CONF = str(ROOT / "conf" / "languages.yaml")


def perf(kind: str, tested: str, donor: str, seed: int) -> float:
    base = {"ca": 0.70, "es": 0.60, "tr": 0.65, "eu": 0.6}[tested] + seed % 3 * 0.001
    if kind == "single":
        return base
    if kind == "double":
        # Turkish gains nothing from more Turkish.
        return base + (0.0 if tested == "tr" else 0.1) + (seed % 2) * 0.002
    return base + {"ca": 0.08, "es": 0.05, "tr": -0.02, "eu": 0.01}[donor]


@pytest.fixture
def built(tmp_path, capsys, monkeypatch) -> Path:
    figures = "espnet2_cltm.bin.build_matrix.write_figures"
    monkeypatch.setattr(figures, lambda *_: [])  # they take seconds
    rows = perf_rows(("ca", "es", "eu", "tr"), (42, 43, 44, 45), perf)
    results = write_results(tmp_path / "results.tsv", rows)
    outdir = tmp_path / "cltm"
    build_matrix(
        ["--results", str(results), "--outdir", str(outdir), "--languages_conf", CONF]
    )
    capsys.readouterr()
    return outdir


def test_what_stage_6_wrote_is_compared_with_a_published_matrix(
    tmp_path, built, capsys
):
    outdir = tmp_path / "comparison"
    main([str(built), "gender_mhubert", "--outdir", str(outdir)])
    assert sorted(path.name for path in outdir.iterdir()) == [
        "comparison.json",
        "comparison.txt",
        "scatter.pdf",
        "scatter.png",
    ]
    printed = capsys.readouterr().out
    assert printed.startswith((outdir / "comparison.txt").read_text())
    assert "4 languages in common, 9 off-diagonal cells in both" in printed
    assert "With targets not identified, 12 cells:" in printed
    found = json.loads((outdir / "comparison.json").read_text())
    assert found["languages"] == ["ca", "es", "eu", "tr"]
    assert found["identified_cells"]["n_cells"] == 9
    assert found["all_cells"]["n_cells"] == 12
    assert found["intervals"]["n_cells"] == 9
    assert found["permutations_are_all"] is True
    assert found["permutations"] == 24
    assert len(found["differences"]) == 9


def test_two_published_matrices_give_the_same_whenever_they_are_compared(tmp_path):
    options = ["--permutations", "99", "--largest", "3"]
    texts = []
    for name in ("first", "second"):
        outdir = str(tmp_path / name)
        main(["speaker_mhubert", "speaker_ecapa", "--outdir", outdir, *options])
        texts.append((tmp_path / name / "comparison.json").read_text())
    assert texts[0] == texts[1]
    found = json.loads(texts[0])
    # Almost unrelated: 0.010 and -0.100 over 44 * 43 cells, by numpy and scipy.
    assert found["identified_cells"]["n_cells"] == 1892
    assert found["identified_cells"]["pearson"] == pytest.approx(0.00996, abs=1e-5)
    assert found["identified_cells"]["spearman"] == pytest.approx(-0.09993, abs=1e-5)
    assert found["intervals"] is None
    text = (tmp_path / "first" / "comparison.txt").read_text()
    assert text.count(" from ") == 4  # three cells and the head of the table


def test_a_name_that_is_nothing_is_one_sentence_and_leaves_nothing(tmp_path, capsys):
    with pytest.raises(SystemExit) as caught:
        main(["speaker_ecapo", "gender_mhubert", "--outdir", str(tmp_path / "out")])
    assert caught.value.code == 1
    said = capsys.readouterr().err
    assert "speaker_ecapo is not a directory of stage 6" in said
    assert len(said.splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_permutations_and_their_seed_have_defaults():
    assert get_parser().parse_args(["a", "b", "--outdir", "c"]).permutations == 9999
    assert get_parser().parse_args(["a", "b", "--outdir", "c"]).seed == 42


def test_no_label_is_drawn_where_none_is_asked_for(tmp_path, capsys):
    main(["asr_mhubert", "gender_mhubert", "--outdir", str(tmp_path), "--largest", "0"])
    assert "Largest differences" not in capsys.readouterr().out
