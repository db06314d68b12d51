// What the page shows, and the data it shows it from.
//
// `data` is the JSON that matrix_data.py makes, and what each section adds to it; arrays
// of cells are [target][donor], in the order of data.languages; null stands for not
// available. `sections` are the functions that draw sections, by id; `listeners` are
// called with the changes of `state`.
"use strict";

const cltm = { data: null, sections: {}, listeners: [] };

cltm.state = {
  metric: null,
  strategy: 0, // the report's own; then those of data.rivals
  matrix: "cltm",
  order: "family",
  mask: "none",
  target: null, // index of the chosen cell's target, and of its donor
  donor: null,
};

// Listeners take the changes, and how they came about: see address.js.
cltm.update = function (changes, how = {}) {
  Object.assign(cltm.state, changes);
  // Of the other strategies the page has the first metric alone.
  if (cltm.state.strategy && cltm.state.metric) cltm.state.metric = changes.metric = 0;
  if (!cltm.isOffered(cltm.state.matrix, cltm.metric())) cltm.state.matrix = changes.matrix = "cltm";
  for (const listener of cltm.listeners) listener(changes, how);
};

cltm.metric = () => cltm.data.rivals[cltm.state.strategy - 1]?.metric ?? cltm.data.metrics[cltm.state.metric];
cltm.strategies = () => [cltm.data.strategy, ...cltm.data.rivals.map(({ name }) => name)];

cltm.name = (index) => cltm.data.languages[index].name;
cltm.code = (index) => cltm.data.languages[index].code;
cltm.fullName = (index) => {
  const { name, code } = cltm.data.languages[index];
  return name === code ? code : `${name} (${code})`;
};

// Numbers as text: a real minus sign, no minus before zero; large ones, which are vague,
// have fewer decimals.
cltm.format = function (value, digits = 2) {
  if (value === null || value === undefined) return "not available";
  if (value === "inf") return "∞";
  if (value === "-inf") return "−∞";
  const text = value.toFixed(Math.abs(value) < 9.995 ? digits : Math.min(digits, Math.abs(value) < 99.95 ? 1 : 0));
  return Number(text) === 0 ? (0).toFixed(digits) : text.replace("-", "−");
};

cltm.formatSmall = function (value) {
  if (value === null || value === undefined) return "not available";
  if (value < 0.001) return value === 0 ? "below 1e−300" : value.toExponential(1).replace("-", "−");
  return value.toFixed(value < 0.1 ? 3 : 2);
};

// A confidence set of a ratio, which need not be an interval.
cltm.setText = function (kind, low, high, digits = 2) {
  const [a, b] = [cltm.format(low, digits), cltm.format(high, digits)];
  if (!kind) return "not available";
  if (kind === "whole line") return "unbounded (any value)";
  if (kind === "outside") return `unbounded: below ${a} or above ${b}`;
  if (kind === "half-line") return low === "-inf" ? `unbounded: below ${b}` : `unbounded: above ${a}`;
  return `[${a}, ${b}]`;
};

cltm.intervalText = function (low, high, digits = 2) {
  if (low === null || low === undefined) return "not available";
  return `[${cltm.format(low, digits)}, ${cltm.format(high, digits)}]`;
};

cltm.mean = function (values) {
  const there = values.filter((value) => typeof value === "number");
  return there.length ? there.reduce((sum, value) => sum + value, 0) / there.length : null;
};

cltm.element = function (tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
};
