// The panel beside the matrix: one cell, seed by seed.
"use strict";

// Okabe and Ito's colours, which colour-blind readers tell apart.
cltm.RUNS = {
  single: { label: "single(i): N of the target", colour: "#0072B2", symbol: "circle" },
  pair: { label: "pair(i+j): N more of the donor", colour: "#D55E00", symbol: "diamond" },
  double: { label: "double(i): N more of the target", colour: "#009E73", symbol: "square" },
};

cltm.drawCell = function () {
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
};

function cellRuns(metric, i, j) {
  if (!metric.seeds) return [];
  const runs = [{ kind: "single", values: metric.single[i] }];
  if (i !== j) runs.push({ kind: "pair", values: metric.pair[i][j] });
  runs.push({ kind: "double", values: metric.double[i] });
  return runs.map((run) => ({ ...cltm.RUNS[run.kind], ...run }));
}

function zeroShotRuns(metric, i, j) {
  if (!metric.seeds) return [];
  return [{ ...cltm.RUNS.single, kind: "single", label: `single(${cltm.code(j)}) tested on ${cltm.code(i)}`, values: metric.zero_shot_seeds[i][j] }];
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
  Plotly.react(where, traces, {
    font: { ...cltm.FONT, size: 12 }, height: 300, margin: { l: 60, r: 10, t: 10, b: 45 },
    xaxis: { title: { text: "seed" }, type: "category", fixedrange: true },
    yaxis: { title: { text: metric.label }, fixedrange: true, zeroline: false, gridcolor: "#e6e6e6" },
    legend: { orientation: "h", y: 1.02, yanchor: "bottom", x: 0 }, paper_bgcolor: "rgba(0,0,0,0)",
  }, cltm.CONFIG);
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
