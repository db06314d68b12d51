// Reliability diagrams by kind of run, before and after the temperature.
if (data.length) cltm.drawing(() => drawReliability("calibration-chart", data));

function drawReliability(where, panels) {
  const traces = [];
  const layout = { height: 430, margin: { l: 60, r: 15, t: 60, b: 50 }, annotations: [] };
  const step = 1 / panels.length;
  panels.forEach(({ title, kinds }, place) => {
    const number = place ? place + 1 : "";
    const axes = { xaxis: `x${number}`, yaxis: `y${number}` };
    traces.push({ ...axes, type: "scatter", mode: "lines", x: [0, 1], y: [0, 1], line: { color: "#888888", width: 1, dash: "dot" }, hoverinfo: "skip", showlegend: false });
    const lowest = Math.min(...Object.values(kinds).flatMap(({ confidence }) => confidence));
    for (const [kind, { share, confidence, accuracy }] of Object.entries(kinds)) {
      traces.push({
        ...axes, type: "scatter", mode: "lines+markers", cliponaxis: false, name: kind, legendgroup: kind, showlegend: !place,
        x: confidence, y: accuracy, customdata: share,
        line: { color: cltm.KIND_COLOURS[kind], width: 1.5 },
        marker: { color: cltm.KIND_COLOURS[kind], size: share, sizemode: "area", sizeref: 1 / 900, sizemin: 2, line: { width: 0 } },
        hovertemplate: `${kind}<br>probability %{x:.3f}<br>right %{y:.3f}<br>%{customdata:.1%} of utterances<extra></extra>`,
      });
    }
    const low = Math.max(0, Math.floor(10 * lowest - 0.5) / 10);
    layout[`xaxis${number}`] = { domain: [place * step, (place + 0.9) * step], anchor: axes.yaxis, range: [low, 1.02], title: { text: "probability of the most probable class" } };
    layout[`yaxis${number}`] = { domain: [0, 1], anchor: axes.xaxis, range: [0, 1.02], title: { text: place ? "" : "how often it is right" } };
    layout.annotations.push({ text: title, xref: "paper", yref: "paper", x: place * step, y: 1, xanchor: "left", yanchor: "bottom", showarrow: false });
  });
  layout.legend = { y: 1.1 };
  return cltm.plot(where, traces, layout);
}
