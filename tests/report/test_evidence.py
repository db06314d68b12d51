"""The data, the trainings and the scores behind a report."""

import dataclasses
import re

import numpy as np
import pytest
from scipy.special import ndtr

from espnet2_cltm.errors import UserError
from espnet2_cltm.files import write_text
from espnet2_cltm.matrix.scores import ResultsSource
from espnet2_cltm.report.evidence import (
    Evidence,
    equal_error_rate,
    lowest_rate,
    miss_rate,
    narrow_line,
    read_evidence,
)
from espnet2_cltm.report.layers import PANELS, draw_layers, weights_by_family
from espnet2_cltm.report.page.sections import SECTIONS
from espnet2_cltm.report.summary import remarks
from espnet2_cltm.report.verification import draw_verification
from espnet2_cltm.results_format import DATA_COLUMNS, LAYER_COLUMNS, MEASURE_COLUMNS
from tests.report.figure_texts import boxes, lie_inside, overlap
from tests.report.reports import make_report, simulated

SOURCE = ResultsSource("results.tsv", "0" * 64, "speaker", "roc_auc", 32, steps="equal")
EVIDENCE = ("corpus", "training", "scores", "layers", "calibration")
P_FA = np.concatenate(([0], ndtr(np.linspace(-3, 3, 61)), [1]))


def write(directory, name: str, columns, rows):
    lines = ["\t".join(columns), *("\t".join(map(str, row)) for row in rows)]
    (directory / name).write_text("\n".join(lines) + "\n")


def measures(languages, **by_name):
    """Lines of each measure: values by ``at``."""
    return [
        ("speaker", kind, 32, "equal", lang, name, at, 10, value)
        for kind in ("single", "double", "pair")
        for lang in languages
        for name, values in by_name.items()
        for at, value in values.items()
    ]


def layer_lines(languages, steps=0.01):
    """Lines of ``layers.tsv``: pairs are nearer to the double, by ``steps`` a state."""
    lines = []
    for lang in languages:
        donors = ["+".join(sorted((lang, x))) for x in languages if x != lang]
        for kind, trained in (("single", [lang]), ("double", [lang]), ("pair", donors)):
            for names in trained:
                for at in (0, 1):
                    values = {
                        "cka_pretrained": 0.9 - 0.2 * at,
                        "task_probe": 0.8 + 0.1 * at,
                        "task_probe_pretrained": 0.7 + 0.1 * at,
                        "weight": 0.25 + 0.5 * at,
                        "cka_double": 0.9 + steps * at * (kind == "pair"),
                    }
                    if kind == "pair":
                        values["cka_donors"] = 0.95
                    if kind == "double":
                        del values["cka_double"]
                    of = ("speaker", kind, names, 32, "equal", lang)
                    lines += [(*of, k, at, 10, v, 0.01) for k, v in values.items()]
    return lines


@pytest.fixture
def experiment(tmp_path):
    """An experiment of four languages, of which the first is on the telephone."""
    scores = simulated(4)
    first, *_ = languages = scores.languages
    rows = []
    for lang in languages:
        narrow, remark = (9, "sampled at 8000 Hz: 9") if lang == first else (0, "")
        rows += [
            ("speaker", lang, split, 3, 10, 3600, 64, narrow, remark)
            for split in ("train", "dev", "test")
        ]
    write(tmp_path, "data.tsv", DATA_COLUMNS, rows)
    curves = measures(
        languages,
        train_loss={1: 2.0, 2: 0.25},
        steps={1: 4, 2: 8},
        valid_eer={1: 0.4, 2: 0.3},
        chosen={2: 1},
    )
    curves.append(("speaker", "single", 16, "equal", first, "train_loss", 1, 9, 99))
    curves.append(("speaker", "single", 32, "data", first, "train_loss", 1, 9, 99))
    write(tmp_path, "curves.tsv", MEASURE_COLUMNS, curves)
    shown = measures(
        languages,
        target={0.2: 30, 0.24: 42},
        nontarget={-0.2: 30, 0.2: 20},
        p_miss=dict(zip(P_FA, (1 - P_FA) ** 2, strict=True)),
    )
    write(tmp_path, "scores.tsv", MEASURE_COLUMNS, shown)
    write(tmp_path, "layers.tsv", LAYER_COLUMNS, layer_lines(languages))
    write_text(
        tmp_path / "data/speaker/left_out.tsv", "language\treason\nxx\ttoo few\n"
    )
    (tmp_path / "experiment.yaml").write_text("corpus: demo\n")
    scores = dataclasses.replace(scores, source=SOURCE)
    return tmp_path, scores


def test_the_sections_show_what_the_files_hold(experiment):
    directory, scores = experiment
    evidence = read_evidence(directory / "results.tsv", SOURCE)
    report = make_report([scores], evidence=evidence)
    shown = {one.id: one for one in SECTIONS}
    html = {
        x: shown[x].html(report) for x in ("corpus", "training", "scores", "layers")
    }
    text = {
        id: " ".join(re.sub("<[^>]*>", " ", part).split()) for id, part in html.items()
    }
    name = report.languages[scores.languages[0]].name
    assert f"{name} 3 / 3 / 3 10 / 10 / 10 1.0 / 1.0 / 1.0 64 64 90%" in text["corpus"]
    assert "sampled at 8000 Hz: 27" in text["corpus"]
    assert "Narrow-band" in text["corpus"]
    assert any("xx (too few)" in line for line in remarks(report))
    assert (
        "single 40 2 8 2.000 to 0.250 0.400 to 0.300 2 (2 to 2) 100%"
        in (text["training"])
    )
    assert "single 2,880 2,000 0.980" in text["scores"]
    panels = shown["training"].data(report)
    assert [panel["kinds"]["pair"]["mean"] for panel in panels] == [
        [2, 0.25],
        [0.4, 0.3],
    ]
    drawn = shown["scores"].data(report)["kinds"]["double"]
    assert sum(drawn["target"]["share"]) == pytest.approx(1)
    for draw in (draw_verification, draw_layers):
        figure = draw(report)
        assert lie_inside(figure)
        assert not overlap(boxes(figure, figure.texts))


def test_layers_are_told_by_hidden_state(experiment):
    directory, scores = experiment
    evidence = read_evidence(directory / "results.tsv", SOURCE)
    report = make_report([scores], evidence=evidence)
    section = next(one for one in SECTIONS if one.id == "layers")
    text = " ".join(re.sub("<[^>]*>", " ", section.html(report)).split())
    assert "Single runs change hidden state 1 the most" in text and "0.3000" in text
    assert "nearer to the double run" in text
    assert "hidden state 1: by 0.0100 in CKA, and so in 4 of 4 targets" in text
    panels = {panel["title"]: panel["kinds"] for panel in section.data(report)}
    of_task = panels["probe of the task, accuracy"]
    assert list(of_task) == ["pretrained", "single", "double", "pair"]
    assert of_task["pretrained"]["mean"] == pytest.approx([0.7, 0.8])
    assert panels[PANELS["cka_double"]]["pair"]["mean"] == [0.1, 0.09]
    weights = weights_by_family(evidence.layers, report.languages)
    assert weights.loc[1].tolist() == pytest.approx([0.75] * weights.shape[1])


def test_calibration_is_shown_by_language_and_as_a_diagram(experiment):
    directory, scores = experiment
    shown = measures(
        scores.languages,
        metric_min_cllr={0: 0.25},
        metric_cllr_donor={0: 0.5},
        metric_roc_auc={0: 0.125},
        bin_share={0.5333: 0.75, 0.8: 0.25},
        bin_confident={0.5333: 0.45, 0.8: 0.2},
        bin_correct={0.8: 0.25},
    )
    lacking = scores.languages[0]  # singles have no donor
    gone = ("metric_cllr_donor", "single", lacking)
    shown = [row for row in shown if (row[5], row[1], row[4]) != gone]
    write(directory, "scores.tsv", MEASURE_COLUMNS, shown)
    evidence = read_evidence(directory / "results.tsv", SOURCE)
    report = make_report([scores], evidence=evidence)
    sections = {one.id: one for one in SECTIONS}
    assert sections["scores"].html(report) is None
    section = sections["calibration"]
    text = " ".join(re.sub("<[^>]*>", " ", section.html(report)).split())
    known = "0.250 / 0.250 / 0.250"
    assert f"mean of languages {known} 0.500 / 0.500 / 0.500" in text
    assert f"{report.languages[lacking].name} {known} ? / 0.500 / 0.500" in text
    assert "0.125" not in text
    (panel,) = section.data(report)
    assert panel["kinds"]["pair"] == {
        "share": [0.75, 0.25],
        "confidence": [0.6, 0.8],
        "accuracy": [0, 1],
    }


def test_rates_are_read_off_the_curve(experiment):
    directory, _ = experiment
    scores = read_evidence(directory / "results.tsv", SOURCE).scores
    curve = scores[
        (scores["measure"] == "p_miss")
        & (scores["kind"] == "pair")
        & (scores["language"] == scores["language"].iloc[0])
    ].set_index("at")
    assert equal_error_rate(curve) == pytest.approx((3 - 5**0.5) / 2, abs=1e-3)
    assert miss_rate(curve, 0.1) == pytest.approx(0.81, abs=2e-3)
    assert lowest_rate(scores) == pytest.approx(1 / 50)


def test_without_files_there_is_nothing(tmp_path, experiment):
    directory, scores = experiment
    (directory / "experiment.yaml").unlink()
    assert read_evidence(directory / "results.tsv", SOURCE) == Evidence()
    report = make_report([scores])
    sections = [x for x in SECTIONS if x.id in EVIDENCE]
    assert [x.html(report) for x in sections] == [None] * len(EVIDENCE)
    assert draw_verification(report) is draw_layers(report) is None
    assert narrow_line(None, report.languages) is None


def test_no_warning_where_all_languages_are_narrow(experiment):
    directory, scores = experiment
    data = read_evidence(directory / "results.tsv", SOURCE).data
    languages = make_report([scores]).languages
    assert narrow_line(data, languages)
    assert narrow_line(data.assign(narrow=10.0), languages) is None
    assert narrow_line(data.assign(narrow=np.nan), languages) is None


@pytest.mark.parametrize("name", ["data.tsv", "curves.tsv", "scores.tsv", "layers.tsv"])
def test_a_damaged_file_is_told_in_one_sentence(experiment, name):
    directory, _ = experiment
    lines = (directory / name).read_text().splitlines()
    lines[2] = lines[2].replace("3600", "many").replace("10\t", "many\t")
    (directory / name).write_text("\n".join(lines))
    with pytest.raises(UserError, match=f"{name}, line 3"):
        read_evidence(directory / "results.tsv", SOURCE)
