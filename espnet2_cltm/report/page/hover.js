// A card with the numbers of the cell that is pointed at. It stands aslant of the cell,
// so that its neighbours, and where there is room its row and column, stay in sight.
"use strict";

const CARD = cltm.element("div", { id: "hover", role: "tooltip", hidden: "" });
document.body.append(CARD);
document.addEventListener("keydown", ({ key }) => key === "Escape" && hideCard());
document.addEventListener("scroll", hideCard, { capture: true, passive: true });

// Let a heatmap show cards; `chart.view` is what it shows.
cltm.startHover = function (chart) {
  chart.on("plotly_hover", ({ points: [point] }) => showCard(chart, point));
  chart.on("plotly_unhover", hideCard);
};

function hideCard() {
  CARD.hidden = true;
}

function showCard(chart, { x, y, customdata: [i, j] }) {
  const lines = cltm.cellLines(chart.view, i, j);
  CARD.replaceChildren(
    cltm.element("strong", {}, cltm.cellTitle(chart.view.matrix, i, j)),
    ...lines.map((line) => cltm.element("div", {}, line)),
  );
  CARD.hidden = false;
  const { xaxis, yaxis } = chart._fullLayout;
  const box = chart.getBoundingClientRect();
  const reach = 1.5 * Math.abs(xaxis.d2p(1) - xaxis.d2p(0)) + 2;
  const beside = besides(box.left + xaxis._offset + xaxis.d2p(x), reach, CARD.offsetWidth, document.documentElement.clientWidth);
  const below = besides(box.top + yaxis._offset + yaxis.d2p(y), reach, CARD.offsetHeight, innerHeight);
  // Without room on either side, the other direction alone keeps off the neighbours.
  const within = (at, length, room) => Math.max(0, Math.min(at, room - length));
  CARD.style.left = `${beside ?? within(box.left, CARD.offsetWidth, document.documentElement.clientWidth)}px`;
  CARD.style.top = `${below ?? within(box.top + yaxis._offset + yaxis.d2p(y) - CARD.offsetHeight / 2, CARD.offsetHeight, innerHeight)}px`;
}

// Where something of a length begins after `centre`, else before it; null without room.
function besides(centre, reach, length, room) {
  if (centre + reach + length <= room) return centre + reach;
  return centre - reach - length >= 0 ? centre - reach - length : null;
}
