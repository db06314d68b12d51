import pytest

from espnet2_cltm.errors import UserError
from espnet2_cltm.matrix.scores import ResultsSource
from espnet2_cltm.report.page.methods import methods_paragraphs
from espnet2_cltm.report.provenance import Provenance, read_provenance
from tests.report.reports import make_report, simulated

SOURCE = ResultsSource("results.tsv", "ab" * 32, "gender", "macro_f1")


def test_command_and_settings_of_the_task_are_read(tmp_path):
    (tmp_path / "command.txt").write_text("./run.sh --langs 'ca es'\n")
    (tmp_path / "experiment.yaml").write_text(
        "corpus: demo\ntrain_config:\n  gender:\n    frontend: hubert\n"
        "    frontend_conf: {model: some/hubert}\n  speaker: {frontend: other}\n"
    )
    found = read_provenance(tmp_path / "results.tsv", SOURCE)
    assert found.command == "./run.sh --langs 'ca es'"
    assert found.encoder == "some/hubert"
    assert "corpus: demo" in found.configuration
    assert "other" not in found.configuration
    assert ("results.tsv", f"SHA-256 {'ab' * 32}") in found.versions
    assert "espnet2_cltm" in dict(found.versions)


def test_results_from_elsewhere_have_neither(tmp_path):
    found = read_provenance(tmp_path / "results.tsv", SOURCE)
    assert (found.command, found.configuration, found.encoder) == ("", "", "")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"corpus: [demo", "line 1"),
        (b"", "the settings of an experiment"),
        (b"- demo\n", "the settings of an experiment"),
        (b"corpus: demo\ncorpus: kaldi\n", "line 2"),
        (b"train_config: 3\n", "train_config"),
        (b"train_config: {gender: [1]}\n", "gender"),
        (b"train_config: {gender: {frontend_conf: 1}}\n", "frontend_conf of gender"),
    ],
)
def test_damaged_settings_are_told_in_one_sentence(tmp_path, content, reason):
    path = tmp_path / "experiment.yaml"
    path.write_bytes(content)
    with pytest.raises(UserError) as raised:
        read_provenance(tmp_path / "results.tsv", SOURCE)
    message = str(raised.value)
    assert message.startswith(str(path))
    assert reason in message
    assert message.endswith(".") and "\n" not in message


@pytest.mark.parametrize("name", ["experiment.yaml", "command.txt"])
def test_file_that_is_not_text_is_named(tmp_path, name):
    (tmp_path / name).write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match="not UTF-8") as raised:
        read_provenance(tmp_path / "results.tsv", SOURCE)
    assert str(tmp_path / name) in str(raised.value)


def methods(scores, provenance=None):
    report = make_report([scores], provenance=provenance or Provenance(""))
    return "\n".join(methods_paragraphs(report))


def test_methods_tell_task_runs_seeds_intervals_and_sources():
    written = methods(simulated(3, 4))
    for fact in (
        "gender identification, 3 languages",
        "N = 60 utterances per class",
        "4 seeds",
        "100 resamples, seed 0",
        "t test at level 0.05",
        "arXiv:2603.08231",
        "(Perf(i+j) - Perf(i)) / (Perf(i+i) - Perf(i))",
    ):
        assert fact in written


def test_encoder_and_corpus_are_named_where_known():
    provenance = Provenance(
        "",
        {"corpus": "common_voice"},
        {"frontend": "hubert", "frontend_conf": {"model": "utter-project/mHuBERT-147"}},
    )
    written = methods(simulated(2, 3), provenance)
    assert "common_voice" in written
    assert "utter-project/mHuBERT-147" in written


def test_another_model_is_not_called_a_hubert():
    other = Provenance("", {}, {"frontend": "melspec_torch"})
    assert "HuBERT" not in methods(simulated(2, 3), other)
