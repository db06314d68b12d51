// Few shots: a panel a target, Perf by the number of shots. `data`: panels and ticks.
if (data.panels && data.panels.length) cltm.drawing(() => drawFewShots("pools-chart", data));

function drawFewShots(where, { panels, ticks, unit, metric, beside, range }) {
  const columns = Math.min(panels.length, element.clientWidth < 560 ? 1 : 3);
  const rows = Math.ceil(panels.length / columns);
  const seen = new Set();
  const bar = (limits, perf, sign) => limits.map((limit, k) => (limit === null ? 0 : sign * (limit - perf[k])));
  const traces = panels.flatMap(({ title, curves }, panel) =>
    curves.map(({ name, colour, shots, at, perf, low, high }, k) => {
      const isNew = !seen.has(name);
      seen.add(name);
      return {
        type: "scatter", mode: "lines+markers", name: cltm.escapeHtml(name), legendgroup: name, showlegend: isNew, xaxis: `x${panel + 1}`, yaxis: `y${panel + 1}`,
        x: at.map((x) => x + beside * (k - (curves.length - 1) / 2)), y: perf, customdata: shots, marker: { size: 6, color: colour }, line: { color: colour, width: 1.5 },
        error_y: { type: "data", symmetric: false, thickness: 1, width: 3, array: bar(high, perf, 1), arrayminus: bar(low, perf, -1) },
        hovertemplate: `${cltm.escapeHtml(title)}, ${cltm.escapeHtml(name)}<br>%{customdata} ${cltm.escapeHtml(unit)}<br>%{y:.3f}<extra></extra>`,
      };
    }),
  );
  const layout = { height: 80 + 240 * rows, margin: { l: 60, r: 15, t: 80, b: 45 }, legend: { orientation: "h", yref: "container", y: 1, yanchor: "top", x: 0 }, grid: { rows, columns, pattern: "independent", xgap: 0.15, ygap: 0.3 }, annotations: [] };
  panels.forEach(({ title }, panel) => {
    layout[`xaxis${panel + 1}`] = { tickvals: Object.values(ticks), ticktext: Object.keys(ticks), zeroline: false, title: { text: cltm.escapeHtml(unit) } };
    layout[`yaxis${panel + 1}`] = { range, zeroline: false, matches: panel ? "y" : undefined, title: { text: panel % columns ? "" : cltm.escapeHtml(metric) } };
    layout.annotations.push({ text: cltm.escapeHtml(title), showarrow: false, x: 0, y: 1, xanchor: "left", yanchor: "bottom", xref: `x${panel ? panel + 1 : ""} domain`, yref: `y${panel ? panel + 1 : ""} domain` });
  });
  return cltm.plot(where, traces, layout);
}
