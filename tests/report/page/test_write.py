import base64
import gzip
import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from espnet2_cltm.matrix.languages import Language
from espnet2_cltm.report.page.build import build_page
from espnet2_cltm.report.page.provenance import Provenance
from espnet2_cltm.report.page.write import write_page
from tests.report.page.reports import make_report, simulated

HOSTILE = "</script><b onclick='x'>&amp;\"{{ 7*7 }}"
MOST_BYTES = 6 * 1024 * 1024


class Tags(HTMLParser):
    """Collects tags with attributes, and text."""

    def __init__(self):
        super().__init__()
        self.tags: list[tuple[str, dict]] = []
        self.closed: list[str] = []
        self.text: list[str] = []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        self.closed.append(tag)

    def handle_data(self, data):
        self.text.append(data)


def parse(path):
    parser = Tags()
    parser.feed(path.read_text(encoding="utf-8"))
    parser.close()
    return parser


def unpacked(path, name):
    found = re.search(f'id="{name}">([^<]*)<', path.read_text(encoding="utf-8"))
    return gzip.decompress(base64.b64decode(found[1])).decode("utf-8")


@pytest.fixture(scope="module")
def three():
    return make_report([simulated(3, 3)], files={"cltm.csv": "target,ca\n"})


@pytest.fixture
def written(three, tmp_path):
    path = tmp_path / "report.html"
    write_page(path, *build_page(three))
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
    _, data = build_page(three)
    assert json.loads(unpacked(written, "data")) == json.loads(json.dumps(data))
    assert "Plotly" in unpacked(written, "plotly")


def test_same_contents_give_the_same_bytes(three, written, tmp_path):
    again = tmp_path / "again.html"
    write_page(again, *build_page(three))
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
    write_page(path, *build_page(report))
    found = parse(path)
    assert "b" not in {tag for tag, _ in found.tags}
    assert not any("onclick" in attributes for _, attributes in found.tags)
    assert found.closed.count("script") == 3
    assert HOSTILE in "".join(found.text)
    assert json.loads(unpacked(path, "data"))["files"]["cltm.csv"] == HOSTILE


def test_figures_are_linked_where_they_lie_beside_the_page(three, tmp_path):
    def links(path):
        write_page(path, *build_page(three))
        hrefs = [attributes.get("href", "#") for _, attributes in parse(path).tags]
        return [href for href in hrefs if href[0] not in "#d"]

    path = tmp_path / "report.html"
    assert links(path) == []
    for name in ("rankings.pdf", "heatmap.png", "other.png"):
        (tmp_path / name).touch()
    assert links(path) == ["heatmap.png", "rankings.pdf"]


def test_page_of_54_languages_with_five_metrics_is_at_most_6_mb(tmp_path):
    scores = simulated(54)
    cells = "\n".join(f"a\tb\t{0.1234567890123 + k}" for k in range(54 * 54))
    report = make_report([scores], files={"cells.tsv": cells})
    report = replace(report, analyses=[report.main] * 5)
    path = tmp_path / "report.html"
    write_page(path, *build_page(report))
    assert path.stat().st_size <= MOST_BYTES
