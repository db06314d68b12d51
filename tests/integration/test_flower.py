"""Federated rounds by Flower, server and silos as processes of this machine."""

import importlib.util
import os
import shutil
import socket
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
import torch
import yaml

from espnet2_cltm.label.espnet_task import LabelEspnetTask
from espnet2_cltm.pooling.methods import Rounds
from espnet2_cltm.tasks.model_files import load_model
from espnet2_cltm.tasks.silos import train_in_rounds
from espnet2_cltm.tasks.training import training_arguments
from tests.speech import TINY_GENDER, write_dump

ROOT = Path(__file__).parents[2]
LANGS = ("es", "tr")
SECONDS = 900  # of a busy machine

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        importlib.util.find_spec("flwr") is None, reason="Flower is not installed"
    ),
]


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def write_silos(root):
    """Write the data of two silos, and a configuration of each and of both."""
    write_dump(root / "dump", list(LANGS))
    paths = {}
    for langs in (*[(x,) for x in LANGS], LANGS):
        place = root / "+".join(langs)
        place.mkdir()
        data = {}
        for phase, split in (("train", "train"), ("valid", "dev")):
            for name in ("wav.scp", "utt2gender", "utt2num_samples"):
                parts = [(root / "dump" / x / split / name).read_text() for x in langs]
                (place / f"{phase}.{name}").write_text("".join(parts))
            data[f"{phase}_data_path_and_name_and_type"] = [
                [str(place / f"{phase}.wav.scp"), "speech", "kaldi_ark"],
                [str(place / f"{phase}.utt2gender"), "label", "text"],
            ]
            data[f"{phase}_shape_file"] = [str(place / f"{phase}.utt2num_samples")]
        paths["+".join(langs)] = place / "train.yaml"
        config = {**TINY_GENDER, **data, "seed": 3, "batch_size": 8}
        paths["+".join(langs)].write_text(yaml.safe_dump(config))
    return paths


@contextmanager
def running(command, log, env):
    with open(log, "w") as output:
        process = subprocess.Popen(
            list(map(str, command)),
            stdout=output,
            stderr=subprocess.STDOUT,
            env=env,
            start_new_session=True,
        )
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, 9)


def test_flowers_rounds_give_the_simulations_weights(tmp_path):
    paths = write_silos(tmp_path)
    port = free_port()
    home = tmp_path / "flwr"
    home.mkdir()
    (home / "config.toml").write_text(
        '[superlink]\ndefault = "here"\n'
        f'[superlink.here]\naddress = "127.0.0.1:{port}"\ninsecure = true\n'
    )
    env = {
        **os.environ,
        "FLWR_HOME": str(home),
        "FLWR_TELEMETRY_ENABLED": "0",
        "PYTHONPATH": str(ROOT),
        "OMP_NUM_THREADS": "1",
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    app = shutil.copytree(ROOT / "conf/flower", tmp_path / "app")
    out = tmp_path / "out"
    with ExitStack() as stack:
        stack.enter_context(
            running(
                [
                    *("flower-superlink", "--insecure"),
                    "--disable-runtime-dependency-installation",
                    *("--port", port),
                ],
                tmp_path / "superlink.log",
                env,
            )
        )
        for lang in LANGS:
            node = f'task="gender" name="{lang}" train-config="{paths[lang]}"'
            stack.enter_context(
                running(
                    [
                        *("flower-supernode", "--insecure"),
                        *("--superlink", f"127.0.0.1:{port}"),
                        *("--port", free_port(), "--node-config", node),
                    ],
                    tmp_path / f"{lang}.log",
                    env,
                )
            )
        asked = f'train-config="{paths["es+tr"]}" output-dir="{out}"'
        deadline = time.monotonic() + SECONDS
        command = ["flwr", "run", str(app), "--run-config", asked]
        while True:  # until the server listens
            started = subprocess.run(command, env=env, capture_output=True, text=True)
            if started.returncode == 0 or time.monotonic() > deadline:
                break
            time.sleep(2)
        assert started.returncode == 0, started.stdout + started.stderr
        while not (out / "federated.pth").exists() and time.monotonic() < deadline:
            time.sleep(1)
        logs = "\n".join(path.read_text()[-3000:] for path in tmp_path.glob("*.log"))
    assert (out / "federated.pth").exists(), logs
    model = load_model(LabelEspnetTask, out / "config.yaml", out / "federated.pth")
    args = {k: training_arguments(LabelEspnetTask, path) for k, path in paths.items()}
    simulated, _ = train_in_rounds(
        LabelEspnetTask,
        args["es+tr"],
        {lang: args[lang] for lang in LANGS},
        {lang: 24 for lang in LANGS},
        Rounds(),
    )
    expected = simulated.model.state_dict()
    for name, value in model.state_dict().items():
        torch.testing.assert_close(value, expected[name], atol=1e-6, rtol=0, msg=name)
