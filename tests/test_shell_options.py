"""local/parse_options.sh, as a script that sources it behaves."""

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

SCRIPT = f"""
set -euo pipefail
stage=1
stop_stage=6
langs="ca es"
dry_run=false
secret=untouched
options=(stage stop_stage langs dry_run)
help_message="Usage: ./example.sh [--stage N]"
. '{ROOT}/local/parse_options.sh'
printf '%s|' "${{stage}}" "${{stop_stage}}" "${{langs}}" "${{dry_run}}"
printf '%s|' "${{secret}}" "$#"
"""


@pytest.fixture
def run_script(tmp_path: Path):
    script = tmp_path / "example.sh"
    script.write_text(SCRIPT)

    def run(*arguments: str) -> subprocess.CompletedProcess:
        return subprocess.run(
            ["bash", script, *arguments], capture_output=True, text=True, check=False
        )

    return run


@pytest.mark.parametrize(
    ("arguments", "printed"),
    [
        ([], "1|6|ca es|false|untouched|0|"),
        (["--stage", "3", "--dry_run", "true"], "3|6|ca es|true|untouched|0|"),
        (["--stop-stage=4", "--langs=pl ur"], "1|4|pl ur|false|untouched|0|"),
        (["--stage", "2", "--stage", "5"], "5|6|ca es|false|untouched|0|"),
        (["--langs", ""], "1|6||false|untouched|0|"),
        (["--langs="], "1|6||false|untouched|0|"),
        (["--langs", "a=b --c $HOME `ls` *"], None),
        (["--stage", "-1"], "-1|6|ca es|false|untouched|0|"),
        (["--langs", "--epochs 3"], "1|6|--epochs 3|false|untouched|0|"),
    ],
)
def test_options_set_their_variables_and_nothing_else(run_script, arguments, printed):
    if printed is None:
        printed = f"1|6|{arguments[1]}|false|untouched|0|"
    outcome = run_script(*arguments)
    assert (outcome.stdout, outcome.stderr) == (printed, "")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--stge", "3"], "there is no option --stge. Did you mean --stage?"),
        (["--secret", "x"], "there is no option --secret. Options: --stage"),
        (["--stage"], "--stage needs a value: --stage VALUE."),
        (["--stage", "--dry_run", "true"], "--stage needs a value"),
        (["--stage", "--dry-run=true"], "--stage needs a value"),
        (["--dry_run"], "--dry_run needs a value: true or false."),
        (["--dry_run", "yes"], "--dry_run takes true or false, not 'yes'."),
        (["--dry_run", "True"], "--dry_run takes true or false, not 'True'."),
        (["--dry_run="], "--dry_run takes true or false, not ''."),
        (["stage", "3"], "'stage' is not expected here"),
        (["--langs", "pl", "ur"], "'ur' is not expected here"),
        (["-s", "3"], "'-s' is not expected here"),
        (["--"], "'--' is not expected here"),
        (["--a[$(touch made)]", "3"], "there is no option"),
    ],
)
def test_a_mistake_is_refused_with_one_sentence(
    run_script, tmp_path, monkeypatch, arguments, sentence
):
    monkeypatch.chdir(tmp_path)
    outcome = run_script(*arguments)
    assert outcome.returncode == 1
    assert outcome.stdout == ""
    assert outcome.stderr.startswith("example.sh: error: ")
    assert outcome.stderr.count("\n") == 1
    assert sentence in outcome.stderr
    assert not (tmp_path / "made").exists()


def test_an_unknown_option_lists_the_known_ones(run_script):
    outcome = run_script("--colour", "red")
    assert "Options: --stage --stop_stage --langs --dry_run" in outcome.stderr
    assert "Did you mean" not in outcome.stderr


def test_help_is_printed_and_nothing_done(run_script):
    outcome = run_script("--stage", "2", "--help")
    assert outcome.returncode == 0
    assert outcome.stdout == "Usage: ./example.sh [--stage N]\n"
