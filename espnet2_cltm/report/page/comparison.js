// Scatter plots against published matrices. `data`: of each, the cells
// [target, donor, here, published, identified in both, limits here or null].
for (const [index, cells] of data.entries()) drawComparison(`comparison-${index}`, cells);

function drawComparison(where, cells) {
  const group = (identified, name, colour) => {
    const some = cells.filter((cell) => cell[4] === identified);
    return {
      type: "scatter", mode: "markers", name, x: some.map((cell) => cell[2]), y: some.map((cell) => cell[3]),
      marker: { color: colour, size: cells.length > 400 ? 4 : 7, opacity: 0.75 },
      hoverinfo: "text",
      hovertext: some.map(([target, donor, here, published, , low, high]) => {
        const interval = low === null ? "" : ` ${cltm.intervalText(low, high)}`;
        return `${target} from ${donor}<br>here ${cltm.format(here)}${interval}<br>published ${cltm.format(published)}`;
      }),
    };
  };
  const values = cells.flatMap((cell) => [cell[2], cell[3]]);
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
}
