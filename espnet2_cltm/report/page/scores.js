// ROC, DET (on axes of normal deviates) and histograms of scores, by kind of run.
cltm.drawing(() => drawVerification("scores-chart", data));

function drawVerification(where, { kinds, limits, ticks }) {
  const names = Object.keys(kinds);
  const faint = { type: "scatter", mode: "lines", line: { color: "#888888", width: 1, dash: "dot" }, hoverinfo: "skip", showlegend: false };
  const traces = [
    { ...faint, x: [0, 1], y: [0, 1] },
    { ...faint, x: limits, y: limits, xaxis: "x2", yaxis: "y2" },
  ];
  const layout = {
    height: 640, margin: { l: 60, r: 15, t: 40, b: 50 }, barmode: "overlay", bargap: 0,
    xaxis: { domain: [0, 0.44], anchor: "y", title: { text: "false alarm rate" }, range: [0, 1] },
    yaxis: { domain: [0.5, 1], anchor: "x", title: { text: "targets accepted" }, range: [0, 1] },
  };
  for (const [axis, other, domain, title] of [["xaxis2", "y2", [0.56, 1], "false alarm rate"], ["yaxis2", "x2", [0.5, 1], "miss rate"]])
    layout[axis] = { domain, anchor: other, title: { text: title }, range: limits, tickmode: "array", tickvals: ticks[0], ticktext: ticks[1], zeroline: false };
  names.forEach((kind, place) => {
    const { p_fa: pFa, p_miss: pMiss, det } = kinds[kind];
    const line = { type: "scatter", mode: "lines", name: kind, legendgroup: kind, line: { color: cltm.KIND_COLOURS[kind], width: 2 } };
    traces.push({ ...line, x: pFa, y: pMiss.map((miss) => 1 - miss), hovertemplate: `${kind}<br>false alarms %{x:.3f}<br>accepted %{y:.3f}<extra></extra>` });
    traces.push({ ...line, x: det[0], y: det[1], xaxis: "x2", yaxis: "y2", showlegend: false, hoverinfo: "skip" });
    const axes = { xaxis: `x${place + 3}`, yaxis: `y${place + 3}` };
    for (const [name, colour] of [["nontarget", "#8a8a8a"], ["target", cltm.KIND_COLOURS[kind]]]) {
      const { at, share, width } = kinds[kind][name];
      traces.push({
        ...axes, type: "bar", name, x: at, y: share, width, opacity: 0.6, marker: { color: colour, line: { width: 0 } }, showlegend: false,
        hovertemplate: `${kind}, ${name}<br>score %{x:.2f}<br>%{y:.1%} of trials<extra></extra>`,
      });
    }
    const step = 1 / names.length;
    layout[`xaxis${place + 3}`] = { domain: [place * step, (place + 0.9) * step], anchor: axes.yaxis, range: [-1, 1], title: { text: `${kind}s` }, zeroline: false, tickvals: [-1, 0, 1], tickangle: 0 };
    layout[`yaxis${place + 3}`] = { domain: [0, 0.33], anchor: axes.xaxis, showticklabels: false, showgrid: false, rangemode: "tozero" };
  });
  return cltm.plot(where, traces, layout);
}
