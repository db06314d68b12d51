// Rankings of donors and targets. `data`: what of the CLTM is shown, and by side,
// [{language, value, low, high}] in any order; drawn best first.
const { limits, ...sides } = data;

cltm.drawing(() => {
  for (const [side, entries] of Object.entries(sides)) {
    const where = document.getElementById(`ranking-${side}`);
    if (where) drawRanking(where, entries);
  }
});

function drawRanking(where, entries) {
  const sorted = entries.filter((entry) => entry.value !== null).sort((a, b) => b.value - a.value);
  const names = sorted.map((entry) => cltm.escapeHtml((sorted.length > 24 ? cltm.name : cltm.fullName)(entry.language)));
  const places = [...sorted.keys()];
  const intervals = { type: "scatter", mode: "lines", x: [], y: [], line: { color: "#5f8fb0", width: 2 }, hoverinfo: "skip" };
  const beyond = { type: "scatter", mode: "markers", x: [], y: [], hoverinfo: "skip", cliponaxis: false, marker: { symbol: [], size: 9, color: "#5f8fb0" } };
  const [least, most] = limits;
  for (const [place, { low, high }] of sorted.entries()) {
    if (typeof low !== "number" || typeof high !== "number") continue;
    intervals.x.push(Math.max(low, least), Math.min(high, most), null);
    intervals.y.push(place, place, null);
    for (const [isBeyond, edge, symbol] of [[low < least, least, "triangle-left"], [high > most, most, "triangle-right"]]) {
      if (!isBeyond) continue;
      beyond.x.push(edge);
      beyond.y.push(place);
      beyond.marker.symbol.push(symbol);
    }
  }
  const means = {
    type: "scatter", mode: "markers", y: places, x: sorted.map((entry) => entry.value), marker: { size: 8, color: "#0072B2" },
    hoverinfo: "text",
    hovertext: sorted.map((entry, k) => `${names[k]}: ${cltm.format(entry.value)} ${cltm.intervalText(entry.low, entry.high)}`),
  };
  const note = beyond.x.length ? "<br>arrowhead: an interval<br>goes on beyond the chart" : "";
  return cltm.plot(where, [intervals, beyond, means], {
    height: 110 + sorted.length * (sorted.length > 24 ? 15 : 24), margin: { l: 10, r: 10, t: 10, b: beyond.x.length ? 75 : 45 }, showlegend: false,
    xaxis: { title: { text: `mean CLTM${note}` }, range: limits, zeroline: true },
    yaxis: {
      range: [sorted.length - 0.5, -0.5], tickmode: "array", tickvals: places, ticktext: names, automargin: true,
      zeroline: false, tickfont: { size: sorted.length > 24 ? 10 : 12 },
    },
  });
}
