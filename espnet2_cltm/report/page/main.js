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

function drawMatrix() {
  const { matrix, mask, order, target, donor } = cltm.state;
  const view = cltm.matrixView(cltm.metric(), matrix, mask);
  const where = document.getElementById("heatmap");
  const chosen = { target, donor };
  const byFamily = order === "family";
  cltm.drawHeatmap(where, view, cltm.ORDERS[order].order(view), { byFamily, chosen });
  document.getElementById("mask").disabled = !cltm.MATRICES[matrix].hasTests;
  const present = new Set(view.grey.flat());
  document.getElementById("legend-missing").hidden = !present.has(GREY.missing);
  document.getElementById("legend-masked").hidden = !present.has(GREY.masked);
  document.getElementById("legend-grey").hidden = !present.has(GREY.notIdentified);
}

function drawZeroShot() {
  const where = document.getElementById("zero-shot-heatmap");
  if (!where) return;
  const view = cltm.matrixView(cltm.metric(), "zero_shot", "none");
  cltm.drawHeatmap(where, view, cltm.data.orders.family, { byFamily: true });
}

function chooseCell(event) {
  const [target, donor] = event.points[0].customdata;
  cltm.update({ target, donor });
}

function startControls() {
  const { data, state } = cltm;
  const names = data.languages.map((_, index) => [String(index), cltm.fullName(index)]);
  const choices = {
    metric: data.metrics.map((metric, index) => [String(index), metric.label]),
    matrix: Object.entries(cltm.MATRICES)
      .filter(([name]) => data.metrics[0].scales[name])
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
  cltm.listeners.push(drawMatrix, cltm.drawCell, (changes) => {
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
  drawMatrix();
  cltm.drawCell();
  drawZeroShot();
  document.getElementById("heatmap").on("plotly_click", chooseCell);
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
