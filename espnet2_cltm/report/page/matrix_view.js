// What a heatmap shows of a metric: values, which cells are greyed, words for each.
"use strict";

// A cell's look: in colour, or one of these.
const GREY = { missing: 0, masked: 1, notIdentified: 2 };

cltm.MATRICES = {
  cltm: {
    label: "CLTM: worth of a donor utterance",
    digits: 2,
    rows: "target", columns: "donor",
    values: (metric) => metric.cltm,
    hasTests: true, isCltm: true,
  },
  completed: {
    label: "CLTM, unmeasured pairs predicted",
    digits: 2,
    rows: "target", columns: "donor", scale: "cltm",
    values: (metric) => metric.cltm.map((row, i) => row.map((value, j) => value ?? metric.predicted[i][j]?.[0] ?? null)),
    isPredicted: (metric, i, j) => metric.cltm[i][j] === null && Boolean(metric.predicted[i][j]),
    isOffered: (metric) => Boolean(metric.predicted),
    hasTests: true, isCltm: true,
  },
  gain: {
    label: "gain of N donor utterances: does a donor help?",
    digits: 3,
    rows: "target", columns: "donor",
    values: (metric) => metric.gain,
    hasTests: true,
  },
  relative_gain: {
    label: "relative gain of N donor utterances",
    digits: 3,
    rows: "target", columns: "donor",
    values: (metric) => metric.relative_gain,
    hasTests: true,
  },
  pair: {
    label: "Perf(i+j), on N of the target and N of the donor",
    digits: 3,
    rows: "target", columns: "donor",
    values: (metric) => metric.perf_pair,
    hasTests: false,
  },
  zero_shot: {
    label: "zero-shot: trained on one language, tested on another",
    digits: 3,
    rows: "tested on", columns: "trained on",
    values: (metric) => metric.zero_shot,
    isOffered: () => cltm.data.has_zero_shot,
    hasTests: false,
  },
};

// Whether a metric has a matrix of this kind.
cltm.isOffered = (matrix, metric) => (cltm.MATRICES[matrix].isOffered ?? (() => true))(metric);

cltm.offeredMatrices = (metrics) =>
  Object.keys(cltm.MATRICES).filter((name) => metrics.some((metric) => cltm.isOffered(name, metric)));

cltm.MASKS = {
  none: { label: "all cells", shows: () => true },
  zero: { label: "cells clearly not 0", shows: (metric, i, j) => isBelow(metric.q_gain[i][j]) },
  one: { label: "cells clearly not 1", shows: (metric, i, j) => isBelow(metric.q_one[i][j]) },
};

function isBelow(q) {
  return q !== null && q < cltm.data.false_discovery_rate;
}

// Whether a cell was tested and does not clearly differ from 0; the diagonal is about the self-gain.
cltm.isUnclear = function (view, i, j) {
  if (!view.kind.hasTests || view.predicted[i][j] || (i === j && view.kind.isCltm)) return false;
  const q = view.metric.q_gain[i][j];
  return q !== null && !isBelow(q);
};

// Everything drawHeatmap needs: cells are [row][column] in the order of data.languages.
cltm.matrixView = function (metric, matrix, mask) {
  const kind = cltm.MATRICES[matrix];
  const all = kind.values(metric);
  const n = cltm.data.languages.length;
  const masked = kind.hasTests ? cltm.MASKS[mask] : cltm.MASKS.none;
  const isPredicted = kind.isPredicted ?? (() => false);
  const values = [], grey = [], predicted = [];
  for (let i = 0; i < n; i++) {
    values.push([]);
    grey.push([]);
    predicted.push([]);
    for (let j = 0; j < n; j++) {
      let look = null;
      if (all[i][j] === null) look = GREY.missing;
      else if (kind.isCltm && !metric.identified[i][j] && !isPredicted(metric, i, j)) look = GREY.notIdentified;
      else if (i !== j && !masked.shows(metric, i, j)) look = GREY.masked;
      values[i].push(look === null ? all[i][j] : null);
      grey[i].push(look);
      predicted[i].push(isPredicted(metric, i, j));
    }
  }
  return { metric, matrix, kind, all, values, grey, predicted, scale: metric.scales[kind.scale ?? matrix] };
};

// Orders of the languages, the same on both axes. Each gives positions.
cltm.ORDERS = {
  family: { label: "language family", order: () => cltm.data.orders.family },
  clusters: { label: "clusters of similar transfer", order: () => cltm.data.orders.clusters },
  donor: { label: "strength as donor", order: (view) => byStrength(view, (i, j) => view.values[j][i]) },
  target: { label: "gain as target", order: (view) => byStrength(view, (i, j) => view.values[i][j]) },
  name: { label: "name", order: () => cltm.data.orders.name },
};

cltm.offeredOrders = () => Object.keys(cltm.ORDERS).filter((name) => !(name in cltm.data.orders) || cltm.data.orders[name]);

// Strongest first, by the mean of what is shown off the diagonal; without any, last.
function byStrength(view, cell) {
  const n = view.values.length;
  const strength = [];
  for (let i = 0; i < n; i++) {
    const others = [];
    for (let j = 0; j < n; j++) if (j !== i) others.push(cell(i, j));
    strength.push(cltm.mean(others) ?? -Infinity);
  }
  return [...strength.keys()].sort((a, b) => strength[b] - strength[a] || a - b);
}

cltm.cellTitle = function (matrix, i, j) {
  if (matrix === "zero_shot")
    return i === j
      ? `${cltm.fullName(i)}, trained and tested`
      : `Trained on ${cltm.fullName(j)}, tested on ${cltm.fullName(i)}`;
  return i === j ? `${cltm.fullName(i)} itself` : `${cltm.fullName(i)} from ${cltm.fullName(j)}`;
};

// Lines about a cell, for hovering and for the panel beside the matrix.
cltm.cellLines = function (view, i, j) {
  return [...valueLines(view, i, j), ...familyLine(i, j)];
};

function familyLine(i, j) {
  const [target, donor] = [i, j].map((index) => cltm.data.languages[index].family);
  if (target === donor) return [`family: ${target}`];
  return [`families: ${target}; ${donor}`];
}

function valueLines(view, i, j) {
  const { metric, matrix, kind } = view;
  const value = cltm.format(view.all[i][j], kind.digits);
  if (matrix === "pair" || matrix === "zero_shot") {
    const name = matrix === "pair" ? (i === j ? "Perf(i+i)" : "Perf(i+j)") : "Perf";
    return [`${name}, ${metric.label}: ${value}${plusMinus(matrix === "pair" ? metric.perf_pair_se[i][j] : null)}`];
  }
  if (matrix === "gain") {
    if (i === j) return [...selfGainLines(metric, i), ...gainInterval(metric, i, j)];
    return [`cross-gain Perf(i+j) − Perf(i): ${value}`, ...gainInterval(metric, i, j), ...testLines(metric, i, j)];
  }
  if (matrix === "relative_gain")
    return [`relative gain: ${value}${plusMinus(metric.relative_gain_se[i][j])}`, ...testLines(metric, i, j)];
  if (i === j) return [`CLTM 1 by definition`, ...selfGainLines(metric, i)];
  const lines = view.predicted[i][j] ? [] : [`CLTM: ${value}`];
  if (metric.cltm[i][j] !== null && metric.n_seeds[i][j]) {
    lines.push(`${levelText()} interval (Fieller): ${cltm.setText(metric.fieller_kind[i][j], metric.fieller_low[i][j], metric.fieller_high[i][j])}`);
    if (metric.bootstrap_low)
      lines.push(`${levelText()} interval (bootstrap): ${cltm.intervalText(metric.bootstrap_low[i][j], metric.bootstrap_high[i][j])}`);
    lines.push(...testLines(metric, i, j));
  }
  const reason = cltm.data.reasons[metric.reason[i][j]];
  if (reason) lines.push(reason);
  const predicted = cltm.predictionLine(metric, i, j);
  if (predicted) lines.push(predicted);
  return lines;
}

cltm.predictionLine = function (metric, i, j) {
  const found = metric.predicted && metric.predicted[i][j];
  if (!found) return "";
  return `predicted from the other cells: ${cltm.format(found[0])} ${cltm.intervalText(found[1], found[2])}`;
};

function plusMinus(error) {
  return error === null ? "" : ` ± ${cltm.format(error, 3)} (standard error)`;
}

function testLines(metric, i, j) {
  const seeds = metric.n_seeds[i][j];
  const lines = [];
  const against = [["no gain", metric.q_gain[i][j]], ["CLTM 1", metric.q_one[i][j]]].filter(([, q]) => q !== null);
  if (against.length) lines.push(`q against ${against.map(([what, q]) => `${what}: ${cltm.formatSmall(q)}`).join("; ")}`);
  if (seeds) lines.push(seeds === 1 ? "1 seed" : `${seeds} seeds`);
  return lines;
}

function gainInterval(metric, i, j) {
  if (metric.gain_low[i][j] === null) return [];
  return [`${levelText()} interval: ${cltm.intervalText(metric.gain_low[i][j], metric.gain_high[i][j], 3)}`];
}

function levelText() {
  return `${Math.round(1000 * cltm.data.confidence) / 10}%`;
}

function selfGainLines(metric, i) {
  const target = metric.targets[i];
  if (target.self_gain === null) return target.reason ? [target.reason] : [];
  const lines = [`self-gain Perf(i+i) − Perf(i): ${cltm.format(target.self_gain, 3)}${plusMinus(target.self_gain_se)}`];
  const q = metric.q_gain[i][i];
  if (q !== null) lines.push(`q against no self-gain: ${cltm.formatSmall(q)}`);
  if (target.reason) lines.push(`not identified: ${target.reason}`);
  return lines;
}
