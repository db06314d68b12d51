"""Training curves, summed over runs."""

import json

import pandas as pd

from espnet2_cltm.experiment.measures import Measures
from espnet2_cltm.experiment.plan import read_plan
from espnet2_cltm.experiment.results import collect_results
from espnet2_cltm.files import write_text
from tests.experiment.experiments import planned_experiment

LOG = (
    "x (training:1) INFO: {}epoch results: [train] iter_time=7e-04, loss={}, "
    "acc=0.750, optim0_lr0=1.000e-04, total_count={}, [valid] loss=9, total_count=7\n"
)


def test_curves_are_means_over_seeds_and_donors(tmp_path):
    directory, _ = planned_experiment(tmp_path, ("es", "fi", "tr"), (42, 43))
    for number, planned in enumerate(read_plan(directory.plan)):
        run = planned.run
        test = {lang: {"macro_f1": 0.5, "n_test": 4} for lang in planned.test_languages}
        validation = [
            {"epoch": 1, "eer": 9.0, **{f"eer_{lang}": 0.5 for lang in run.languages}},
            {"epoch": 2, "eer": 9.0, **{f"eer_{x}": float("nan") for x in "ab"}},
        ]
        write_text(
            directory.metrics(run.name),
            json.dumps(
                {
                    "test": test,
                    "validation": validation,
                    "checkpoints": {
                        lang: {"epoch": 1 + number % 2} for lang in run.languages
                    },
                }
            ),
        )
        # Begun twice: what the second training says counts.
        losses = [LOG.format(1, 5, 3), LOG.format(1, 1 + run.seed % 2, 3)]
        write_text(directory.log(run.name), "".join([*losses, LOG.format(2, 0.5, 6)]))
    measures = Measures(directory)
    list(collect_results(directory, read_plan(directory.plan), measures=measures))
    measures.write()
    of_tests = pd.read_csv(directory.scores, sep="\t")
    assert set(of_tests["measure"]) == {"metric_macro_f1"}
    assert set(of_tests["mean"]) == {0.5}
    table = pd.read_csv(directory.curves, sep="\t")
    of_es = table[(table["language"] == "es") & (table["kind"] == "pair")]
    rows = {(m, at): (n, v) for m, at, n, v in of_es.iloc[:, -5:-1].itertuples(False)}
    chosen = {key: rows.pop(key) for key in list(rows) if key[0] == "chosen"}
    assert rows == {
        ("train_loss", 1): (4, 1.5),  # two donors, two seeds
        ("train_loss", 2): (4, 0.5),
        ("steps", 1): (4, 3),
        ("steps", 2): (4, 6),
        ("valid_eer", 1): (4, 0.5),
    }
    assert sum(n for n, _ in chosen.values()) == 4
