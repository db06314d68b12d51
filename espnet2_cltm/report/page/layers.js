// What runs do to each layer. `data`: panels of curves by kind of run.
cltm.drawing(() => cltm.drawCurves("layers-chart", data, "hidden state"));
