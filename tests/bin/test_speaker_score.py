"""The command that prints the metrics of a score file."""

import pytest

from espnet2_cltm.bin.speaker_score import main


@pytest.fixture
def files(tmp_path):
    trials, scores = tmp_path / "trials", tmp_path / "scores"
    trials.write_text("a b target\na c target\nb d nontarget\nc d nontarget\n")
    scores.write_text("a b 3\na c 1\nb d 2\nc d 0\n")
    return trials, scores


def test_each_metric_has_its_line(files, capsys):
    main(["--trials", str(files[0]), "--scores", str(files[1])])
    assert capsys.readouterr().out.splitlines() == [
        "EER 50.0000 % (linear between thresholds)",
        "EER 25.0000 % (convex hull of the ROC)",
        "min DCF (p_target 0.01) not available, as it needs 990 nontarget trials",
        "min DCF (p_target 0.05) not available, as it needs 190 nontarget trials",
        "AUC 0.750000",
        "trials 2 target, 2 nontarget",
    ]


@pytest.mark.parametrize(
    ("which", "content", "message"),
    [
        (0, "a b target\n", "scores, line 2: a c is not one of the 1 trials"),
        (0, "a b same\n", "trials, line 1: 'same' is not a label"),
        (1, "a b 3\n", "scores ends after line 1 without a score for trial 2"),
    ],
)
def test_a_mistake_is_one_sentence(files, capsys, which, content, message):
    files[which].write_text(content)
    with pytest.raises(SystemExit) as leaving:
        main(["--trials", str(files[0]), "--scores", str(files[1])])
    assert leaving.value.code == 1
    output = capsys.readouterr()
    assert output.out == ""
    (line,) = output.err.splitlines()
    assert message in line


def test_trials_of_one_kind_are_refused(files, capsys):
    files[0].write_text("a b target\n")
    files[1].write_text("a b 3\n")
    with pytest.raises(SystemExit):
        main(["--trials", str(files[0]), "--scores", str(files[1])])
    assert "None of the 1 trials is a nontarget trial" in capsys.readouterr().err
