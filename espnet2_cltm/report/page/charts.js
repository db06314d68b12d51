// Rankings of donors and targets, and the scatter plot against a published matrix.
"use strict";

// `entries`: [{language, value, low, high}], in any order; drawn best first.
cltm.drawRanking = function (where, entries, title) {
  const sorted = entries.filter((entry) => entry.value !== null).sort((a, b) => b.value - a.value);
  const names = sorted.map((entry) => cltm.escapeHtml((sorted.length > 24 ? cltm.name : cltm.fullName)(entry.language)));
  const places = [...sorted.keys()];
  const bounded = (entry) => typeof entry.low === "number" && typeof entry.high === "number";
  const arm = (entry, end) => (bounded(entry) ? Math.abs(entry[end] - entry.value) : 0);
  const trace = {
    type: "scatter", mode: "markers", orientation: "h", y: places, x: sorted.map((entry) => entry.value),
    marker: { size: 8, color: "#0072B2" },
    error_x: {
      type: "data", symmetric: false, color: "#5f8fb0", thickness: 1.5, width: 3,
      array: sorted.map((entry) => arm(entry, "high")), arrayminus: sorted.map((entry) => arm(entry, "low")),
    },
    hoverinfo: "text",
    hovertext: sorted.map((entry, k) => `${names[k]}: ${cltm.format(entry.value, 3)} ${cltm.intervalText(entry.low, entry.high, 3)}`),
  };
  return Plotly.react(where, [trace], {
    font: { ...cltm.FONT, size: 12 }, height: 110 + sorted.length * (sorted.length > 24 ? 15 : 24),
    margin: { l: 10, r: 10, t: 10, b: 50 }, paper_bgcolor: "rgba(0,0,0,0)", showlegend: false,
    xaxis: { title: { text: title }, fixedrange: true, gridcolor: "#e6e6e6", zeroline: true, zerolinecolor: "#888888" },
    yaxis: {
      range: [sorted.length - 0.5, -0.5], tickmode: "array", tickvals: places, ticktext: names, automargin: true, fixedrange: true,
      zeroline: false, gridcolor: "#f0f0f0", tickfont: { size: sorted.length > 24 ? 10 : 12 },
    },
  }, cltm.CONFIG);
};

// `comparison.cells`: [target, donor, A, B, identified in both, A's limits or null].
cltm.drawComparison = function (where, comparison) {
  const group = (identified, name, colour) => {
    const cells = comparison.cells.filter((cell) => cell[4] === identified);
    return {
      type: "scatter", mode: "markers", name, x: cells.map((cell) => cell[2]), y: cells.map((cell) => cell[3]),
      marker: { color: colour, size: comparison.cells.length > 400 ? 4 : 7, opacity: 0.75 },
      hoverinfo: "text",
      hovertext: cells.map(([target, donor, here, published, , low, high]) => {
        const interval = low === null ? "" : ` ${cltm.intervalText(low, high)}`;
        return `${target} from ${donor}<br>here ${cltm.format(here)}${interval}<br>published ${cltm.format(published)}`;
      }),
    };
  };
  const values = comparison.cells.flatMap((cell) => [cell[2], cell[3]]);
  const ends = [Math.min(...values), Math.max(...values)];
  const traces = [
    { type: "scatter", mode: "lines", x: ends, y: ends, line: { color: "#888888", width: 1, dash: "dot" }, hoverinfo: "skip", showlegend: false },
    group(true, "identified", "#0072B2"),
    group(false, "target not identified", "#b0b0b0"),
  ].filter((trace) => trace.x.length);
  return Plotly.react(where, traces, {
    font: { ...cltm.FONT, size: 12 }, height: 440, margin: { l: 60, r: 10, t: 30, b: 50 }, paper_bgcolor: "rgba(0,0,0,0)",
    xaxis: { title: { text: "CLTM here" }, gridcolor: "#e6e6e6", zerolinecolor: "#bbbbbb", fixedrange: true },
    yaxis: { title: { text: "CLTM published" }, gridcolor: "#e6e6e6", zerolinecolor: "#bbbbbb", fixedrange: true },
    legend: { orientation: "h", y: 1.02, yanchor: "bottom", x: 0 },
  }, cltm.CONFIG);
};
