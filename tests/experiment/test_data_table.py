"""What is trained and tested on, by language."""

import pandas as pd
import pytest

from espnet2_cltm.corpus.utterance_list import ListedUtterance, write_utterance_list
from espnet2_cltm.experiment.data_table import write_data_table
from espnet2_cltm.experiment.plan import read_plan
from espnet2_cltm.files import write_text
from tests.experiment.experiments import planned_experiment


def utterances(*names: str, seconds: int = 2):
    return [
        ListedUtterance(name, "f", 16_000 * seconds, "a.ark:1", name[:2])
        for name in names
    ]


@pytest.fixture
def directory(tmp_path):
    directory, _ = planned_experiment(tmp_path / "exp", ("es", "fi"), (42, 43))
    for lang in ("es", "fi"):
        for seed, names in ((42, ("s1-1", "s1-2")), (43, ("s1-2", "s2-1"))):
            path = directory.train_list("gender", lang, seed)
            write_utterance_list(path, utterances(*names))
        for split, name in (("dev", "s3-1"), ("test", "s4-1")):
            path = directory.utterance_list("gender", lang, split)
            write_utterance_list(path, utterances(name, seconds=5))
    write_text(directory.settings, f"corpus: kaldi\ndumpdir: {tmp_path / 'dump'}\n")
    return directory


def read(directory) -> pd.DataFrame:
    write_data_table(directory, read_plan(directory.plan))
    table = pd.read_csv(directory.data, sep="\t", keep_default_na=False)
    return table.set_index(["language", "split"])


def test_everybody_who_is_heard_counts_once(directory):
    table = read(directory)
    train, test = table.loc["es", "train"], table.loc["es", "test"]
    assert [train[x] for x in ("speakers", "utterances", "items")] == [2, 3, 2]
    assert train["seconds"] == 6
    assert [test[x] for x in ("speakers", "utterances", "items")] == [1, 1, 1]
    assert (table["narrow"] == "").all()  # without an audio store


def test_remarks_on_what_is_used_are_counted(directory):
    remarks = "utt\tremark\ns1-1\tclipped\ns1-1\tsampled at 8000 Hz\n"
    remarks += "s1-1\tnothing above 4 kHz\ns2-1\tclipped\nanother\tclipped\n"
    path = directory.root.parent / "dump" / "kaldi" / "es" / "train" / "remarks.tsv"
    write_text(path, remarks)
    found = read(directory).loc["es", "train"]
    assert int(found["narrow"]) == 1
    assert found["remarks"].split("; ") == [
        "clipped: 2",
        "nothing above 4 kHz: 1",
        "sampled at 8000 Hz: 1",
    ]
