// Drawing a matrix view as a heatmap.
"use strict";

const GREYS = ["missing", "masked", "not-identified"]; // colours of style.css
const MOST_WITH_NAMES = 24; // more languages than this are labelled by code alone
const NARROW = 500; // pixels: less has room for codes alone
const MOST_WITH_VALUES = 20;
const MOST_WITH_MARKS = 100; // a ring in each of 40,000 cells takes browsers minutes
const MEANINGS = { 0: "worth nothing", 1: "as good as<br>target data" }; // of CLTM
const BAR_HEIGHT = 92; // of the colour bar with its title and meanings

// Draw `view` with as large cells as fit into options.width and options.height.
cltm.drawHeatmap = async function (chart, view, order, options) {
  const n = order.length;
  const axis = [...order.keys()];
  const cells = (matrix) => order.map((i) => order.map((j) => matrix[i][j]));
  const common = {
    type: "heatmap", x: axis, y: axis, xgap: n > 30 ? 0.5 : 1, ygap: n > 30 ? 0.5 : 1, hoverongaps: false,
    hoverinfo: "none", customdata: order.map((i) => order.map((j) => [i, j])),
  };
  const isNarrow = options.width < NARROW;
  const label = n <= MOST_WITH_NAMES && !isNarrow ? cltm.name : cltm.code;
  const greyRow = (i) => view.kind.isCltm && view.metric.targets[i].not_identified;
  const rows = order.map((i) => label(i) + (greyRow(i) ? " †" : ""));
  const columns = order.map(label);
  const tickSize = n <= 12 ? 13 : n <= 24 ? 12 : n <= 40 ? 10 : 9;
  const tickAngle = n === 2 ? 0 : -90;
  const besideLabels = 34; // the axis' title and the gaps
  const families = options.withFamilies && !isNarrow ? familyNames(order, options.byFamily) : { annotations: [], width: 0 };
  const left = widest(rows, tickSize) + besideLabels;
  const top = (tickAngle ? widest(columns, tickSize) : tickSize) + besideLabels;
  const hasColours = view.values.some((row) => row.some((value) => value !== null));
  const bottom = hasColours ? BAR_HEIGHT : 12;
  const size = cellSize(n, options.width - left - families.width - 16, options.height - top - bottom);
  const barLength = Math.min(Math.max(Math.min(n * size, 420), 300), options.width - left - 24);
  const traces = [
    {
      ...common, z: cells(view.values), zmin: view.scale.low, zmax: view.scale.high, colorscale: view.scale.colours,
      colorbar: colourBar(view, barLength, options.bar ?? barTitle(view)),
    },
    { ...common, z: cells(view.grey), zmin: 0, zmax: 2, showscale: false, colorscale: GREYS.map((name, k) => [k / 2, cltm.colour(name)]) },
    ...(n <= MOST_WITH_MARKS ? [cellTexts(view, order, n), unclearCells(view, order, size)] : []),
  ];
  const width = left + Math.max(n * size + families.width, barLength) + 16;
  const margin = { l: left, r: width - left - n * size, t: top, b: bottom, autoexpand: false };
  const ticks = {
    tickmode: "array", tickvals: axis, tickfont: { size: tickSize }, showgrid: false, zeroline: false,
    ticks: "outside", ticklen: 5, tickcolor: "rgba(0,0,0,0)",
  };
  const layout = {
    margin, width, height: n * size + top + bottom, showlegend: false, paper_bgcolor: cltm.colour("paper"),
    xaxis: { ...ticks, ticktext: columns.map(cltm.escapeHtml), side: "top", tickangle: tickAngle, range: [-0.5, n - 0.5], title: axisTitle(view.kind.columns) },
    yaxis: { ...ticks, ticktext: rows.map(cltm.escapeHtml), range: [n - 0.5, -0.5], title: axisTitle(view.kind.rows) },
    shapes: cltm.heatmapShapes(order, options), annotations: families.annotations,
  };
  const isNew = !chart.view;
  chart.view = view;
  await cltm.plot(chart, traces, layout, { responsive: false });
  if (isNew) cltm.startHover(chart);
};

// As large as the room allows, but no larger than looks well nor smaller than can be read.
function cellSize(n, width, height) {
  const [least, most] = n <= 4 ? [56, 84] : n <= 12 ? [36, 64] : n <= MOST_WITH_VALUES ? [28, 40] : n <= 40 ? [12, 24] : [9, 16];
  return Math.floor(Math.max(least, Math.min(most, width / n, height / n)));
}

// Lines between families, and the frame of the chosen cell.
cltm.heatmapShapes = (order, options) => [...familyLines(order, options.byFamily), ...chosenCell(order, options.chosen)];

// Values as text, dark or light, whichever is easier to read on the cell's colour.
function cellTexts(view, order, n) {
  const digits = n <= 12 ? view.kind.digits : Math.min(view.kind.digits, 2);
  const withValues = n <= MOST_WITH_VALUES;
  const trace = { type: "scatter", mode: "text", hoverinfo: "skip", x: [], y: [], text: [] };
  const colours = [];
  order.forEach((i, y) => order.forEach((j, x) => {
    const predicted = view.predicted[i][j];
    const value = withValues ? cltm.format(view.all[i][j], digits) : "";
    const text = view.all[i][j] === null ? "×" : predicted ? `<i>≈${value}</i>` : value;
    if (!text) return;
    trace.x.push(x);
    trace.y.push(y);
    trace.text.push(text);
    const grey = view.grey[i][j];
    colours.push(textOn(grey === null ? colourOf(view.scale, view.values[i][j]) : cltm.colour(GREYS[grey])));
  }));
  return { ...trace, textfont: { size: n <= 6 ? 14 : n <= 12 ? 12 : 9, color: colours } };
}

// Small rings on the cells that do not clearly differ from 0, as in the figure for papers.
function unclearCells(view, order, size) {
  const trace = { type: "scatter", mode: "markers", hoverinfo: "skip", x: [], y: [] };
  const colours = [];
  const corner = order.length <= MOST_WITH_VALUES ? 0.36 : 0.27;
  order.forEach((i, y) => order.forEach((j, x) => {
    if (view.values[i][j] === null || !cltm.isUnclear(view, i, j)) return;
    trace.x.push(x - corner);
    trace.y.push(y - corner);
    colours.push(textOn(colourOf(view.scale, view.values[i][j])));
  }));
  return { ...trace, marker: { symbol: "circle-open", size: Math.min(Math.max(size * 0.13, 2), 7), color: colours, line: { width: size < 20 ? 0.6 : 1 } } };
}

function colourOf({ low, high, colours }, value) {
  const share = Math.min(Math.max((value - low) / (high - low), 0), 1);
  return colours[Math.round(share * (colours.length - 1))][1];
}

function textOn(colour) {
  return luminance(colour) < 0.22 ? "#ffffff" : "#1a1a1a";
}

// Relative luminance (WCAG 2) of #rrggbb.
function luminance(colour) {
  const [r, g, b] = [1, 3, 5].map((at) => {
    const part = parseInt(colour.slice(at, at + 2), 16) / 255;
    return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

function colourBar(view, length, title) {
  const { low, high } = view.scale;
  const shown = view.values.flat().filter((value) => value !== null);
  const bar = {
    title: { text: title, side: "top", font: { size: 12, color: cltm.colour("faint") } }, orientation: "h", thickness: 12,
    x: 0, xanchor: "left", xpad: 0, y: 0, yanchor: "top", ypad: 12,
    lenmode: "pixels", len: length, outlinewidth: 0, tickangle: 0, tickfont: { size: 11 },
  };
  if (!view.kind.isCltm) return { ...bar, nticks: 6 };
  const ticks = [];
  const step = (length * 0.5) / (high - low) < 40 ? 1 : 0.5;
  for (let tick = Math.ceil(low / step) * step; tick <= high; tick += step) ticks.push(tick);
  const beyond = (tick) =>
    tick === low && Math.min(...shown) < low ? "≤ " : tick === high && Math.max(...shown) > high ? "≥ " : "";
  const text = (tick) => [beyond(tick) + cltm.format(tick, 1), MEANINGS[tick]].filter(Boolean).join("<br>");
  return { ...bar, tickmode: "array", tickvals: ticks, ticktext: ticks.map(text) };
}

function barTitle(view) {
  if (view.kind.isCltm) return "CLTM";
  if (view.matrix === "relative_gain") return "relative gain";
  return view.matrix === "gain" ? `gain in ${view.metric.label}` : view.metric.label;
}

function axisTitle(text) {
  return { text, font: { size: 13, color: cltm.colour("faint") }, standoff: 8 };
}

// Pixels of the widest of some texts.
function widest(texts, size) {
  const pen = document.createElement("canvas").getContext("2d");
  pen.font = `${size}px ${cltm.FONT}`;
  return Math.ceil(Math.max(...texts.map((text) => pen.measureText(text).width)));
}

// Runs of neighbours of one family: its name, first and last place.
function familyRuns(order) {
  const runs = [];
  for (const [place, index] of order.entries()) {
    const { family } = cltm.data.languages[index];
    if (runs.at(-1)?.family === family) runs.at(-1).last = place;
    else runs.push({ family, first: place, last: place });
  }
  return runs;
}

// Between families, where languages stand in that order.
function familyLines(order, byFamily) {
  if (!byFamily) return [];
  const line = { color: "#1a1a1a", width: 0.8 };
  const [start, end] = [-0.5, order.length - 0.5];
  return familyRuns(order).slice(1).flatMap(({ first }) => [
    { type: "line", x0: first - 0.5, x1: first - 0.5, y0: start, y1: end, line },
    { type: "line", y0: first - 0.5, y1: first - 0.5, x0: start, x1: end, line },
  ]);
}

// Beside the rows; the room for them stays where languages stand in another order.
function familyNames(order, byFamily) {
  const size = order.length > 40 ? 9 : 11;
  const names = cltm.data.languages.map(({ family }) => family);
  const annotations = familyRuns(order).map(({ family, first, last }) => ({
    text: cltm.escapeHtml(family), x: order.length - 0.5, xanchor: "left", xshift: 6, y: (first + last) / 2, yanchor: "middle",
    showarrow: false, font: { size, color: cltm.colour("faint") },
  }));
  return { annotations: byFamily ? annotations : [], width: widest(names, size) + 10 };
}

function chosenCell(order, chosen) {
  if (!chosen || chosen.target === null) return [];
  const y = order.indexOf(chosen.target), x = order.indexOf(chosen.donor);
  return [{ type: "rect", x0: x - 0.5, x1: x + 0.5, y0: y - 0.5, y1: y + 0.5, line: { color: "#e6007e", width: 3 } }];
}
