// The single runs on every test language, of the chosen metric.
function draw() {
  const view = cltm.matrixView(cltm.metric(), "zero_shot", "none");
  cltm.drawHeatmap("zero-shot-heatmap", view, cltm.data.orders.family, { byFamily: true, withFamilies: true });
}

draw();
cltm.listeners.push((changes) => {
  if ("metric" in changes) draw();
});
