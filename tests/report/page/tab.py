"""A report opened in a browser: what it shows, and ways to point, click and choose."""

import re
from pathlib import Path

from espnet2_cltm.matrix.languages import describe, read_languages
from tests.report.reports import CONF, NINE

LAPTOP = {"width": 1366, "height": 768}
NAMES = {code: one.name for code, one in describe(NINE, read_languages(CONF)).items()}
PIXELS = """async ([x, y]) => {
    const heatmap = document.getElementById("heatmap");
    heatmap.scrollIntoView({block: "center"});
    // A card does not outlive scrolling, which is told of with the next frame.
    for (const _ of [1, 2]) await new Promise(requestAnimationFrame);
    const { xaxis, yaxis } = heatmap._fullLayout;
    const box = heatmap.getBoundingClientRect();
    return [
        box.left + xaxis._offset + xaxis.d2p(x),
        box.top + yaxis._offset + yaxis.d2p(y),
    ];
}"""


class Tab:
    """A page opened from disk, with everything it complained of or asked for."""

    def __init__(
        self, browser, path: Path, before: str = "", hash: str = "", **options
    ):
        self.complaints: list[str] = []
        self.requests: list[str] = []
        context = browser.new_context(**{"viewport": LAPTOP, **options})
        self.page = context.new_page()
        self.page.set_default_timeout(60_000)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on(
            "console",
            lambda message: (
                self.complaints.append(message.text)
                if message.type in ("error", "warning")
                else None
            ),
        )
        self.page.route(re.compile("^(?!file:)"), self._block)
        if before:
            self.page.add_init_script(before)
        self.page.goto(path.as_uri() + hash)

    def _block(self, route):
        self.requests.append(route.request.url)
        route.abort()

    def close(self):
        self.page.context.close()

    def wait(self) -> "Tab":
        self.page.wait_for_selector("html[data-ready=true]")
        return self

    def open(self, *sections: str):
        """Open sections by a click, where they are not open yet."""
        for id in sections:
            if self.page.locator(f"#{id} > details:not([open])").count():
                self.page.click(f"#{id} > details > summary")

    def drawn(self, marks: str, n: int = 1):
        """Wait for `n` marks of a chart, which Plotly draws a moment later."""
        self.page.locator(marks).nth(n - 1).wait_for(state="attached")

    def cell(self) -> tuple[str, str]:
        """Codes of the chosen target and donor."""
        return tuple(
            self.page.evaluate("[cltm.state.target, cltm.state.donor].map(cltm.code)")
        )

    def choose(self, **selects: str):
        for name, value in selects.items():
            self.page.select_option(f"#{name}", value)

    def names(self, axis: str) -> list[str]:
        """Languages along an axis, without the mark of those not identified."""
        ticks = self.page.evaluate(
            f"document.getElementById('heatmap').layout.{axis}.ticktext"
        )
        return [tick.removesuffix(" †") for tick in ticks]

    def order(self) -> list[str]:
        """Codes in the order of the rows, which has to be that of the columns."""
        rows, columns = self.names("yaxis"), self.names("xaxis")
        assert rows == columns
        codes = {name: code for code, name in NAMES.items()}
        return [codes[name] for name in rows]

    def shown(self) -> dict[tuple[str, str], str]:
        """Texts in the cells by target and donor, as drawn."""
        order = self.order()
        trace = self.page.evaluate(
            "(({x, y, text}) => ({x, y, text}))"
            "(document.getElementById('heatmap').data[2])"
        )
        return {
            (order[y], order[x]): text
            for x, y, text in zip(trace["x"], trace["y"], trace["text"], strict=True)
        }

    def coloured(self) -> dict[tuple[str, str], float]:
        """Values that have a colour, by target and donor."""
        order = self.order()
        z = self.page.evaluate("document.getElementById('heatmap').data[0].z")
        return {
            (target, donor): z[y][x]
            for y, target in enumerate(order)
            for x, donor in enumerate(order)
            if z[y][x] is not None
        }

    def point_at(self, target: str, donor: str) -> str:
        """Move the mouse onto a cell; gives what the label says."""
        order = self.order()
        return self.point_at_place(order.index(target), order.index(donor))

    def point_at_place(self, row: int, column: int) -> str:
        """Move the mouse onto the cell of a row and column."""
        label = "#hover"
        self.page.mouse.move(2, 2)
        self.page.wait_for_selector(label, state="hidden")
        self.page.mouse.move(*self.page.evaluate(PIXELS, [column, row]))
        self.page.wait_for_selector(label)
        return self.page.text_content(label)

    def click(self, target: str, donor: str):
        """Click a cell."""
        self.point_at(target, donor)
        self.page.mouse.down()
        self.page.mouse.up()

    def table(self) -> dict[str, dict[str, str]]:
        """The panel's table: by seed and column."""
        rows = self.page.evaluate(
            "[...document.querySelectorAll('#cell-table tr')]"
            ".map((row) => [...row.cells].map((cell) => cell.textContent))"
        )
        head = [text.replace("\u00a0", " ") for text in rows[0]]
        return {row[0]: dict(zip(head[1:], row[1:], strict=True)) for row in rows[1:]}
