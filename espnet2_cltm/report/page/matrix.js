// The matrix: its controls, its heatmap, and the panel beside it with one cell, seed by
// seed.

// Okabe and Ito's colours, which colour-blind readers tell apart.
const RUNS = {
  single: { label: "single(i): N of the target", colour: "#0072B2", symbol: "circle" },
  pair: { label: "pair(i+j): N more of the donor", colour: "#D55E00", symbol: "diamond" },
  double: { label: "double(i): N more of the target", colour: "#009E73", symbol: "square" },
};

// Arrow keys, and the step of each in rows and columns.
const STEPS = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1], Home: [0, -Infinity], End: [0, Infinity] };

const LEAST_PANEL = 320; // pixels of the panel at its narrowest, with the gap beside it

// The languages as the matrix shows them; drawing it sets this.
let shownOrder = [];

startControls();
drawMatrix();
drawCell();
document.getElementById("heatmap").on("plotly_click", chooseCell);
document.getElementById("heatmap").addEventListener("keydown", moveCell);
fitToWindow();

function fillSelect(id, choices, chosen) {
  const select = document.getElementById(id);
  select.replaceChildren(...choices.map(([value, label]) => cltm.element("option", { value }, label)));
  select.value = chosen;
  return select;
}

function drawMatrix() {
  const { matrix, mask, order } = cltm.state;
  const view = cltm.matrixView(cltm.metric(), matrix, mask);
  const where = document.getElementById("heatmap");
  shownOrder = cltm.ORDERS[order].order(view);
  cltm.drawHeatmap(where, view, shownOrder, { ...frame(), withFamilies: true, height: roomBelow(where), width: roomBeside() });
  for (const option of document.getElementById("matrix").options) option.disabled = !cltm.isOffered(option.value, cltm.metric());
  document.getElementById("metric").disabled = cltm.data.metrics.length < 2 || cltm.state.strategy > 0;
  document.getElementById("mask").disabled = !cltm.MATRICES[matrix].hasTests;
  document.getElementById("shown").textContent = [
    `${view.kind.label}; ${view.metric.label}`,
    ...(cltm.data.rivals.length ? [`strategy: ${cltm.strategies()[cltm.state.strategy]}`] : []),
    `order: ${cltm.ORDERS[order].label}`,
    view.kind.hasTests ? cltm.MASKS[mask].label : "all cells",
  ].join("; ");
  for (const [id, name] of [["target-label", view.kind.rows], ["donor-label", view.kind.columns]])
    document.getElementById(id).textContent = name[0].toUpperCase() + name.slice(1);
  document.getElementById("legend-predicted").hidden = !view.predicted.flat().some(Boolean);
  const isUnclear = (i, j) => view.values[i][j] !== null && cltm.isUnclear(view, i, j);
  document.getElementById("legend-unclear").hidden = shownOrder.length > MOST_WITH_MARKS || !shownOrder.some((i) => shownOrder.some((j) => isUnclear(i, j)));
  const present = new Set(view.grey.flat());
  document.getElementById("legend-missing").hidden = !present.has(GREY.missing);
  document.getElementById("legend-masked").hidden = !present.has(GREY.masked);
  document.getElementById("legend-grey").hidden = !present.has(GREY.notIdentified);
}

// What the first screen has left for the matrix, in pixels.
function roomBelow(where) {
  return innerHeight - where.getBoundingClientRect().top - scrollY - 4;
}

// What the panel leaves of the width, where it stands beside the matrix.
function roomBeside() {
  const width = document.querySelector("main").clientWidth;
  return width < 700 ? width : width - LEAST_PANEL;
}

function frame() {
  const { order, target, donor } = cltm.state;
  return { byFamily: order === "family", chosen: { target, donor } };
}

// Another cell is chosen: much less to do than drawing the matrix again.
function frameCell() {
  Plotly.relayout("heatmap", { shapes: cltm.heatmapShapes(shownOrder, frame()) });
}

function chooseCell(event) {
  const [target, donor] = event.points[0].customdata;
  cltm.update({ target, donor });
}

// A window of another width has room for cells of another size.
function fitToWindow() {
  let { innerWidth } = window;
  window.addEventListener("resize", () => {
    if (window.innerWidth === innerWidth) return;
    ({ innerWidth } = window);
    drawMatrix();
  });
}

// Arrow keys choose the neighbour of the chosen cell; Home and End the ends of its row.
function moveCell(event) {
  const step = STEPS[event.key];
  if (!step || event.altKey || event.ctrlKey || event.metaKey) return;
  event.preventDefault();
  const [target, donor] = [cltm.state.target, cltm.state.donor].map((index, axis) => {
    const place = shownOrder.indexOf(index) + step[axis];
    return shownOrder[Math.min(Math.max(place, 0), shownOrder.length - 1)];
  });
  cltm.update({ target, donor }, { address: "replace" });
}

function startControls() {
  const { data, state } = cltm;
  const names = data.languages.map((_, index) => [String(index), cltm.fullName(index)]);
  const choices = {
    ...(data.rivals.length ? { strategy: cltm.strategies().map((name, index) => [String(index), name]) } : {}),
    metric: data.metrics.map((metric, index) => [String(index), metric.label]),
    matrix: cltm.offeredMatrices(data.metrics).map((name) => [name, cltm.MATRICES[name].label]),
    order: cltm.offeredOrders().map((name) => [name, cltm.ORDERS[name].label]),
    mask: Object.entries(cltm.MASKS).map(([name, { label }]) => [name, label]),
    target: names,
    donor: names,
  };
  for (const [name, list] of Object.entries(choices)) {
    const isNumber = ["metric", "strategy", "target", "donor"].includes(name);
    fillSelect(name, list, String(state[name])).addEventListener("change", (event) =>
      cltm.update({ [name]: isNumber ? Number(event.target.value) : event.target.value }),
    );
  }
  const onlyCell = (changes) => Object.keys(changes).every((name) => name === "target" || name === "donor");
  cltm.listeners.push((changes) => (onlyCell(changes) ? frameCell() : drawMatrix()), drawCell, (changes) => {
    for (const name of Object.keys(choices)) if (name in changes) document.getElementById(name).value = String(changes[name]);
  });
}

function drawCell() {
  const { target: i, donor: j, matrix } = cltm.state;
  const panel = document.getElementById("cell");
  const zeroShot = matrix === "zero_shot";
  const metric = cltm.metric();
  const view = cltm.matrixView(metric, matrix, "none");
  document.getElementById("cell-title").textContent = cltm.cellTitle(matrix, i, j);
  document.getElementById("cell-lines").replaceChildren(
    ...cltm.cellLines(view, i, j).map((line) => cltm.element("li", {}, line)),
  );
  panel.hidden = false;
  const runs = zeroShot ? zeroShotRuns(metric, i, j) : cellRuns(metric, i, j);
  const chart = document.getElementById("cell-chart");
  const table = document.getElementById("cell-table");
  const some = runs.some((run) => run.values.some((value) => value !== null));
  chart.hidden = table.hidden = !some;
  document.getElementById("cell-no-seeds").hidden = some;
  if (!some) return;
  drawSeeds(chart, metric, runs);
  fillTable(table, metric, runs, zeroShot || i === j);
}

function cellRuns(metric, i, j) {
  if (!metric.seeds) return [];
  const runs = [{ kind: "single", values: metric.single[i] }];
  if (i !== j) runs.push({ kind: "pair", values: metric.pair[i][j] });
  runs.push({ kind: "double", values: metric.double[i] });
  return runs.map((run) => ({ ...RUNS[run.kind], ...run }));
}

function zeroShotRuns(metric, i, j) {
  if (!metric.seeds) return [];
  return [{ ...RUNS.single, kind: "single", label: `single(${cltm.code(j)}) tested on ${cltm.code(i)}`, values: metric.zero_shot_seeds[i][j] }];
}

function drawSeeds(where, metric, runs) {
  const names = metric.seeds.map(String);
  const traces = runs.flatMap((run) => [
    {
      type: "scatter", mode: "lines+markers", name: run.label, x: names, y: run.values, connectgaps: false,
      line: { color: run.colour, width: 1 }, marker: { color: run.colour, symbol: run.symbol, size: 8 },
      hovertemplate: `seed %{x}<br>${run.kind} %{y:.4f}<extra></extra>`,
    },
    {
      type: "scatter", mode: "lines", x: [names[0], names.at(-1)], y: Array(2).fill(cltm.mean(run.values)),
      line: { color: run.colour, width: 1.5, dash: "dot" }, hoverinfo: "skip", showlegend: false,
    },
  ]);
  cltm.plot(where, traces, {
    height: 260, margin: { l: 60, r: 10, t: 10, b: 45 },
    xaxis: { title: { text: "seed" }, type: "category" },
    yaxis: { title: { text: metric.label }, zeroline: false },
  });
}

function fillTable(table, metric, runs, withoutDifference) {
  const by = Object.fromEntries(runs.map((run) => [run.kind, run.values]));
  const columns = runs.map((run) => [run.kind, (s) => run.values[s]]);
  const difference = (a, b) => (s) => (by[a][s] === null || by[b][s] === null ? null : by[a][s] - by[b][s]);
  if (!withoutDifference) columns.push(["pair − single", difference("pair", "single")]);
  if (by.double) columns.push(["double − single", difference("double", "single")]);
  const row = (name, texts) => {
    const line = cltm.element("tr", {}, cltm.element("th", { scope: "row" }, name));
    line.append(...texts.map((text) => cltm.element("td", {}, text)));
    return line;
  };
  const head = cltm.element("tr", {});
  head.append(...["seed", ...columns.map(([name]) => name)].map((name) => cltm.element("th", { scope: "col" }, name)));
  const text = (value) => (value === null ? "" : cltm.format(value, 4));
  const seeds = metric.seeds.map((seed, s) => row(String(seed), columns.map(([, value]) => text(value(s)))));
  const means = row("mean", columns.map(([, value]) => text(cltm.mean(metric.seeds.map((_, s) => value(s))))));
  means.className = "mean";
  table.replaceChildren(
    cltm.element("caption", {}, `${metric.label}, seed by seed`),
    cltm.element("thead", {}, head),
    cltm.element("tbody", {}, ...seeds, means),
  );
}
