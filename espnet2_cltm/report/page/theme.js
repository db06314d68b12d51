// Light or dark, before anything is shown: as chosen here, else as the system has it. And
// what the browser remembers for all reports; where it may not, nothing is remembered.
"use strict";

const DARK_SYSTEM = matchMedia("(prefers-color-scheme: dark)");

function recall(name) {
  try {
    return JSON.parse(localStorage.getItem(`cltm.${name}`));
  } catch {
    return null;
  }
}

function keep(name, value) {
  try {
    localStorage.setItem(`cltm.${name}`, JSON.stringify(value));
  } catch {
    // The choice holds as long as the page is open.
  }
}

const systemTheme = () => (DARK_SYSTEM.matches ? "dark" : "light");

function setTheme(theme) {
  document.documentElement.dataset.theme = theme === "dark" ? "dark" : "light";
}

setTheme(recall("theme") ?? systemTheme());
