// Training loss and validation by epoch. `data`: panels of curves by kind of run.
cltm.drawing(() => cltm.drawCurves("training-chart", data, "epoch"));
