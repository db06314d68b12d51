// Scatter plots against published matrices. `data`: of each, the cells
// [target, donor, here, published, identified in both, limits here or null].
cltm.drawing(() => data.forEach((cells, index) => drawComparison(`comparison-${index}`, cells)));

function drawComparison(where, cells) {
  const ranges = [shownRange(cells, 2), shownRange(cells, 3)];
  const isBeyond = (cell) => ranges.some(([low, high], axis) => cell[2 + axis] < low || cell[2 + axis] > high);
  const group = (identified, name, colour) => {
    const some = cells.filter((cell) => cell[4] === identified);
    const at = (axis) => some.map((cell) => Math.min(Math.max(cell[2 + axis], ranges[axis][0]), ranges[axis][1]));
    return {
      type: "scatter", mode: "markers", name: some.some(isBeyond) ? `${name} (at the edge: further out)` : name, x: at(0), y: at(1),
      marker: { color: colour, size: cells.length > 400 ? 4 : 7, opacity: 0.75 }, cliponaxis: false,
      hoverinfo: "text",
      hovertext: some.map(([target, donor, here, published, , low, high]) => {
        const interval = low === null ? "" : ` ${cltm.intervalText(low, high)}`;
        return `${target} from ${donor}<br>here ${cltm.format(here)}${interval}<br>published ${cltm.format(published)}`;
      }),
    };
  };
  const ends = [Math.min(...ranges.flat()), Math.max(...ranges.flat())];
  const traces = [
    { type: "scatter", mode: "lines", x: ends, y: ends, line: { color: "#888888", width: 1, dash: "dot" }, hoverinfo: "skip", showlegend: false },
    group(true, "identified", "#0072B2"),
    group(false, "target not identified", "#b0b0b0"),
  ].filter((trace) => trace.x.length);
  return cltm.plot(where, traces, {
    height: 440, margin: { l: 60, r: 10, t: 30, b: 50 },
    xaxis: { title: { text: "CLTM here" }, range: ranges[0] },
    yaxis: { title: { text: "CLTM published" }, range: ranges[1] },
  });
}

// Every identified cell, and 0 and 1: others may lie so far out that nothing else is seen.
function shownRange(cells, column) {
  const identified = cells.filter((cell) => cell[4]);
  const values = [0, 1, ...(identified.length ? identified : cells).map((cell) => cell[column])];
  const [low, high] = [Math.min(...values), Math.max(...values)];
  return [low - 0.06 * (high - low), high + 0.06 * (high - low)];
}
