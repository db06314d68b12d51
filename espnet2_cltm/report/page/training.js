// Training loss and validation by epoch. `data`: panels of curves by kind of run.
cltm.drawing(() => drawTraining("training-chart", data));

function drawTraining(where, panels) {
  const traces = panels.flatMap(({ kinds }, panel) => {
    const axes = { xaxis: `x${panel + 1}`, yaxis: `y${panel + 1}` };
    return Object.entries(kinds).flatMap(([kind, { epoch, steps, mean, low, high }]) => {
      const colour = cltm.KIND_COLOURS[kind];
      const text = epoch.map((n, k) => `${kind}, epoch ${n}${steps.length ? `, ${cltm.format(steps[k], 0)} steps` : ""}<br>${cltm.format(mean[k], 3)}`);
      return [
        { ...axes, type: "scatter", mode: "none", fill: "toself", x: [...epoch, ...[...epoch].reverse()], y: [...high, ...[...low].reverse()], fillcolor: `${colour}22`, hoverinfo: "skip", showlegend: false },
        { ...axes, type: "scatter", mode: "lines+markers", name: kind, legendgroup: kind, showlegend: panel === 0, x: epoch, y: mean, line: { color: colour, width: 2 }, marker: { size: 5 }, hoverinfo: "text", hovertext: text },
      ];
    });
  });
  const layout = { height: 340, margin: { l: 55, r: 15, t: 40, b: 45 }, grid: { rows: 1, columns: panels.length, pattern: "independent", xgap: 0.18 } };
  panels.forEach(({ title }, panel) => {
    layout[`xaxis${panel + 1}`] = { title: { text: "epoch" }, zeroline: false };
    layout[`yaxis${panel + 1}`] = { title: { text: title }, zeroline: false, rangemode: "tozero" };
  });
  return cltm.plot(where, traces, layout);
}
