// Rankings of donors and targets. `data`: by side, [{language, value, low, high}] in any
// order; drawn best first.
for (const [side, entries] of Object.entries(data)) {
  const where = document.getElementById(`ranking-${side}`);
  if (where) drawRanking(where, entries);
}

function drawRanking(where, entries) {
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
    xaxis: { title: { text: "mean CLTM" }, fixedrange: true, gridcolor: "#e6e6e6", zeroline: true, zerolinecolor: "#888888" },
    yaxis: {
      range: [sorted.length - 0.5, -0.5], tickmode: "array", tickvals: places, ticktext: names, automargin: true, fixedrange: true,
      zeroline: false, gridcolor: "#f0f0f0", tickfont: { size: sorted.length > 24 ? 10 : 12 },
    },
  }, cltm.CONFIG);
}
