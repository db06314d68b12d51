"""The installed package: its recipe, and what another package adds by entry points."""

import html
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import yaml

from espnet2_cltm.label.metrics import LABEL_METRICS
from tests.speech import TINY_GENDER, TINY_HUBERT

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def site(built, tmp_path_factory):
    """Both packages, installed by pip in a directory of their own."""
    site = tmp_path_factory.mktemp("site")
    source = tmp_path_factory.mktemp("source") / "outside"
    subprocess.run(["cp", "-r", ROOT / "tests/integration/outside", source], check=True)
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps"]
    (wheel,) = built.glob("*.whl")
    command = [*pip, "--no-build-isolation", "--target", str(site), wheel, source]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return site


def call(site, directory, *command):
    """Call a command in a directory where only the installed package is known."""
    unknown = ("CLTM_ROOT", "CLTM_RECIPE_DIR")
    env = {name: value for name, value in os.environ.items() if name not in unknown}
    return subprocess.run(
        command,
        cwd=directory,
        env={**env, "PYTHONPATH": f"{site}:{ROOT}"},  # the latter for tests alone
        capture_output=True,
        text=True,
        check=False,
    )


def cltm_run(site, directory, *options):
    return call(site, directory, site / "bin" / "cltm", "run", *options)


@pytest.mark.slow
def test_the_recipe_runs_with_what_another_package_adds(site, tmp_path):
    config = {
        key: value
        for key, value in TINY_GENDER.items()
        if key not in ("classes", "frontend_conf")
    }
    config["frontend_conf"] = {"model": {**TINY_HUBERT, "num_hidden_layers": 2}}
    config["strategy"] = "top"
    (tmp_path / "train.yaml").write_text(yaml.safe_dump(config))
    options = "--corpus tones --task register --budget 3 --seeds 1 --nj 1"
    options = [*options.split(), "--register_config", "train.yaml"]
    done = cltm_run(site, tmp_path, *options, "--stop_stage", "2")
    assert done.returncode == 0, done.stderr
    in_one = [sys.executable, "-m", "tests.integration.stages", *options]
    done = call(site, tmp_path, *in_one, "--stage", "3")
    assert done.returncode == 0, done.stderr
    exp = tmp_path / "exp/tones_register_n3"
    results = pd.read_csv(exp / "results.tsv", sep="\t")
    assert set(results["task"]) == {"register"}
    declared = {metric.name for metric in LABEL_METRICS} - {"recall"}
    recalls = {"recall_high", "recall_low"}
    assert set(results["metric"]) == {"kappa", *declared, *recalls}
    confusion = pd.read_csv(exp / "confusion.tsv", sep="\t")
    assert set(confusion["reference"]) == {"high", "low"}
    # The first metric is the matrix's.
    report = html.unescape((exp / "cltm/register/report.html").read_text())
    assert "Cohen's kappa" in report and "register of the voice" in report
    trained = yaml.safe_load(
        (exp / "runs/register.single.xa.n3.equal.s1/train.yaml").read_text()
    )
    assert trained["strategy"] == "top"


@pytest.mark.slow
def test_help_names_what_another_package_adds(site, tmp_path):
    done = cltm_run(site, tmp_path, "--help")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("Usage: cltm run ")
    assert "register" in done.stdout and "tones" in done.stdout


@pytest.mark.slow
def test_a_directory_has_its_own_places_of_corpora_and_of_runs(site, tmp_path):
    (tmp_path / "db.sh").write_text("COMMON_VOICE=recordings\n")
    (tmp_path / "cmd.sh").write_text("cmd_backend=cloud\n")
    asked = ["--corpus", "common_voice", "--budget", "4"]
    done = cltm_run(site, tmp_path, *asked)
    assert done.returncode == 1
    assert done.stderr.startswith("cltm run: error: cmd_backend=cloud")
    (tmp_path / "cmd.sh").unlink()
    done = cltm_run(site, tmp_path, *asked)
    assert done.returncode == 1 and "recordings" in done.stderr
