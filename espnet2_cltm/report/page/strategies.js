// Strategies: a cost to the right, what is reached upwards. `data`: panels, two a row.
if (data.length) cltm.drawing(() => drawStrategies("strategies-chart", data));

function drawStrategies(where, panels) {
  const columns = element.clientWidth < 560 ? 1 : Math.min(panels.length, 2);
  const rows = Math.ceil(panels.length / columns);
  const traces = panels.flatMap(({ names, x, y, low, high, colours }, panel) =>
    names.map((name, k) => ({
      type: "scatter", mode: "markers", name: cltm.escapeHtml(name), legendgroup: name, showlegend: panel === 0, xaxis: `x${panel + 1}`, yaxis: `y${panel + 1}`,
      x: [x[k]], y: [y[k]], marker: { size: 10, color: colours[name] },
      error_y: { type: "data", symmetric: false, thickness: 1.5, width: 4, array: [high[k] === null ? 0 : high[k] - y[k]], arrayminus: [low[k] === null ? 0 : y[k] - low[k]] },
      hovertemplate: `${cltm.escapeHtml(name)}<br>%{x:,.4g}<br>%{y:.3f}<extra></extra>`,
    })),
  );
  const layout = { height: 280 * rows, margin: { l: 65, r: 20, t: 40, b: 45 }, grid: { rows, columns, pattern: "independent", xgap: 0.2, ygap: 0.25 } };
  panels.forEach(({ x_title: across, y_title: up, is_log: isLog, x, y }, panel) => {
    const [from, to] = [Math.min(...x), Math.max(...x)].map((value) => (isLog ? Math.log10(value) : value));
    const room = 0.2 * (to - from) || 1;
    layout[`xaxis${panel + 1}`] = { title: { text: across }, zeroline: false, type: isLog ? "log" : "linear", range: [from - room, to + room] };
    layout[`yaxis${panel + 1}`] = { title: { text: up }, zeroline: false };
  });
  return cltm.plot(where, traces, layout);
}
