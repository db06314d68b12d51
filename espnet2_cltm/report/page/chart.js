// What all charts have in common: the page's font and colours, and following them.
"use strict";

cltm.FONT = "system-ui, 'DejaVu Sans', sans-serif";

cltm.KIND_COLOURS = { single: "#0072B2", double: "#009E73", pair: "#D55E00" };

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
