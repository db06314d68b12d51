// Unpacking library and data, then drawing section by section.
"use strict";

async function unpack(id) {
  const packed = atob(document.getElementById(id).textContent.trim());
  const bytes = Uint8Array.from(packed, (character) => character.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).text();
}

// A cell worth looking at first: the clearest one off the diagonal.
function firstCell() {
  let best = [0, 1], lowest = Infinity;
  for (const [i, row] of cltm.data.metrics[0].q_gain.entries())
    for (const [j, q] of row.entries())
      if (i !== j && q !== null && q < lowest) [best, lowest] = [[i, j], q];
  return { target: best[0], donor: best[1] };
}

// The gains where no target has a ratio.
function firstMatrix() {
  return cltm.data.metrics[0].targets.every((one) => one.not_identified) ? "gain" : "cltm";
}

function startFigureButtons() {
  for (const button of document.querySelectorAll("button[data-figure]"))
    button.addEventListener("click", () =>
      Plotly.downloadImage(button.dataset.figure, { format: button.dataset.format, filename: button.dataset.name, scale: 2 }),
    );
}

async function start() {
  const [library, text] = await Promise.all([unpack("plotly"), unpack("data")]);
  document.head.append(cltm.element("script", {}, library));
  cltm.data = JSON.parse(text);
  startAddress({ metric: 0, matrix: firstMatrix(), ...firstCell() });
  for (const part of document.querySelectorAll("[data-interactive]")) part.hidden = false;
  for (const table of document.querySelectorAll("details.table-alternative")) table.open = false;
  for (const section of document.querySelectorAll("main > section"))
    if (section.firstElementChild.localName !== "details") drawSection(section);
  startFolds();
  startTheme();
  startFigureButtons();
  openSection(location.hash.slice(1));
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
