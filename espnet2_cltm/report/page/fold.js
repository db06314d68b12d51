// Sections that open and close: drawn when first opened, remembered, and all printed.
"use strict";

const FOLDS = [...document.querySelectorAll("details[data-fold]")];
const drawnSections = new Set();

function drawSection(section) {
  if (drawnSections.has(section.id)) return;
  drawnSections.add(section.id);
  cltm.sections[section.id]?.(section, cltm.data.sections[section.id]);
}

function openSection(id) {
  const fold = FOLDS.find((one) => one.parentElement.id === id);
  if (!fold) return;
  setOpen(fold, true);
  fold.scrollIntoView();
}

function setOpen(fold, open) {
  fold.open = open;
  if (open) drawSection(fold.parentElement);
}

function startFolds() {
  const remembered = recall("sections") ?? {};
  for (const fold of FOLDS) {
    const { id } = fold.parentElement;
    setOpen(fold, remembered[id] ?? fold.dataset.fold === "open");
    fold.addEventListener("toggle", () => fold.open && drawSection(fold.parentElement));
    fold.firstElementChild.addEventListener("click", () => keep("sections", { ...recall("sections"), [id]: !fold.open }));
  }
  const all = document.getElementById("open-all");
  all.addEventListener("click", () => {
    const open = FOLDS.some((fold) => !fold.open);
    for (const fold of FOLDS) setOpen(fold, open);
  });
  window.addEventListener("beforeprint", preparePaper);
}

// Charts are as large as on the screen; paper may be smaller. In CSS pixels, of A4,
// with room for a heading.
const PAPER_WIDTH = 680, PAPER_HEIGHT = 800;

// Paper is light and shows every section.
function preparePaper() {
  const closed = FOLDS.filter((fold) => !fold.open);
  const { theme } = document.documentElement.dataset;
  showTheme("light");
  for (const fold of FOLDS) setOpen(fold, true);
  for (const chart of document.querySelectorAll(".js-plotly-plot")) {
    const { width, height } = chart._fullLayout;
    chart.style.setProperty("--print-zoom", Math.min(1, PAPER_WIDTH / width, PAPER_HEIGHT / height));
  }
  window.addEventListener("afterprint", () => {
    showTheme(theme);
    for (const fold of closed) fold.open = false;
  }, { once: true });
}

function showTheme(theme) {
  if (document.documentElement.dataset.theme === theme) return;
  setTheme(theme);
  cltm.update({ theme });
}

function startTheme() {
  const shown = () => document.documentElement.dataset.theme;
  document.getElementById("theme").addEventListener("click", () => {
    const theme = shown() === "dark" ? "light" : "dark";
    keep("theme", theme === systemTheme() ? null : theme);
    showTheme(theme);
  });
  DARK_SYSTEM.addEventListener("change", () => showTheme(recall("theme") ?? systemTheme()));
}
