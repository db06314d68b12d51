// The single runs on every test language, of the chosen metric.
function draw() {
  const view = cltm.matrixView(cltm.metric(), "zero_shot", "none");
  cltm.drawHeatmap(document.getElementById("zero-shot-heatmap"), view, cltm.data.orders.family, { byFamily: true, withFamilies: true, height: innerHeight, width: element.clientWidth });
}

cltm.drawing(draw, ["metric", "strategy"]);
