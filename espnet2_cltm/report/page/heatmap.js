// Drawing a matrix view as a heatmap.
"use strict";

const INK = "#1a1a1a", FAINT = "#5f5f5f";
const GREYS = ["#ffffff", "#dcdcdc", "#bdbdbd"]; // missing, masked, not identified
const MOST_WITH_NAMES = 24; // more languages than this are labelled by code alone
const MOST_WITH_VALUES = 20;

cltm.FONT = { family: "system-ui, 'DejaVu Sans', sans-serif", color: INK };
cltm.CONFIG = { responsive: true, displaylogo: false, displayModeBar: false };

cltm.drawHeatmap = function (where, view, order, options = {}) {
  const n = order.length;
  const size = n <= 4 ? 84 : n <= 12 ? 58 : n <= 24 ? 32 : n <= 40 ? 18 : 13;
  const axis = [...order.keys()];
  const cells = (matrix) => order.map((i) => order.map((j) => matrix[i][j]));
  const values = cells(view.values), grey = cells(view.grey);
  const hover = order.map((i) => order.map((j) => hoverText(view, i, j)));
  const shown = (matrix, text) => matrix.map((row, y) => row.map((value, x) => (value === null ? "" : text(y, x))));
  const withValues = n <= MOST_WITH_VALUES;
  const asText = (y, x) => cltm.format(view.all[order[y]][order[x]], n <= 12 ? view.kind.digits : Math.min(view.kind.digits, 2));
  const common = {
    type: "heatmap", x: axis, y: axis, xgap: n > 30 ? 0.5 : 1, ygap: n > 30 ? 0.5 : 1,
    hoverongaps: false, customdata: order.map((i) => order.map((j) => [i, j])),
    texttemplate: "%{text}", textfont: { size: n <= 6 ? 14 : n <= 12 ? 12 : 9 },
  };
  const traces = [
    {
      ...common, z: values, zmin: view.scale.low, zmax: view.scale.high, colorscale: view.scale.colours,
      text: shown(values, (y, x) => (withValues ? asText(y, x) : "")), hovertext: hover, hoverinfo: "text",
      colorbar: {
        title: { text: options.bar ?? barTitle(view), side: "right" }, thickness: 14, lenmode: "pixels", len: Math.min(n * size, 380),
        outlinewidth: 0, tickfont: { size: 11 },
      },
    },
    {
      ...common, z: grey, zmin: 0, zmax: 2, showscale: false, colorscale: GREYS.map((colour, k) => [k / 2, colour]),
      text: shown(grey, (y, x) => (grey[y][x] === GREY.missing ? "×" : withValues ? asText(y, x) : "")),
      hovertext: hover, hoverinfo: "text",
    },
  ];
  const label = (i) => escapeHtml(n <= MOST_WITH_NAMES ? cltm.name(i) : cltm.code(i));
  const greyRow = (i) => view.matrix === "cltm" && view.metric.targets[i].not_identified;
  const tickSize = n <= 12 ? 13 : n <= 24 ? 12 : 10;
  const longest = Math.max(...order.map((i) => label(i).length)) * tickSize * 0.62 + 34;
  const margin = { l: longest + 14, r: 90, t: (n <= MOST_WITH_NAMES ? longest : 40) + 26, b: 12 };
  const ticks = { tickmode: "array", tickvals: axis, tickfont: { size: tickSize }, showgrid: false, zeroline: false, ticks: "", fixedrange: true };
  const layout = {
    font: cltm.FONT, margin, width: Math.max(n * size, 130) + margin.l + margin.r, height: n * size + margin.t + margin.b,
    plot_bgcolor: "#ffffff", paper_bgcolor: "rgba(0,0,0,0)", dragmode: false,
    xaxis: { ...ticks, ticktext: order.map(label), side: "top", tickangle: n === 2 ? 0 : -90, range: [-0.5, n - 0.5], title: axisTitle(view.kind.columns) },
    yaxis: { ...ticks, ticktext: order.map((i) => label(i) + (greyRow(i) ? " †" : "")), range: [n - 0.5, -0.5], title: axisTitle(view.kind.rows) },
    shapes: [...familyLines(order, options.byFamily), ...chosenCell(order, options.chosen)],
    hoverlabel: { bgcolor: "#ffffff", bordercolor: FAINT, font: { ...cltm.FONT, size: 12 }, align: "left" },
  };
  return Plotly.react(where, traces, layout, { ...cltm.CONFIG, responsive: false });
};

function barTitle(view) {
  return view.matrix === "cltm" ? "CLTM" : view.matrix === "relative_gain" ? "relative gain" : view.metric.label;
}

function axisTitle(text) {
  return { text, font: { size: 13, color: FAINT }, standoff: 8 };
}

function hoverText(view, i, j) {
  const lines = cltm.cellLines(view, i, j).map((line) => wrap(escapeHtml(line)));
  return [`<b>${escapeHtml(cltm.cellTitle(view.matrix, i, j))}</b>`, ...lines].join("<br>");
}

// Plotly's labels take some HTML and do not break lines.
function escapeHtml(text) {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}

function wrap(text, width = 70) {
  const lines = [""];
  for (const word of text.split(" ")) {
    if (lines.at(-1).length + word.length > width) lines.push("");
    lines[lines.length - 1] += (lines.at(-1) ? " " : "") + word;
  }
  return lines.join("<br>");
}

// Between families, where languages stand in that order.
function familyLines(order, byFamily) {
  if (!byFamily) return [];
  const line = { color: INK, width: 0.8 };
  const lines = [];
  for (let k = 1; k < order.length; k++) {
    const [before, after] = [order[k - 1], order[k]].map((i) => cltm.data.languages[i].family);
    if (before === after) continue;
    const [at, first, last] = [k - 0.5, -0.5, order.length - 0.5];
    lines.push({ type: "line", x0: at, x1: at, y0: first, y1: last, line });
    lines.push({ type: "line", y0: at, y1: at, x0: first, x1: last, line });
  }
  return lines;
}

function chosenCell(order, chosen) {
  if (!chosen || chosen.target === null) return [];
  const y = order.indexOf(chosen.target), x = order.indexOf(chosen.donor);
  return [{ type: "rect", x0: x - 0.5, x1: x + 0.5, y0: y - 0.5, y1: y + 0.5, line: { color: "#000000", width: 2.5 } }];
}
