"""``frontend: ssl`` in ESPnet's own tasks, by the documentation's YAML alone."""

import json
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest
import soundfile
import torch
import yaml

from tests.docs.markdown import ROOT, blocks
from tests.speech import TINY_HUBERT, voice

PAGE = ROOT / "docs/extending/espnet_recipes.md"
# The documented configurations, but small.
ECAPA = {"encoder_conf": {"model_scale": 2, "ndim": 8, "output_size": 12}}
CROPS = {"target_duration": 0.3, "num_eval": 2}
SMALL = {
    "asr": {
        "preencoder_conf": {"input_size": 16, "output_size": 8},
        "encoder_conf": {"output_size": 8, "attention_heads": 2, "num_blocks": 1},
        "decoder_conf": {"attention_heads": 2, "num_blocks": 1, "linear_units": 8},
        "batch_bins": 40_000,
        # Error rates need editdistance, which an ESPnet of one's own has.
        "model_conf": {"report_cer": False, "report_wer": False},
    },
    "spk": {**ECAPA, "preprocessor_conf": CROPS, "batch_size": 4},
    "lid": {**ECAPA, "preprocessor_conf": {"target_duration": 0.3}, "batch_size": 4},
}
SHORT = {"max_epoch": 1, "num_workers": 0, "use_matplotlib": False, "num_att_plot": 0}
TRAIN = """
import importlib, json, sys
assert "espnet2_cltm" in sys.modules and "torch" not in sys.modules
# Some of what ESPnet imports is not installed where cltm alone is.
import espnet2_cltm.tasks.espnet
# ESPnet 202511 draws its crops as arrays, which numpy 2.4 makes no int of.
import espnet2.train.preprocessor as preprocessor
preprocessor.int = lambda value: int(getattr(value, "item", lambda: value)())
for task, arguments in json.loads(sys.argv[1]):
    importlib.import_module(f"espnet2.bin.{task}_train").main(arguments)
from espnet2.tasks.cls import frontend_choices
assert "ssl" in frontend_choices.choices()
"""
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A directory with the model of each task, after an epoch of a few steps."""
    place = tmp_path_factory.mktemp("espnet")
    write_data(place)
    commands = [
        (t, arguments(t, place, stats)) for t in SMALL for stats in (True, False)
    ]
    words = ["espnet2_cltm.bin.python", "-c", TRAIN, json.dumps(commands)]
    done = subprocess.run(
        [sys.executable, "-m", *words],
        cwd=place,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return place


def write_data(place: Path) -> None:
    """Write eight utterances of two speakers, which are languages as well."""
    utts = {f"{who}-{n}": who for who in "fm" for n in range(4)}
    scp = {utt: f"{place}/{utt}.wav" for utt in utts}
    for seed, (utt, who) in enumerate(utts.items()):
        soundfile.write(scp[utt], voice(who, seed, 8_000 + 400 * seed), 16_000)
    ids = list(utts)
    trials = {f"{a}*{b}": (a, b) for a, b in pairwise(ids[:5])}
    tables = {
        "wav.scp": scp,
        "text": dict.fromkeys(utts, "ab"),
        "utt2who": utts,
        "who2utt": {w: " ".join(u for u in utts if utts[u] == w) for w in "fm"},
        "lengths": dict.fromkeys(utts, "8000"),
        "trial.scp": {key: scp[a] for key, (a, _) in trials.items()},
        "trial2.scp": {key: scp[b] for key, (_, b) in trials.items()},
        "trial_label": {key: str(int(a[0] == b[0])) for key, (a, b) in trials.items()},
        "trial_lengths": dict.fromkeys(trials, "8000"),
    }
    for name, table in tables.items():
        lines = "".join(f"{key} {value}\n" for key, value in table.items())
        (place / name).write_text(lines)
    (place / "tokens").write_text("<blank>\n<unk>\na\nb\n<sos/eos>\n")


def configure(task: str, place: Path) -> str:
    """Write the documented configuration, made small, and return its path."""
    title = f"conf/train_{task}_ssl.yaml"
    (code,) = (b.code for b in blocks(PAGE.read_text()) if b.title == title)
    config = yaml.safe_load(code)
    config["frontend_conf"]["model"] = TINY_HUBERT
    limits = {"num_layers": 1, "freeze_layers": 1}
    config["frontend_conf"] |= limits.keys() & config["frontend_conf"] and limits
    for name, value in {**SMALL[task], **SHORT}.items():
        is_part = isinstance(value, dict)
        config[name] = {**config.get(name, {}), **value} if is_part else value
    path = place / f"{task}.yaml"
    path.write_text(yaml.safe_dump(config))
    return str(path)


def arguments(task: str, place: Path, is_stats: bool) -> list[str]:
    """Return what ESPnet's recipe of the task gives its training, or collect_stats."""
    heard = {"train": [("wav.scp", "speech", "sound")]}
    heard["valid"] = heard["train"]
    lengths = {"train": "lengths", "valid": "lengths"}
    own = {
        "asr": ["--token_list", f"{place}/tokens", "--token_type", "char"],
        "spk": ["--spk2utt", f"{place}/who2utt", "--spk_num", "2"],
        "lid": ["--lang2utt", f"{place}/who2utt", "--lang_num", "2"],
    }[task]
    if task == "spk":
        pairs = [("trial.scp", "speech"), ("trial2.scp", "speech2")]
        heard["valid"] = [(*pair, "sound") for pair in pairs]
        lengths["valid"] = "trial_lengths"
    label = {
        "asr": dict.fromkeys(heard, ("text", "text", "text")),
        "spk": {
            "train": ("utt2who", "spk_labels", "text"),
            "valid": ("trial_label", "spk_labels", "text"),
        },
        "lid": dict.fromkeys(heard, ("utt2who", "lid_labels", "text")),
    }[task]
    words = ["--config", configure(task, place), "--output_dir", f"{place}/{task}"]
    for phase, files in heard.items():
        # spk.sh and lid.sh collect the lengths of what is heard, of a trial the first.
        hears_only = is_stats and task != "asr"
        for file, name, kind in files[:1] if hears_only else [*files, label[phase]]:
            option = f"--{phase}_data_path_and_name_and_type"
            words += [option, f"{place}/{file},{name},{kind}"]
        words += [f"--{phase}_shape_file", f"{place}/{lengths[phase]}"]
    if task != "asr":
        words += ["--fold_length", "8000"]
    if is_stats:
        words += ["--collect_stats", "true", "--output_dir", f"{place}/{task}_stats"]
        words += ["--use_preprocessor", "true" if task == "asr" else "false"]
    return [*words, *own, "--ngpu", "0"]


@pytest.mark.parametrize("task", SMALL)
def test_a_task_of_espnet_trains_with_the_frontend(trained, task):
    config = yaml.safe_load((trained / task / "config.yaml").read_text())
    assert config["frontend"] == "ssl"
    weights = torch.load(trained / task / "1epoch.pth", weights_only=True)
    assert any(name.startswith("frontend.hubert.encoder.layers.0") for name in weights)
    assert all(value.isfinite().all() for value in weights.values())
    assert (trained / f"{task}_stats/train/speech_shape").read_text().count("\n") == 8


def test_what_is_frozen_stays_and_the_rest_learns(trained):
    """The same seed makes the same encoder, which ESPnet's training leaves or moves."""
    from espnet2_cltm.frontend.hubert import HubertFrontend

    def first_layer(task):
        weights = torch.load(trained / task / "1epoch.pth", weights_only=True)
        return weights["frontend.hubert.encoder.layers.0.attention.q_proj.weight"]

    fresh = HubertFrontend(model=TINY_HUBERT).hubert.encoder.layers[0]
    fresh = fresh.attention.q_proj.weight.detach()
    same = {task: torch.equal(first_layer(task), fresh) for task in SMALL}
    assert same == {"asr": True, "spk": False, "lid": True}
