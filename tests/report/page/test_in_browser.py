"""The page in a real browser, opened from disk, with no network."""

import csv
import json
import os
import re
import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from espnet2_cltm.bin import build_matrix, find_regime
from espnet2_cltm.matrix.languages import describe, display_order, read_languages
from espnet2_cltm.matrix.strategies import compare_strategies
from espnet2_cltm.report.page.write import write_page
from espnet2_cltm.results_format import COST_COLUMNS
from tests.matrix.matrix_reader import read_matrix
from tests.matrix.pool_files import write_pool_experiment
from tests.matrix.results_files import perf_rows, write_results
from tests.report.page.tab import NAMES, PIXELS, Tab
from tests.report.reports import (
    CONF,
    FAST,
    NINE,
    NOT_IDENTIFIED,
    NOT_MEASURED,
    SEEDS,
    analysed,
    make_report,
    nine_languages,
    simulated,
)

pytestmark = pytest.mark.slow

MINUS, TIMES = "\N{MINUS SIGN}", "\N{MULTIPLICATION SIGN}"
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def refuse_to_run(reason: str) -> None:
    """Leave the tests out on a person's machine, fail where all have to run."""
    (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(reason)


@pytest.fixture(scope="module")
def browser():
    found = [os.environ.get("CLTM_BROWSER"), *map(shutil.which, BROWSERS)]
    path = next(filter(None, found), None)
    if path is None:
        refuse_to_run("no Chromium: install one, or name it in CLTM_BROWSER")
    try:
        from playwright import sync_api
    except ImportError:
        refuse_to_run("no playwright: install tools/requirements-test.txt")
    options = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    with sync_api.sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=path, args=options)
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def nine(tmp_path_factory):
    """Nine languages, built by the command line."""
    directory = tmp_path_factory.mktemp("nine languages")
    curve = {2: 0.55, 4: 0.6, 8: 0.7, 16: 0.8, 32: 0.83}
    rows = [
        row
        for budget in curve
        for row in perf_rows(
            ("ca", "tr"),
            SEEDS,
            lambda kind, tested, donor, seed, n=budget: curve[n] + seed % 3 * 0.002,
            budget=budget,
        )
        if row[2] == "single" and row[3] == row[6]
    ]
    curves = write_results(directory / "curves.tsv", rows)
    regime = directory / "regime"
    find_regime.main(["--results", str(curves), "--outdir", str(regime)])
    write_results(directory / "results.tsv", nine_languages(("macro_f1", "accuracy")))
    options = {
        "results": directory / "results.tsv",
        "outdir": directory / "cltm",
        "regime": regime / "regime.json",
        "languages_conf": CONF,
        "resamples": 200,
    }
    build_matrix.main([x for k, v in options.items() for x in (f"--{k}", str(v))])
    return directory


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    path = tmp_path_factory.mktemp("many") / "report.html"
    scores = simulated(54, gain_sd=0.06, run_sd=0.05)
    write_page(path, make_report([scores, scores]))
    return path


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    path = tmp_path_factory.mktemp("two") / "report.html"
    write_page(path, make_report([simulated(2, 3)]))
    return path


@pytest.fixture(scope="module")
def opened(browser, nine):
    tab = Tab(browser, nine / "cltm" / "report.html").wait()
    tab.page.evaluate("window.atFirst = {...cltm.state}")
    yield tab
    tab.close()


@pytest.fixture(scope="module")
def opened_two(browser, two):
    tab = Tab(browser, two).wait()
    yield tab
    tab.close()


@pytest.fixture(scope="module")
def opened_many(browser, many):
    tab = Tab(browser, many).wait()
    yield tab
    tab.close()


@pytest.mark.parametrize("width", [1366, 390])
def test_a_strategy_is_chosen_and_kept_in_the_address(browser, tmp_path, width):
    viewport = {"width": width, "height": 768}
    path = tmp_path / "report.html"
    found = {name: analysed(simulated(3, 3)) for name in ("full", "lora", "llrd")}
    costs = pd.DataFrame(
        {name: [1.0] for name in COST_COLUMNS},
        pd.MultiIndex.from_tuples([("single", "ca", 42)], names=["a", "b", "seed"]),
    )
    compared = compare_strategies(found, dict.fromkeys(found, costs), FAST)
    full, *others = found
    rivals = {name: found[name] for name in others}
    scores = found[full].scores
    write_page(path, make_report([scores, scores], strategies=compared, rivals=rivals))
    tab = Tab(browser, path, hash="#view=gain&cell=ca,es", viewport=viewport).wait()
    tab.page.select_option("#strategy", label="llrd")
    assert tab.page.evaluate("location.hash").endswith("&strategy=llrd")
    assert tab.page.is_disabled("#metric")
    assert "view=gain" in tab.page.evaluate("location.hash")
    tab.page.evaluate("openSection('strategies')")
    tab.drawn("#strategies-chart .main-svg")
    assert tab.page.evaluate(
        "document.documentElement.scrollWidth <= document.documentElement.clientWidth"
    )
    again = Tab(browser, path, hash=tab.page.evaluate("location.hash")).wait()
    assert again.page.input_value("#strategy") == "2"
    assert tab.complaints == again.complaints == []
    tab.close()
    again.close()


@pytest.fixture
def tab(opened):
    """The page of nine languages, as it looks when it is opened."""
    opened.page.evaluate("cltm.update(window.atFirst)")
    yield opened
    assert opened.complaints == []
    assert opened.requests == []


@pytest.fixture(scope="module")
def cells(nine):
    with (nine / "cltm" / "cells.tsv").open() as file:
        lines = csv.DictReader(file, delimiter="\t")
        return {(line["target"], line["donor"]): line for line in lines}


@pytest.fixture(scope="module")
def cltm(nine):
    return read_matrix(nine / "cltm" / "cltm.csv")


@pytest.fixture(scope="module")
def results(nine):
    """Values by metric, kind, languages, tested language and seed."""
    with (nine / "results.tsv").open() as file:
        return {
            (
                *(line["metric"], line["kind"], line["languages"]),
                *(line["test_language"], line["seed"]),
            ): float(line["value"])
            for line in csv.DictReader(file, delimiter="\t")
        }


def text_of(value: float, digits: int = 2) -> str:
    return f"{value:.{digits}f}".replace("-", MINUS)


def test_page_opens_from_disk_without_a_complaint_or_the_network(
    opened, opened_two, opened_many
):
    for tab in (opened, opened_two, opened_many):
        assert (tab.complaints, tab.requests) == ([], [])
        assert tab.page.locator("#notice").is_hidden()
        assert not tab.page.evaluate(
            "performance.getEntriesByType('resource')"
            ".filter(({name}) => !name.startsWith('file:')).length"
        )


def test_page_never_scrolls_sideways(opened, opened_two, opened_many):
    for tab in (opened, opened_two, opened_many):
        for width in (390, 800, 1920, 1366):
            tab.page.set_viewport_size({"width": width, "height": 768})
            # The figures follow the window's size a moment later.
            tab.page.wait_for_function(
                "width => window.innerWidth == width"
                " && document.documentElement.scrollWidth <= width",
                arg=width,
                timeout=20_000,
            )


def test_cells_show_the_matrix_and_what_is_missing(tab, cltm):
    shown = tab.shown()
    for i, target in enumerate(cltm.rows):
        for j, donor in enumerate(cltm.columns):
            pair = tuple(sorted((target, donor)))
            if pair in NOT_MEASURED:
                assert shown[target, donor] == TIMES
            elif target != NOT_IDENTIFIED:
                assert shown[target, donor] == text_of(cltm.values[i, j])
    identified = {key for key in tab.coloured() if key[0] != NOT_IDENTIFIED}
    assert identified == set(tab.coloured())


def test_pointing_at_a_cell_shows_estimate_interval_q_and_seeds(tab, cells):
    label = tab.point_at("ca", "es")
    cell = cells["ca", "es"]
    low, high = (text_of(float(cell[f"fieller_{end}"])) for end in ("low", "high"))
    assert label.startswith("Catalan (ca) from Spanish (es)")
    assert f"CLTM: {text_of(float(cell['cltm']))}" in label
    assert f"95% interval (Fieller): [{low}, {high}]" in label
    assert re.search(r"q against no gain: [\d.]+\S*; CLTM 1: [\d.]+", label)
    assert "4 seeds" in label
    assert "family: Indo-European (Romance)" in label


def test_pointing_at_a_target_that_is_not_identified_tells_why(tab):
    label = tab.point_at(NOT_IDENTIFIED, "tr")
    assert "target not identified: self-gain" in label
    assert "positive (lower 95% bound" in label
    assert tab.page.locator("#legend-grey").is_visible()


def test_pointing_at_a_pair_that_was_not_measured_tells_its_prediction(tab, nine):
    label = tab.point_at("ca", "uz")
    assert "no pair run ca+uz tested on ca" in label
    with (nine / "cltm" / "predicted.tsv").open() as file:
        found = {
            (line["target"], line["donor"]): line
            for line in csv.DictReader(file, delimiter="\t")
        }["ca", "uz"]
    assert f"predicted from the other cells: {text_of(float(found['cltm']))}" in label


def test_clicking_a_cell_shows_its_runs_seed_by_seed(tab, results):
    tab.click("es", "de")
    assert tab.page.text_content("#cell-title") == "Spanish (es) from German (de)"
    table = tab.table()
    assert list(table) == [*map(str, SEEDS), "mean"]
    for seed in map(str, SEEDS):
        single = results["macro_f1", "single", "es", "es", seed]
        double = results["macro_f1", "double", "es", "es", seed]
        pair = results["macro_f1", "pair", "de+es", "es", seed]
        assert table[seed] == {
            "single": text_of(single, 4),
            "pair": text_of(pair, 4),
            "double": text_of(double, 4),
            f"pair {MINUS} single": text_of(round(pair, 5) - round(single, 5), 4),
            f"double {MINUS} single": text_of(round(double, 5) - round(single, 5), 4),
        }
    drawn = tab.page.evaluate(
        "document.getElementById('cell-chart').data.filter(({mode}) =>"
        " mode === 'lines+markers').map(({y}) => y)"
    )
    expected = [
        [results[("macro_f1", *run, "es", str(seed))] for seed in SEEDS]
        for run in (("single", "es"), ("pair", "de+es"), ("double", "es"))
    ]
    np.testing.assert_allclose(drawn, expected, atol=6e-6)


def test_sorting_reorders_both_axes(tab, cltm, nine):
    known = describe(NINE, read_languages(CONF))
    assert tab.order() == [one.code for one in display_order(known.values())]

    tab.choose(order="name")
    assert tab.order() == sorted(NINE, key=NAMES.get)

    values = np.where(np.eye(len(NINE)) == 1, np.nan, cltm.values)
    tab.choose(order="donor")
    strength = dict(zip(cltm.columns, np.nanmean(values, axis=0), strict=True))
    assert tab.order() == sorted(NINE, key=lambda code: -strength[code])

    tab.choose(order="target")
    rows = {
        code: np.nanmean(row)
        for code, row in zip(cltm.rows, values, strict=True)
        if np.isfinite(row).any()
    }
    assert tab.order()[-1] == NOT_IDENTIFIED
    assert tab.order()[:-1] == sorted(rows, key=lambda code: -rows[code])

    tab.choose(order="clusters")
    summary = json.loads((nine / "cltm" / "summary.json").read_text())
    clusters = summary["origin"]["identified_targets"]["clusters"]
    assert tab.order() == clusters["order"]


def test_cells_move_with_their_languages(tab, cltm):
    before = tab.shown()
    tab.choose(order="donor")
    assert tab.shown() == before
    assert "Catalan (ca) from Spanish (es)" in tab.point_at("ca", "es")


@pytest.mark.parametrize(("mask", "q"), [("zero", "q_gain"), ("one", "q_one")])
def test_mask_hides_the_cells_that_do_not_differ(tab, cells, mask, q):
    tab.choose(mask=mask)
    expected = {
        key
        for key, line in cells.items()
        if line["identified"] == "yes" and (line[q] == "" or float(line[q]) < 0.05)
    }
    hidden = {key for key, x in cells.items() if x["identified"] == "yes"} - expected
    assert set(tab.coloured()) == expected
    assert tab.page.locator("#legend-masked").is_visible() == bool(hidden)
    assert mask == "zero" or hidden


def test_choice_of_the_metric_changes_values_and_runs(tab, results):
    before = tab.shown()
    tab.choose(metric="1", matrix="pair")
    tab.click("es", "de")
    value = np.mean(
        [results["accuracy", "pair", "de+es", "es", str(seed)] for seed in SEEDS]
    )
    assert tab.shown()["es", "de"] == text_of(value, 3)
    assert tab.shown() != before
    assert tab.table()["42"]["pair"] == text_of(
        results["accuracy", "pair", "de+es", "es", "42"], 4
    )
    assert "accuracy, seed by seed" in tab.page.text_content("#cell-table caption")


def test_choice_of_the_matrix_changes_what_cells_say(tab, nine):
    tab.choose(matrix="relative_gain")
    gain = read_matrix(nine / "cltm" / "relative_gain.csv")
    i, j = gain.rows.index("es"), gain.columns.index("de")
    assert tab.shown()["es", "de"] == text_of(gain.values[i, j], 3)
    assert "relative gain: " in tab.point_at("es", "de")
    assert tab.page.locator("#mask").is_enabled()
    tab.choose(matrix="zero_shot")
    assert tab.page.locator("#mask").is_disabled()


def test_predicted_cells_are_marked_and_offered_for_their_metric_only(tab, cltm):
    tab.choose(matrix="completed")
    shown = tab.shown()
    predicted = {key for key, text in shown.items() if text.startswith("<i>≈")}
    both_ways = {(a, b) for a, b in NOT_MEASURED} | {(b, a) for a, b in NOT_MEASURED}
    assert predicted == {key for key in both_ways if key[0] != NOT_IDENTIFIED}
    assert TIMES not in shown.values()
    assert tab.page.locator("#legend-predicted").is_visible()
    i, j = cltm.rows.index("es"), cltm.columns.index("de")
    assert shown["es", "de"] == text_of(cltm.values[i, j])
    tab.choose(metric="1")
    assert tab.page.input_value("#matrix") == "cltm"
    assert tab.page.locator("#matrix option[value=completed]").is_disabled()
    assert tab.page.locator("#legend-predicted").is_hidden()


def test_zero_shot_cell_shows_the_runs_trained_on_one_and_tested_on_another(
    tab, results
):
    tab.choose(matrix="zero_shot")
    tab.click("tr", "ca")
    tab.open("zero-shot")
    title = tab.page.text_content("#cell-title")
    assert title == "Trained on Catalan (ca), tested on Turkish (tr)"
    table = tab.table()
    for seed in map(str, SEEDS):
        value = results["macro_f1", "single", "ca", "tr", seed]
        assert table[seed] == {"single": text_of(value, 4)}
    assert tab.page.text_content("#target-label") == "Tested on"
    tab.drawn("#zero-shot-heatmap .hm image")


def test_everything_can_be_chosen_by_keyboard(tab):
    page = tab.page
    page.focus("#order")
    page.keyboard.press("End")
    assert tab.order() == sorted(NINE, key=NAMES.get)
    page.focus("#target")
    page.keyboard.type("Turk")
    page.focus("#donor")
    page.keyboard.type("Dutch")
    assert page.text_content("#cell-title") == "Turkish (tr) from Dutch (nl)"
    page.focus("#heatmap")
    order = tab.order()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowLeft")
    below = order[order.index("tr") + 1]
    left = order[order.index("nl") - 1]
    assert page.input_value("#target") == str(NINE.index(below))
    assert page.input_value("#donor") == str(NINE.index(left))
    for _ in NINE:
        page.keyboard.press("ArrowUp")
    assert page.input_value("#target") == str(NINE.index(order[0]))


def test_downloads_give_the_files_byte_by_byte(tab, nine, tmp_path):
    tab.open("downloads")
    names = [
        button.get_attribute("data-file")
        for button in tab.page.locator("button[data-file]").all()
    ]
    assert {"cltm.csv", "cells.tsv", "predicted.tsv", "summary.json"} <= set(names)
    for name in names:
        with tab.page.expect_download() as download:
            tab.page.click(f"button[data-file='{name}']")
        assert download.value.suggested_filename == name
        download.value.save_as(tmp_path / name)
        assert (tmp_path / name).read_bytes() == (nine / "cltm" / name).read_bytes()


@pytest.mark.parametrize(("ending", "start"), [("svg", b"<svg"), ("png", b"\x89PNG")])
def test_figure_can_be_saved(tab, tmp_path, ending, start):
    with tab.page.expect_download() as download:
        tab.page.click(f"button[data-format={ending}]")
    assert download.value.suggested_filename == f"cltm_gender_matrix.{ending}"
    download.value.save_as(tmp_path / "figure")
    assert (tmp_path / "figure").read_bytes().startswith(start)


def test_figures_beside_the_page_are_linked_where_they_lie(tab, nine):
    links = [a.get_attribute("href") for a in tab.page.locator("#downloads a").all()]
    figures = [
        path.name
        for path in (nine / "cltm").iterdir()
        if path.suffix in (".png", ".pdf")
    ]
    assert sorted(links) == sorted(figures)
    assert "zero_shot.pdf" in links


def test_rankings_comparison_and_regime_are_drawn(tab):
    tab.open("rankings", "comparison", "regime")
    for chart, marks in (
        ("#ranking-donors", len(NINE)),
        ("#ranking-targets", len(NINE) - 1),
        ("#comparison-0", 1),
        ("#regime-chart", 1),
    ):
        tab.drawn(f"{chart} .scatterlayer .point", marks)


def test_without_javascript_tables_are_open_and_told_of(browser, nine, cltm):
    tab = Tab(browser, nine / "cltm" / "report.html", java_script_enabled=False)
    page = tab.page
    notice = page.locator("noscript p")
    assert "The interactive figures need JavaScript" in notice.text_content()
    assert notice.bounding_box()["height"] > 20
    assert page.locator("#heatmap").is_hidden()
    assert page.locator("details.table-alternative table.matrix").first.is_visible()
    row = page.locator("table.matrix").first.locator("tr", has_text="Catalan")
    i = cltm.rows.index("ca")
    # By family: Germanic, Romance, Turkic.
    j = cltm.columns.index("de")
    text = row.locator("td").nth(_column(page, "de")).text_content()
    assert text.rstrip("*") == text_of(cltm.values[i, j])
    tab.close()


def _column(page, code: str) -> int:
    heads = page.locator("table.matrix").first.locator("thead th").all_text_contents()
    return heads.index(code) - 1


def test_browser_that_cannot_unpack_says_so_and_shows_tables(browser, nine):
    tab = Tab(
        browser,
        nine / "cltm" / "report.html",
        before="delete window.DecompressionStream",
    )
    tab.page.wait_for_selector("#notice:not([hidden])")
    notice = tab.page.text_content("#notice")
    assert "could not be shown (this browser is older than 2023)" in notice
    assert tab.page.locator("table.matrix").first.is_visible()
    assert tab.page.locator("#heatmap").is_hidden()
    tab.close()


def test_paper_is_light_shows_all_sections_and_no_controls(browser, many):
    tab = Tab(browser, many, color_scheme="dark").wait()
    page = tab.page
    page.evaluate(
        """window.addEventListener("beforeprint", () => {
            window.printed = {
                theme: document.documentElement.dataset.theme,
                closed: document.querySelectorAll(
                    "details[data-fold]:not([open])").length,
                tables: document.querySelectorAll(".table-alternative[open]").length,
                widths: [...document.querySelectorAll(".js-plotly-plot")].map(
                    (chart) => chart._fullLayout.width
                        * chart.style.getPropertyValue("--print-zoom")),
            };
        })"""
    )
    assert page.pdf(format="A4").startswith(b"%PDF")
    printed = page.evaluate("window.printed")
    assert (printed["theme"], printed["closed"], printed["tables"]) == ("light", 0, 0)
    assert len(printed["widths"]) > 3
    assert max(printed["widths"]) < 681
    assert page.get_attribute("html", "data-theme") == "dark"
    assert page.locator("#methods p").first.is_hidden()
    page.emulate_media(media="print")
    for hidden in (".controls", ".buttons", "nav", "#downloads", ".table-alternative"):
        assert not any(one.is_visible() for one in page.locator(hidden).all())
    assert page.locator("#shown").is_visible()
    assert (tab.complaints, tab.requests) == ([], [])
    tab.close()


def test_sections_open_are_drawn_then_and_remembered(browser, nine):
    tab = Tab(browser, nine / "cltm" / "report.html").wait()
    page = tab.page
    assert page.locator("#in-short li").first.is_visible()
    assert page.locator("#numbers table").is_hidden()
    assert page.locator("#ranking-donors .point").count() == 0
    tab.open("rankings")  # drawn before the next click, as it moves what lies below
    tab.drawn("#ranking-donors .point")
    tab.open("numbers")
    page.locator("#numbers table").wait_for()
    page.click("#in-short > details > summary")
    page.reload()
    tab.wait()
    assert page.locator("#numbers table").is_visible()
    tab.drawn("#ranking-donors .point")
    assert page.locator("#in-short li").first.is_hidden()
    page.click("nav a[href='#methods']")
    page.locator("#methods p").first.wait_for()
    tab.close()


def test_address_holds_the_view_and_brings_it_back(browser, nine):
    path = nine / "cltm" / "report.html"
    tab = Tab(browser, path, hash="#view=gain&cell=ca,es&metric=accuracy&cells=zero")
    page = tab.wait().page
    values = ("gain", "1", "zero")
    names = ("matrix", "metric", "mask")
    assert tuple(page.input_value(f"#{name}") for name in names) == values
    assert tab.cell() == ("ca", "es")
    assert page.text_content("#cell-title") == "Catalan (ca) from Spanish (es)"
    tab.choose(matrix="pair")
    tab.click("de", "nl")
    for part in ("view=pair", "cell=de,nl", "metric=accuracy"):
        assert part in page.url
    page.go_back()
    page.wait_for_function("cltm.code(cltm.state.target) === 'ca'")
    assert page.input_value("#matrix") == "pair"
    page.go_back()
    page.wait_for_function("cltm.state.matrix === 'gain'")
    page.go_forward()
    page.wait_for_function("cltm.state.matrix === 'pair'")
    assert tab.cell() == ("ca", "es")
    tab.close()


@pytest.mark.parametrize(
    "hash",
    [
        "#view=toString&cell=ca&order=x&metric=7&cells=constructor",
        "#view=&cell=xx,yy",
        "#cell=ca,es,de&view=%E0%A4%A",
        "#nowhere",
    ],
)
def test_address_that_is_not_valid_is_ignored(tab, hash):
    before = tab.page.evaluate("({...cltm.state})")
    tab.page.evaluate("hash => { location.hash = hash; }", hash)
    tab.page.evaluate("new Promise((done) => setTimeout(done, 50))")
    assert tab.page.evaluate("({...cltm.state})") == before


def test_card_of_a_cell_does_not_cover_its_neighbours(opened, opened_two, opened_many):
    for tab in (opened, opened_two, opened_many):
        last = len(tab.names("xaxis")) - 1
        tab.page.set_viewport_size({"width": 1366, "height": 768})
        for row, column in (
            (0, 0),
            (0, last),
            (last, 0),
            (last, last),
            (last // 2,) * 2,
        ):
            tab.point_at_place(row, column)
            card = tab.page.locator("#hover").bounding_box()
            x, y = tab.page.evaluate(PIXELS, [column, row])
            reach = 1.5 * tab.page.evaluate(
                "(({xaxis}) => xaxis.d2p(1) - xaxis.d2p(0))"
                "(document.getElementById('heatmap')._fullLayout)"
            )
            assert (
                card["x"] >= x + reach
                or card["x"] + card["width"] <= x - reach
                or card["y"] >= y + reach
                or card["y"] + card["height"] <= y - reach
            )
            assert card["x"] >= 0 and card["x"] + card["width"] <= 1366
        tab.page.keyboard.press("Escape")
        assert tab.page.locator("#hover").is_hidden()


def test_matrix_is_above_the_fold_of_a_laptop(browser, nine, two, many):
    for path in (nine / "cltm" / "report.html", two, many):
        tab = Tab(browser, path).wait()
        cells = tab.page.locator("#heatmap .nsewdrag").first.bounding_box()
        assert cells["y"] + cells["height"] <= 768
        headline = tab.page.locator(".headline").bounding_box()
        assert headline["y"] + headline["height"] <= cells["y"]
        tab.close()


def test_ends_of_a_row_by_keyboard(tab):
    tab.page.focus("#heatmap")
    order = tab.order()
    for key, code in (("Home", order[0]), ("End", order[-1])):
        tab.page.keyboard.press(key)
        assert tab.cell()[1] == code
    outline = "getComputedStyle(document.getElementById('heatmap')).outlineStyle"
    assert tab.page.evaluate(outline) == "solid"


def test_dark_follows_the_system_until_the_switch_is_used(browser, nine):
    tab = Tab(browser, nine / "cltm" / "report.html", color_scheme="dark").wait()
    page = tab.page
    shown = """() => [
        getComputedStyle(document.body).backgroundColor,
        document.getElementById("heatmap")._fullLayout.paper_bgcolor,
        document.querySelector("#cell-chart .xtick text").style.fill,
    ]"""
    dark = page.evaluate(shown)
    page.click("#theme")
    light = page.evaluate(shown)
    assert light[0] == "rgb(255, 255, 255)"
    assert all(one != other for one, other in zip(dark, light, strict=True))
    page.reload()
    tab.wait()
    assert page.evaluate(shown) == light
    page.click("#theme")
    assert page.evaluate(shown) == dark
    page.emulate_media(color_scheme="light")
    page.wait_for_function("document.documentElement.dataset.theme === 'light'")
    assert page.evaluate(shown) == light
    tab.close()


def test_nothing_is_wider_than_a_phone_but_what_scrolls_by_itself(browser, nine, many):
    phone = {"width": 390, "height": 844}
    for path in (nine / "cltm" / "report.html", many):
        tab = Tab(browser, path, viewport=phone, has_touch=True).wait()
        tab.page.click("#open-all")
        tab.drawn("#ranking-donors .point")
        wide = tab.page.evaluate(
            """() => [...document.querySelectorAll("body *")].filter((one) =>
                !one.closest(".scroll, nav, pre, [hidden], .unseen, svg")
                && one.getBoundingClientRect().right > innerWidth + 1
            ).map((one) => one.outerHTML.slice(0, 80))"""
        )
        assert wide == []
        tab.close()


def test_extreme_intervals_are_clipped_and_said_to_be(opened_many):
    opened_many.open("rankings")
    opened_many.drawn("#ranking-targets .point")
    for side in ("donors", "targets"):
        data, low, high, title = opened_many.page.evaluate(
            """side => {
                const { data, layout } = document.getElementById(`ranking-${side}`);
                const ends = data[0].x.filter((x) => x !== null);
                return [cltm.data.sections.rankings, Math.min(...ends),
                    Math.max(...ends), layout.xaxis.title.text];
            }""",
            side,
        )
        least, most = data["limits"]
        assert least <= low <= high <= most
        ends = [e[end] for e in data[side] for end in ("low", "high") if e["low"]]
        assert ("beyond the chart" in title) == (min(ends) < least or max(ends) > most)


def test_54_languages_can_be_pointed_at_sorted_and_clicked(opened_many):
    tab = opened_many
    rows, columns = tab.names("yaxis"), tab.names("xaxis")
    assert rows == columns
    assert len(set(rows)) == 54
    label = tab.point_at_place(10, 53)
    assert f"({rows[10]}) from " in label
    assert f" ({columns[53]})" in label
    tab.page.mouse.down()
    tab.page.mouse.up()
    assert tab.page.text_content("#cell-title") in label
    tab.choose(order="name")
    assert tab.names("yaxis") == tab.names("xaxis") != rows
    assert (tab.complaints, tab.requests) == ([], [])


def test_panel_stands_beside_the_matrix_of_54_with_its_whole_table(opened_many):
    boxes = [
        opened_many.page.locator(place).bounding_box()
        for place in ("#heatmap", "#cell")
    ]
    assert boxes[1]["x"] >= boxes[0]["x"] + boxes[0]["width"]
    widths = opened_many.page.evaluate(
        "(({scrollWidth, clientWidth}) => [scrollWidth, clientWidth])"
        "(document.getElementById('cell-table').parentElement)"
    )
    assert widths[0] <= widths[1]


def test_two_languages_are_one_pair(opened_two):
    page = opened_two.page
    data = page.evaluate("document.getElementById('heatmap').data[0].z")
    assert (len(data), len(data[0])) == (2, 2)
    assert page.locator("#cell-table tr").count() == 5


def test_gains_are_shown_first_where_no_target_is_identified(browser, tmp_path):
    path = tmp_path / "report.html"
    scores = simulated(2, 3)
    write_page(path, make_report([replace(scores, double=scores.single - 0.01)]))
    tab = Tab(browser, path).wait()
    assert tab.page.input_value("#matrix") == "gain"
    assert tab.page.evaluate("location.hash") == ""
    assert not tab.complaints
    tab.close()


def test_a_target_without_data_leads_with_what_its_pool_is_worth(browser, tmp_path):
    results = write_pool_experiment(tmp_path)
    options = ["--results", str(results), "--outdir", str(tmp_path / "cltm")]
    build_matrix.main([*options, "--resamples", "100"])
    tab = Tab(browser, tmp_path / "cltm" / "report.html").wait()
    section = tab.page.locator("#pools")
    first = section.locator("li").first.inner_text()
    assert "Catalan" in first
    assert "worth 12 utterances per class" in first
    tab.drawn("#pools-chart .xtick")
    worth = section.locator("table").first
    assert worth.locator("tbody tr").count() == 4
    assert not tab.complaints
    tab.close()
