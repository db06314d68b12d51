import pandas as pd
import pytest

from espnet2_cltm.errors import UserError
from espnet2_cltm.matrix.scores import ResultsSource
from espnet2_cltm.report.confusion import confusion_tables, read_confusion
from espnet2_cltm.results_format import CONFUSION_COLUMNS


def source(task: str) -> ResultsSource:
    return ResultsSource("results.tsv", "", task, "accuracy", 12, strategy="lora")


def write(directory, *rows: str):
    lines = ["\t".join(CONFUSION_COLUMNS), *(row.replace(" ", "\t") for row in rows)]
    (directory / "confusion.tsv").write_text("\n".join(lines) + "\n")
    return directory / "results.tsv"


ROWS = (
    "age single am 12 am old old 5",
    "age single am 12 am old young 1",
    "age single da 12 da old old 3",
    "age single am 12 da old young 90",  # zero-shot: not a run of the matrix's diagonal
    "age pair am+da 12 am young young 7",
    "age pair am+da 12 da middle old 2",
    "age pair am+da 12 de old old 50",
    "age double am 12 am~da old old 4",  # a test across languages
    "emotion single am 12 am joy joy 9",
    "age single am 24 am old young 70",  # of another N
)


def test_counts_are_summed_over_languages_where_runs_are_tested_on_their_own(tmp_path):
    counts = read_confusion(write(tmp_path, *ROWS), source("age"))
    assert set(counts["task"]) == {"age"}
    single, pair = confusion_tables(counts)
    assert single.classes == pair.classes == ("middle", "old", "young")
    assert single.counts.tolist() == [[0, 0, 0], [0, 8, 1], [0, 0, 0]]
    assert pair.counts.tolist() == [[0, 2, 0], [0, 0, 0], [0, 0, 7]]
    assert single.title != pair.title
    assert single.shares[1].tolist() == [0, 8 / 9, 1 / 9]
    assert single.shares[0].tolist() == [0, 0, 0]


def test_there_is_none_without_a_file_or_a_line_of_the_task(tmp_path):
    assert read_confusion(tmp_path / "results.tsv", source("age")) is None
    assert read_confusion(write(tmp_path, *ROWS), source("accent")) is None


@pytest.mark.parametrize(
    ("row", "fact"),
    [
        ("age single am 12 am old old many", "many"),
        ("age single am 12 am old 3", "line 2"),
    ],
)
def test_damaged_counts_are_told_in_one_sentence(tmp_path, row, fact):
    with pytest.raises(UserError) as raised:
        read_confusion(write(tmp_path, row), source("age"))
    assert str(tmp_path / "confusion.tsv") in str(raised.value)
    assert fact in str(raised.value)


def test_another_table_is_refused(tmp_path):
    (tmp_path / "confusion.tsv").write_text("a\tb\n")
    with pytest.raises(UserError, match=r"confusion\.tsv"):
        read_confusion(tmp_path / "results.tsv", source("age"))


def test_kinds_without_a_count_have_no_table():
    assert (
        list(confusion_tables(pd.DataFrame([], columns=list(CONFUSION_COLUMNS)))) == []
    )
