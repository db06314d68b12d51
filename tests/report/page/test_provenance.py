import pytest

from espnet2_cltm.errors import UserError
from espnet2_cltm.matrix.scores import ResultsSource
from espnet2_cltm.report.page.provenance import read_provenance

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
        (b"corpus: [demo", "while parsing"),
        (b"", "it holds no settings"),
        (b"- demo\n", "it holds no settings"),
        (b"when: 2026-02-31\n", "day is out of range"),
        (b"train_config: 3\n", "train_config is no mapping of tasks"),
        (b"train_config: {gender: [1]}\n", "train_config of gender is no mapping"),
        (
            b"train_config: {gender: {frontend_conf: 1}}\n",
            "frontend_conf of gender is no mapping",
        ),
    ],
)
def test_damaged_settings_are_told_in_one_sentence(tmp_path, content, reason):
    path = tmp_path / "experiment.yaml"
    path.write_bytes(content)
    with pytest.raises(UserError) as raised:
        read_provenance(tmp_path / "results.tsv", SOURCE)
    message = str(raised.value)
    assert message.startswith(f"{path} is damaged ({reason}")
    assert message.endswith("restore it, or run stage 3 again.")
    assert "\n" not in message


@pytest.mark.parametrize("name", ["experiment.yaml", "command.txt"])
def test_file_that_is_no_text_is_named(tmp_path, name):
    (tmp_path / name).write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match="cannot be read \\(not UTF-8\\)") as raised:
        read_provenance(tmp_path / "results.tsv", SOURCE)
    assert str(tmp_path / name) in str(raised.value)
