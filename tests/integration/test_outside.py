"""A task, a corpus and a strategy of another package, added by entry points."""

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
def site(tmp_path_factory):
    """Install the package as pip does, in a directory of its own."""
    site = tmp_path_factory.mktemp("site")
    source = tmp_path_factory.mktemp("source") / "outside"
    subprocess.run(["cp", "-r", ROOT / "tests/integration/outside", source], check=True)
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps"]
    command = [*pip, "--no-build-isolation", "--target", str(site), str(source)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return site


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
    command = [sys.executable, "-m", "tests.integration.stages", *options.split()]
    command += ["--register_config", "train.yaml"]
    done = subprocess.run(
        command,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": f"{ROOT}:{site}"},
        capture_output=True,
        text=True,
        check=False,
    )
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


def test_help_names_what_another_package_adds(site):
    env = {**os.environ, "PYTHONPATH": f"{ROOT}:{site}", "CLTM_ROOT": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-m", "espnet2_cltm.bin.recipe", "--help"],
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "register" in done.stdout and "tones" in done.stdout
