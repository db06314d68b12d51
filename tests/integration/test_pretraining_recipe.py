"""egs2/cltm/ssl1 on two languages and a tiny encoder: from nothing to a model card."""

import os
import subprocess
from pathlib import Path

import pytest
import torch
import yaml

from espnet2_cltm.frontend.hubert import HubertFrontend
from espnet2_cltm.pretraining.options import SSL_OPTIONS
from tests.speech import TINY_HUBERT

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
RECIPE = ROOT / "egs2" / "cltm" / "ssl1"
needs_installation = pytest.mark.skipif(
    not (ROOT / os.environ.get("CLTM_VENV", ".venv") / "bin" / "python").exists(),
    reason="needs the environment of tools/install.sh",
)


def run(*options, check=True):
    done = subprocess.run(
        [RECIPE / "run.sh", *map(str, options)],
        capture_output=True,
        text=True,
        env={**os.environ, "LC_ALL": "C"},
    )
    if check:
        assert done.returncode == 0, done.stdout + done.stderr
    return done


@pytest.fixture
def setting(tmp_path):
    """Options of a setting that is made in seconds."""
    corpus = yaml.safe_load((RECIPE / "conf" / "corpus.yaml").read_text())
    corpus["languages"] = ["eu", "fi"]
    corpus["splits"] = {
        "train": {"speakers": 3, "utterances": 2},
        "dev": {"speakers": 1, "utterances": 2},
        "test": {"speakers": 1, "utterances": 2},
    }
    (tmp_path / "corpus.yaml").write_text(yaml.safe_dump(corpus))
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(TINY_HUBERT))
    training = yaml.safe_load((RECIPE / "conf" / "train_ssl.yaml").read_text())
    training |= {"batch_size": 4, "crop_seconds": 1.0}
    (tmp_path / "train.yaml").write_text(yaml.safe_dump(training))
    return [
        *("--demo_config", tmp_path / "corpus.yaml", "--nj", 1),
        *("--corpus_dir", tmp_path / "downloads", "--datadir", tmp_path / "data"),
        *("--dumpdir", tmp_path / "dump", "--expdir", tmp_path / "exp"),
        *("--model", tmp_path / "tiny.yaml", "--ssl_config", tmp_path / "train.yaml"),
        *("--first_clusters", 8, "--second_clusters", 8),
        *("--second_layer", 1, "--min_seconds", 1.0, "--steps_per_epoch", 3),
        *("--first_epochs", 1, "--second_epochs", 1, "--tag", "tiny"),
    ]


@needs_installation
@pytest.mark.slow
def test_the_recipe_leaves_a_checkpoint_its_card_and_its_probes(tmp_path, setting):
    done = run(*setting, "--train_processes", 2)
    assert "Successfully finished" in done.stdout
    exp = tmp_path / "exp" / "tiny"
    frontend = HubertFrontend(str(exp / "hf")).eval()
    features, _ = frontend(torch.randn(1, 8000), torch.tensor([8000]))
    assert features.isfinite().all()
    card = (exp / "hf" / "README.md").read_text()
    for fact in (
        "2 languages (eu fi)",
        "8 clusters of MFCC",
        "what a crop sounds like as a whole",
        "8 clusters of layer 1 of the first model",
        "3 steps of 4 pairs of crops of 1.0 s",
        "the speaker: the means of crops",
        "from the first model",
        "| demo | log-mel mean+sd |",
        "--second_layer 1 --min_seconds 1.0",
    ):
        assert fact in card
    assert "--nj" not in card and "downloads" not in card
    commit = (exp / "commit.txt").read_text().strip()
    assert commit in card
    # Everything is there: the second call makes nothing.
    times = {path: path.stat().st_mtime_ns for path in exp.rglob("*.pth")}
    again = run(*setting, "--train_processes", 2, "--stage", 3)
    assert again.stdout.count("skipped") >= 6
    assert times == {path: path.stat().st_mtime_ns for path in exp.rglob("*.pth")}
    # Another setting under the same name is refused.
    other = run(*setting, "--stage", 4, "--stop_stage", 4, "--seed", 1, check=False)
    assert other.returncode == 1
    assert "holds a training of another setting" in other.stderr


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--second_layers", "3"], "did you mean --second_layer?"),
        (["--first_epochs", "0"], "--first_epochs takes a whole number, at least 1"),
        (["--corpus", "timit"], "--corpus timit"),
        (
            ["--first_model", "conf/hubert_small.yaml"],
            "--first_model conf/hubert_small",
        ),
        (["--ssl_config", "none.yaml"], "--ssl_config none.yaml cannot be read"),
    ],
)
def test_a_wrong_option_is_refused_in_one_sentence(options, message):
    done = run(*options, check=False)
    assert done.returncode == 1
    assert message in done.stderr and len(done.stderr.splitlines()) == 1


def test_help_names_every_option():
    shown = run("--help").stdout
    for option in SSL_OPTIONS:
        assert f"--{option.name}" in shown
