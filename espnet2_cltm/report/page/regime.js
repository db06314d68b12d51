// Learning curves, and the index that tells which N are in the dynamic regime. `data` is
// regime.json.

// Okabe and Ito's colours; more languages than these are drawn alike.
const CURVE_COLOURS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9"];

cltm.drawing(() => drawRegime("regime-chart", data));

function drawRegime(where, regime) {
  const codes = Object.keys(regime.languages);
  const few = codes.length <= CURVE_COLOURS.length;
  const curves = codes.flatMap((code, index) => learningCurve(regime.languages[code], few ? CURVE_COLOURS[index] : "#9bb8cc", few));
  const { smoothed, by_n: byN, settings } = regime;
  const right = { xaxis: "x2", yaxis: "y2", showlegend: false };
  const index = [
    {
      ...right, type: "scatter", mode: "lines", x: smoothed.n, y: smoothed.ci_min, line: { color: cltm.colour("ink"), width: 2 },
      hovertemplate: "N %{x:.0f}<br>smoothed %{y:.2f}<extra></extra>",
    },
    {
      ...right, type: "scatter", mode: "markers", x: byN.n, y: byN.median,
      marker: { size: 9, color: byN.n.map((_, k) => (byN.is_outlier[k] ? "#bdbdbd" : byN.is_in_regime[k] ? "#009E73" : "#D55E00")) },
      text: byN.n.map((_, k) => `${byN.n_reaching[k]} of ${byN.n_languages[k]} languages reach ${settings.threshold}`),
      hovertemplate: "N %{x}<br>median of CI_min %{y:.2f}<br>%{text}<extra></extra>",
    },
  ];
  const shapes = smoothed.spans.map(([x0, x1]) => ({
    type: "rect", xref: "x2", yref: "y2 domain", x0, x1, y0: 0, y1: 1, fillcolor: "#009E73", opacity: 0.12, line: { width: 0 },
  }));
  shapes.push({ type: "line", xref: "x2 domain", yref: "y2", x0: 0, x1: 1, y0: settings.threshold, y1: settings.threshold, line: { color: cltm.colour("faint"), width: 1.2, dash: "dash" } });
  if (regime.suggested_n !== null)
    shapes.push({ type: "line", xref: "x2", yref: "y2 domain", x0: regime.suggested_n, x1: regime.suggested_n, y0: 0, y1: 1, line: { color: "#009E73", width: 2 } });
  const grid = [...new Set(codes.flatMap((code) => regime.languages[code].curve.n))].sort((a, b) => a - b);
  const xaxis = { type: "log", tickmode: "array", tickvals: grid, ticktext: grid.map(String), title: { text: "N" } };
  return cltm.plot(where, [...curves, ...index], {
    height: 430, margin: { l: 60, r: 15, t: 50, b: 50 },
    grid: { rows: 1, columns: 2, pattern: "independent", xgap: 0.18 }, shapes,
    xaxis, xaxis2: xaxis,
    yaxis: { title: { text: regime.metric_label }, zeroline: false },
    yaxis2: { title: { text: "CI_min, median over languages" }, zeroline: false, rangemode: "tozero" },
  });
}

function learningCurve(language, colour, inLegend) {
  const { n, mean, se, n_seeds: seeds } = language.curve;
  const band = se.every((value) => value !== null);
  const line = {
    type: "scatter", mode: "lines+markers", name: cltm.escapeHtml(language.name), x: n, y: mean, showlegend: inLegend,
    line: { color: colour, width: inLegend ? 2 : 1 }, marker: { color: colour, size: inLegend ? 7 : 4 },
    hoverinfo: "text",
    hovertext: seeds.map((count, k) => {
      const error = se[k] === null ? "" : ` ± ${cltm.format(se[k], 3)}`;
      return `${cltm.escapeHtml(language.name)}, N ${n[k]}<br>${cltm.format(mean[k], 3)}${error}, ${count === 1 ? "1 seed" : `${count} seeds`}`;
    }),
  };
  if (!band || !inLegend) return [line];
  const ends = [...n, ...[...n].reverse()];
  const limits = [...mean.map((value, k) => value + se[k]), ...mean.map((value, k) => value - se[k]).reverse()];
  return [{ type: "scatter", mode: "none", fill: "toself", x: ends, y: limits, fillcolor: `${colour}26`, hoverinfo: "skip", showlegend: false }, line];
}
