// The view in the address, to be sent to a colleague: #view=gain&cell=ca,es. What is not
// valid there is ignored; the address of a section opens it.
"use strict";

let atFirst = null; // the state of an address that says nothing

function readAddress() {
  const given = new URLSearchParams(location.hash.slice(1));
  const found = { ...atFirst };
  const metric = cltm.data.metrics.findIndex(({ name }) => name === given.get("metric"));
  if (metric >= 0) found.metric = metric;
  const strategy = cltm.strategies().indexOf(given.get("strategy"));
  if (strategy >= 0) found.strategy = strategy;
  if (found.strategy) found.metric = 0;
  const offered = {
    matrix: ["view", cltm.offeredMatrices([cltm.data.metrics[found.metric]])],
    order: ["order", cltm.offeredOrders()],
    mask: ["cells", Object.keys(cltm.MASKS)],
  };
  for (const [field, [name, values]] of Object.entries(offered))
    if (values.includes(given.get(name))) found[field] = given.get(name);
  const codes = cltm.data.languages.map(({ code }) => code);
  const cell = (given.get("cell") ?? "").split(",").map((code) => codes.indexOf(code));
  if (cell.length === 2 && !cell.includes(-1)) [found.target, found.donor] = cell;
  return found;
}

function addressOf({ matrix, target, donor, metric, strategy, order, mask }) {
  const parts = [["view", matrix], ["cell", `${cltm.code(target)},${cltm.code(donor)}`]];
  if (metric !== atFirst.metric) parts.push(["metric", cltm.metric().name]);
  if (strategy !== atFirst.strategy) parts.push(["strategy", cltm.strategies()[strategy]]);
  if (order !== atFirst.order) parts.push(["order", order]);
  if (mask !== atFirst.mask) parts.push(["cells", mask]);
  return `#${parts.map(([name, value]) => `${name}=${encodeURIComponent(value).replaceAll("%2C", ",")}`).join("&")}`;
}

// A choice is a step to go back to; moving by keys goes on with the same one.
function writeAddress(changes, { address = "push" } = {}) {
  if (address === "keep" || !Object.keys(changes).some((name) => name in atFirst)) return;
  const there = addressOf(cltm.state);
  if (there !== location.hash) history[`${address}State`](null, "", there);
}

function followAddress() {
  const id = location.hash.slice(1);
  if (id && !id.includes("=")) openSection(id);
  else cltm.update(readAddress(), { address: "keep" });
}

// The state as the address has it, which is kept up from now on.
function startAddress(first) {
  atFirst = { ...cltm.state, ...first };
  delete atFirst.theme;
  Object.assign(cltm.state, readAddress());
  cltm.listeners.push(writeAddress);
  window.addEventListener("hashchange", followAddress);
}
