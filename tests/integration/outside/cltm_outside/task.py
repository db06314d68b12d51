"""A label task of another package, with a metric of its own."""

from sklearn.metrics import cohen_kappa_score

from espnet2_cltm.label.metrics import LABEL_METRICS
from espnet2_cltm.label.spec import LabelTask
from espnet2_cltm.task import Metric


def kappa(reference, predicted, classes):
    """Return Cohen's kappa: agreement beyond chance."""
    return cohen_kappa_score(reference, predicted, labels=list(classes))


REGISTER = LabelTask(
    name="register",
    title="register of the voice",
    label="register",
    classes=("high", "low"),
    metrics=(Metric("kappa", "Cohen's kappa", kappa, minimum=-1.0), *LABEL_METRICS),
)
