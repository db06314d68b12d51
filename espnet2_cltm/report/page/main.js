// Unpacking the data, wiring the controls, drawing.
"use strict";

async function unpack(id) {
  const packed = atob(document.getElementById(id).textContent.trim());
  const bytes = Uint8Array.from(packed, (character) => character.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).text();
}

function fillSelect(id, choices, chosen) {
  const select = document.getElementById(id);
  select.replaceChildren(...choices.map(([value, label]) => cltm.element("option", { value }, label)));
  select.value = chosen;
  return select;
}

// The languages as the matrix shows them; drawing it sets this.
let shownOrder = [];

function drawMatrix() {
  const { matrix, mask, order } = cltm.state;
  const view = cltm.matrixView(cltm.metric(), matrix, mask);
  const where = document.getElementById("heatmap");
  shownOrder = cltm.ORDERS[order].order(view);
  cltm.drawHeatmap(where, view, shownOrder, { ...frame(), withFamilies: true });
  for (const option of document.getElementById("matrix").options) option.disabled = !cltm.isOffered(option.value, cltm.metric());
  document.getElementById("mask").disabled = !cltm.MATRICES[matrix].hasTests;
  document.getElementById("shown").textContent = [
    `${view.kind.label}; ${view.metric.label}`,
    `order: ${cltm.ORDERS[order].label}`,
    view.kind.hasTests ? cltm.MASKS[mask].label : "all cells",
  ].join("; ");
  for (const [id, name] of [["target-label", view.kind.rows], ["donor-label", view.kind.columns]])
    document.getElementById(id).textContent = name[0].toUpperCase() + name.slice(1);
  document.getElementById("legend-predicted").hidden = !view.predicted.flat().some(Boolean);
  const present = new Set(view.grey.flat());
  document.getElementById("legend-missing").hidden = !present.has(GREY.missing);
  document.getElementById("legend-masked").hidden = !present.has(GREY.masked);
  document.getElementById("legend-grey").hidden = !present.has(GREY.notIdentified);
}

function frame() {
  const { order, target, donor } = cltm.state;
  return { byFamily: order === "family", chosen: { target, donor } };
}

// Another cell is chosen: much less to do than drawing the matrix again.
function frameCell() {
  Plotly.relayout("heatmap", { shapes: cltm.heatmapShapes(shownOrder, frame()) });
}

function drawZeroShot() {
  const where = document.getElementById("zero-shot-heatmap");
  if (!where) return;
  const view = cltm.matrixView(cltm.metric(), "zero_shot", "none");
  cltm.drawHeatmap(where, view, cltm.data.orders.family, { byFamily: true, withFamilies: true });
}

function chooseCell(event) {
  const [target, donor] = event.points[0].customdata;
  cltm.update({ target, donor });
}

// Arrow keys choose the neighbour of the chosen cell.
const STEPS = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };

function moveCell(event) {
  const step = STEPS[event.key];
  if (!step || event.altKey || event.ctrlKey || event.metaKey) return;
  event.preventDefault();
  const [target, donor] = [cltm.state.target, cltm.state.donor].map((index, axis) => {
    const place = shownOrder.indexOf(index) + step[axis];
    return shownOrder[Math.min(Math.max(place, 0), shownOrder.length - 1)];
  });
  cltm.update({ target, donor });
}

// Charts are as large as on the screen; paper may be smaller. In CSS pixels, of A4,
// with room for a heading.
const PAPER_WIDTH = 680, PAPER_HEIGHT = 800;

function fitToPaper() {
  for (const chart of document.querySelectorAll(".js-plotly-plot")) {
    const { width, height } = chart._fullLayout;
    chart.style.setProperty("--print-zoom", Math.min(1, PAPER_WIDTH / width, PAPER_HEIGHT / height));
  }
}

function startControls() {
  const { data, state } = cltm;
  const names = data.languages.map((_, index) => [String(index), cltm.fullName(index)]);
  const choices = {
    metric: data.metrics.map((metric, index) => [String(index), metric.label]),
    matrix: Object.entries(cltm.MATRICES)
      .filter(([name]) => data.metrics.some((metric) => cltm.isOffered(name, metric)))
      .map(([name, { label }]) => [name, label]),
    order: Object.entries(cltm.ORDERS)
      .filter(([name]) => !(name in data.orders) || data.orders[name])
      .map(([name, { label }]) => [name, label]),
    mask: Object.entries(cltm.MASKS).map(([name, { label }]) => [name, label]),
    target: names,
    donor: names,
  };
  for (const [name, list] of Object.entries(choices)) {
    const isNumber = ["metric", "target", "donor"].includes(name);
    fillSelect(name, list, String(state[name])).addEventListener("change", (event) =>
      cltm.update({ [name]: isNumber ? Number(event.target.value) : event.target.value }),
    );
  }
  document.getElementById("metric").disabled = data.metrics.length < 2;
  const onlyCell = (changes) => Object.keys(changes).every((name) => name === "target" || name === "donor");
  cltm.listeners.push((changes) => (onlyCell(changes) ? frameCell() : drawMatrix()), cltm.drawCell, (changes) => {
    for (const name of Object.keys(changes)) document.getElementById(name).value = String(changes[name]);
    if ("metric" in changes) drawZeroShot();
  });
}

function startDownloads() {
  for (const button of document.querySelectorAll("button[data-file]"))
    button.addEventListener("click", () => {
      const name = button.dataset.file;
      save(name, new Blob([cltm.data.files[name]], { type: "text/plain;charset=utf-8" }));
    });
  for (const button of document.querySelectorAll("button[data-figure]"))
    button.addEventListener("click", () =>
      Plotly.downloadImage(button.dataset.figure, { format: button.dataset.format, filename: button.dataset.name, scale: 2 }),
    );
}

function save(name, blob) {
  const link = cltm.element("a", { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

// A cell worth looking at first: the largest one shown off the diagonal.
function firstCell() {
  const { values } = cltm.matrixView(cltm.data.metrics[0], "cltm", "none");
  let best = [0, 1], highest = null;
  for (const [i, row] of values.entries())
    for (const [j, value] of row.entries())
      if (i !== j && value !== null && value > (highest ?? -Infinity)) [best, highest] = [[i, j], value];
  return { target: best[0], donor: best[1] };
}

async function start() {
  const [library, text] = await Promise.all([unpack("plotly"), unpack("data")]);
  document.head.append(cltm.element("script", {}, library));
  cltm.data = JSON.parse(text);
  Object.assign(cltm.state, { metric: 0 }, firstCell());
  startControls();
  startDownloads();
  for (const part of document.querySelectorAll("[data-interactive]")) part.hidden = false;
  for (const table of document.querySelectorAll("details.table-alternative")) table.open = false;
  drawMatrix();
  cltm.drawCell();
  drawZeroShot();
  document.getElementById("heatmap").on("plotly_click", chooseCell);
  document.getElementById("heatmap").addEventListener("keydown", moveCell);
  window.addEventListener("beforeprint", fitToPaper);
  for (const side of ["donors", "targets"]) {
    const where = document.getElementById(`ranking-${side}`);
    if (where) cltm.drawRanking(where, cltm.data.rankings[side], where.dataset.title);
  }
  for (const [index, comparison] of cltm.data.comparisons.entries())
    cltm.drawComparison(document.getElementById(`comparison-${index}`), comparison);
  if (cltm.data.regime) cltm.drawRegime(document.getElementById("regime-chart"), cltm.data.regime);
  document.documentElement.dataset.ready = "true";
}

start().catch((error) => {
  console.error(error);
  const notice = document.getElementById("notice");
  notice.textContent =
    "The interactive figures could not be shown " +
    (typeof DecompressionStream === "undefined" ? "(this browser is older than 2023)" : `(${error.message})`) +
    "; the tables below hold the same numbers.";
  notice.hidden = false;
});
