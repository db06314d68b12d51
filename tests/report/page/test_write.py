import base64
import gzip
import json
import re
from dataclasses import replace

import numpy as np
import pytest

from espnet2_cltm.matrix.languages import Language
from espnet2_cltm.report.contents import Report
from espnet2_cltm.report.page import write
from espnet2_cltm.report.page.section import LARGEST, LEAVABLE, Section, paragraphs
from espnet2_cltm.report.page.sections import SECTIONS
from espnet2_cltm.report.page.write import page_data, write_page
from espnet2_cltm.report.provenance import Provenance
from tests.report.page.html_parts import Parts
from tests.report.reports import make_report, simulated

HOSTILE = "</script><b onclick='x'>&amp;\"{{ 7*7 }}"


def parse(path) -> Parts:
    return Parts(path.read_text(encoding="utf-8"))


def unpacked(path, name):
    found = re.search(f'id="{name}">([^<]*)<', path.read_text(encoding="utf-8"))
    return gzip.decompress(base64.b64decode(found[1])).decode("utf-8")


@pytest.fixture(scope="module")
def three():
    return make_report([simulated(3, 3)], files={"cltm.csv": "target,ca\n"})


@pytest.fixture
def written(three, tmp_path):
    path = tmp_path / "report.html"
    write_page(path, three)
    return path


def test_page_loads_nothing_from_elsewhere(written):
    for tag, attributes in parse(written).tags:
        assert tag not in ("link", "img", "iframe", "base") or (
            attributes.get("href") == "data:,"
        )
        for name in ("src", "srcset", "action", "data", "poster", "background"):
            assert name not in attributes, (tag, attributes)
        link = attributes.get("href", "#")
        assert re.match(r"#|data:,|[a-z_]+\.(png|pdf)$", link), link
    text = written.read_text(encoding="utf-8")
    style = text[text.index("<style>") : text.index("</style>")]
    assert "url(" not in style
    assert "@import" not in style


def test_data_comes_back_as_it_was(three, written):
    shown = [one for one in SECTIONS if one.html(three) is not None]
    data = page_data(three, shown)
    assert json.loads(unpacked(written, "data")) == json.loads(json.dumps(data))
    assert "Plotly" in unpacked(written, "plotly")


def test_same_contents_give_the_same_bytes(three, written, tmp_path):
    again = tmp_path / "again.html"
    write_page(again, three)
    assert again.read_bytes() == written.read_bytes()


def test_every_link_of_the_contents_leads_somewhere(written):
    tags = parse(written).tags
    ids = [attributes["id"] for _, attributes in tags if "id" in attributes]
    assert len(set(ids)) == len(ids)
    links = {a["href"][1:] for _, a in tags if a.get("href", "").startswith("#")}
    assert links
    assert links <= set(ids)


def test_labels_and_titles_that_refer_to_others_find_them(written):
    tags = parse(written).tags
    ids = {attributes.get("id") for _, attributes in tags}
    for _, attributes in tags:
        if "aria-labelledby" in attributes:
            assert attributes["aria-labelledby"] in ids


def test_hostile_names_and_paths_stay_text(tmp_path):
    scores = simulated(3, 3)
    scores = replace(scores, source=replace(scores.source, file=HOSTILE))
    names = {
        code: Language(code, f"{HOSTILE} {code}", HOSTILE) for code in scores.languages
    }
    report = make_report(
        [scores],
        names,
        provenance=Provenance(HOSTILE, {"corpus": HOSTILE}, {}, ((HOSTILE, HOSTILE),)),
        build_command=HOSTILE,
        files={"cltm.csv": HOSTILE},
    )
    path = tmp_path / "report.html"
    write_page(path, report)
    found = parse(path)
    assert "b" not in {tag for tag, _ in found.tags}
    assert not any("onclick" in attributes for _, attributes in found.tags)
    assert found.closed.count("script") == 4
    assert HOSTILE in found.text
    sections = json.loads(unpacked(path, "data"))["sections"]
    assert sections["downloads"]["cltm.csv"] == HOSTILE


def test_contents_name_the_sections_that_are_there_in_their_order(three, written):
    text = written.read_text(encoding="utf-8")
    links = re.findall('<li><a href="#([a-z-]+)">([^<]+)</a></li>', text)
    headings = re.findall(
        '<section id="([a-z-]+)">(?:\n<[^>]+>)*?\n?(?:<summary>)?<h2[^>]*>([^<]+)</h2>',
        text,
    )
    assert links == headings
    assert [id_ for id_, _ in links] == [
        one.id for one in SECTIONS if one.html(three) is not None
    ]


def test_a_section_is_added_by_one_object(three, tmp_path):
    """As a person's own module does it: one Section, and its place in the list."""

    def spread(report: Report) -> str | None:
        if len(report.display_languages) < 3:
            return None
        return paragraphs([f"Of {len(report.display_languages)} languages."])

    mine = Section(
        id="spread",
        title="Spread of <gains>",
        html=spread,
        data=lambda report: {"gains": report.main.matrix.relative_gain.tolist()},
        script="element.dataset.count = data.gains.length;",
    )
    path = tmp_path / "report.html"
    write_page(path, three, [*SECTIONS[:2], mine, *SECTIONS[2:]])
    text = path.read_text(encoding="utf-8")
    assert '<a href="#spread">Spread of &lt;gains&gt;</a>' in text
    assert "<p>Of 3 languages.</p>" in text
    assert text.index('<section id="the-matrix">') < text.index('<section id="spread">')
    assert text.index('<section id="spread">') < text.index('<section id="rankings">')
    assert mine.script in text
    sections = json.loads(unpacked(path, "data"))["sections"]
    assert np.shape(sections["spread"]["gains"]) == (3, 3)

    write_page(path, make_report([simulated(2, 3)]), [mine])
    text = path.read_text(encoding="utf-8")
    assert "spread" not in text and mine.script not in text
    assert json.loads(unpacked(path, "data"))["sections"] == {}


def test_a_page_that_is_too_large_does_without_what_stands_elsewhere(
    tmp_path, monkeypatch
):
    cells = "\n".join(map(str, np.random.default_rng(0).random(2_000)))
    whole = make_report([simulated(16, 5)], files={"cells.tsv": cells})
    whole = replace(whole, analyses=[whole.main, make_report([simulated(16)]).main])
    path = tmp_path / "report.html"

    def left_out(largest: int) -> list[str]:
        monkeypatch.setattr(write, "LARGEST", largest)
        write_page(path, whole)
        return [one for one in LEAVABLE if one in path.read_text(encoding="utf-8")]

    assert left_out(LARGEST) == []
    assert left_out(path.stat().st_size - 1) == [*LEAVABLE[:1]]
    assert left_out(0) == [*LEAVABLE]
    data = json.loads(unpacked(path, "data"))
    assert data["sections"]["downloads"] == {}
    assert [metric["seeds"] for metric in data["metrics"]] == [None]
    assert 'class="matrix"' not in path.read_text(encoding="utf-8")


@pytest.mark.slow
def test_page_of_54_languages_with_five_metrics_is_at_most_6_mb(tmp_path):
    scores = simulated(54)
    cells = "\n".join(f"a\tb\t{0.1234567890123 + k}" for k in range(54 * 54))
    report = make_report([scores], files={"cells.tsv": cells})
    report = replace(report, analyses=[report.main] * 5)
    path = tmp_path / "report.html"
    write_page(path, report)
    assert path.stat().st_size <= LARGEST
