// What all charts have in common: the page's font and colours, and following them.
"use strict";

cltm.FONT = "system-ui, 'DejaVu Sans', sans-serif";

cltm.KIND_COLOURS = { single: "#0072B2", double: "#009E73", pair: "#D55E00", pretrained: "#7F7F7F" };

// A colour of style.css by its name, as the page shows it now.
cltm.colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

// Plotly.react in the colours of the page.
cltm.plot = function (where, traces, layout, config = {}) {
  const [ink, faint, line, paper] = ["ink", "faint", "line", "paper"].map(cltm.colour);
  const font = { family: cltm.FONT, size: 12, color: ink };
  const axis = { fixedrange: true, gridcolor: line, zerolinecolor: faint };
  const template = {
    layout: {
      font, xaxis: axis, yaxis: axis, paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", dragmode: false,
      hoverlabel: { bgcolor: paper, bordercolor: faint, font, align: "left" },
      legend: { orientation: "h", y: 1.02, yanchor: "bottom", x: 0 },
    },
  };
  return Plotly.react(where, traces, { ...layout, template }, { responsive: true, displaylogo: false, displayModeBar: false, ...config });
};

// Draw now, and again when the page's colours change, or what `names` name of the state.
cltm.drawing = function (draw, names = []) {
  draw();
  cltm.listeners.push((changes) => {
    if (["theme", ...names].some((name) => name in changes)) draw();
  });
};

// Plotly's labels take some HTML.
cltm.escapeHtml = (text) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");

// Panels of curves over `axis` by kind of run, with a band from `low` to `high`.
cltm.drawCurves = function (where, panels, axis) {
  const traces = panels.flatMap(({ kinds, digits = 3 }, panel) => {
    const axes = { xaxis: `x${panel + 1}`, yaxis: `y${panel + 1}` };
    return Object.entries(kinds).flatMap(([kind, { at, steps = [], mean, low, high }]) => {
      const colour = cltm.KIND_COLOURS[kind];
      const text = at.map((n, k) => `${kind}, ${axis} ${n}${steps.length ? `, ${cltm.format(steps[k], 0)} steps` : ""}<br>${cltm.format(mean[k], digits)}`);
      const shown = panels.findIndex((one) => kind in one.kinds) === panel;
      return [
        { ...axes, type: "scatter", mode: "none", fill: "toself", x: [...at, ...[...at].reverse()], y: [...high, ...[...low].reverse()], fillcolor: `${colour}22`, hoverinfo: "skip", showlegend: false },
        { ...axes, type: "scatter", mode: "lines+markers", name: kind, legendgroup: kind, showlegend: shown, x: at, y: mean, line: { color: colour, width: 2 }, marker: { size: 5 }, hoverinfo: "text", hovertext: text },
      ];
    });
  });
  const columns = Math.min(panels.length, 2), rows = Math.ceil(panels.length / columns);
  const layout = { height: 60 + 280 * rows, margin: { l: 55, r: 15, t: 40, b: 45 }, grid: { rows, columns, pattern: "independent", xgap: 0.18, ygap: 0.3 } };
  panels.forEach(({ title, from_zero = true }, panel) => {
    layout[`xaxis${panel + 1}`] = { title: { text: axis }, zeroline: false };
    layout[`yaxis${panel + 1}`] = { title: { text: cltm.escapeHtml(title) }, zeroline: false, ...(from_zero ? { rangemode: "tozero" } : {}) };
  });
  return cltm.plot(where, traces, layout);
};
