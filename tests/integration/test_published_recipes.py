"""The published recipes: speaker and its four systems, and speech recognition."""

import json
import math
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import torch
import yaml
from espnet2.iterators.sequence_iter_factory import SequenceIterFactory
from espnet2.samplers.unsorted_batch_sampler import UnsortedBatchSampler
from espnet2.tasks.abs_task import scheduler_classes
from transformers import get_linear_schedule_with_warmup

from espnet2_cltm.bin.make_plan import main as run_stage_3
from espnet2_cltm.experiment.encoder import read_train_config
from espnet2_cltm.experiment.execution import make_run
from espnet2_cltm.experiment.layout import ExperimentDir
from espnet2_cltm.experiment.plan import read_plan
from espnet2_cltm.experiment.planning import make_plan
from espnet2_cltm.experiment.recipe import resolve
from espnet2_cltm.experiment.results import collect_results
from espnet2_cltm.experiment.settings import Settings, read_settings
from espnet2_cltm.experiment.writing import write_experiment
from espnet2_cltm.speaker.espnet_task import SpeakerTask
from espnet2_cltm.tasks.building import build_model
from espnet2_cltm.tasks.training import training_arguments, write_train_config
from tests.frontend.test_audio_llm import save_audio_llm
from tests.speech import TINY_HUBERT, write_dump

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
RECIPE = ROOT / "egs2" / "cltm" / "spk1"
SYSTEMS = ("hubert", "ecapa", "siamese", "speechllm")
INSTALLED = ROOT / os.environ.get("CLTM_VENV", ".venv") / "bin" / "python"
needs_installation = pytest.mark.skipif(
    not INSTALLED.exists(), reason="needs the environment of tools/install.sh"
)
# What makes a network small enough for a test; the rest is the published setting.
SMALLER = {
    "hubert": {},
    "ecapa": {
        "encoder_conf": {"ndim": 16, "output_size": 24},
        "preprocessor_conf": {"target_duration": 0.3},
        "batch_size": 8,
    },
    "speechllm": {"num_iters_per_epoch": 3, "batch_size": 8},
    "siamese": {
        "encoder_conf": {"m_channels": 2},
        "preprocessor_conf": {"target_duration": 0.3},
        "num_iters_per_epoch": 3,
        "batch_size": 8,
    },
}


def config_path(system):
    return RECIPE / "conf" / "tuning" / f"train_{system}.yaml"


@pytest.fixture(scope="module")
def tiny_hubert(tmp_path_factory):
    path = tmp_path_factory.mktemp("encoder") / "tiny.yaml"
    # The published embedding takes four hidden states.
    path.write_text(yaml.safe_dump({**TINY_HUBERT, "num_hidden_layers": 3}))
    return str(path)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Two languages as stage 2 leaves them."""
    root = tmp_path_factory.mktemp("dump")
    write_dump(root / "common_voice", ["ca", "es"])
    return root


def run_recipe(*options, recipe=RECIPE):
    done = subprocess.run(
        [str(recipe / "run.sh"), *map(str, options)],
        env={k: v for k, v in os.environ.items() if k != "CLTM_RECIPE_DIR"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def arguments(system, directory, config=None):
    path = directory / f"train_{system}.yaml"
    config = config or yaml.safe_load(config_path(system).read_text())
    path.write_text(yaml.safe_dump({**config, "spk_num": 13}))
    return training_arguments(SpeakerTask, path)


@pytest.mark.parametrize("system", SYSTEMS)
def test_every_system_trains_and_is_tested_as_a_run(
    system, store, tiny_hubert, tmp_path
):
    model = {"hubert": tiny_hubert}.get(system)
    if system == "speechllm":
        model = save_audio_llm(tmp_path / "llm", "qwen2_audio")
    config = {**read_train_config(config_path(system), model), **SMALLER[system]}
    directory = ExperimentDir(tmp_path)
    settings = Settings(
        "common_voice",
        str(store),
        {"speaker": 8},
        shared_speakers=True,
        train_config={"speaker": config},
    )
    write_experiment(directory, make_plan(settings, ["ca", "es"], [42]))
    planned = next(p for p in read_plan(directory.plan) if p.run.kind == "pair")
    make_run(directory, read_settings(directory.settings), planned)
    rows = collect_results(directory, [planned])
    auc = {row.test_language: row.value for row in rows if row.metric == "roc_auc"}
    assert auc.keys() == {"ca", "es"}
    assert all(0 <= value <= 1 for value in auc.values())
    log = (directory.run(planned.run.name) / "train.log").read_text()
    losses = re.findall(r"loss=([^,\s]+)", log)
    assert losses and all(math.isfinite(float(loss)) for loss in losses)


@pytest.mark.parametrize("system", ["ecapa", "siamese"])
def test_embedding_has_the_published_size_whatever_the_length(system, tmp_path):
    model = build_model(SpeakerTask, arguments(system, tmp_path))
    model.eval()
    with torch.inference_mode():
        for n_samples in (4000, 50_000):
            speech = torch.randn(1, n_samples)
            embedding = model.embed(speech, torch.tensor([n_samples]))
            assert embedding.shape == (1, 192)
            assert torch.isfinite(embedding).all()


@pytest.mark.parametrize(
    ("system", "n_utterances", "sizes"),
    [
        ("ecapa", 1000, [125] * 8),
        ("ecapa", 2000, [125] * 16),
        # 20,000 pairs an epoch, whatever the number of utterances.
        ("siamese", 1000, [125] * 160),
        ("siamese", 2000, [125] * 160),
        ("speechllm", 1000, [250] * 80),
        ("hubert", 1000, [1] * 1000),
    ],
)
def test_an_epoch_has_the_published_number_of_steps(
    system, n_utterances, sizes, tmp_path
):
    args = arguments(system, tmp_path)
    shapes = tmp_path / "utt2num_samples"
    shapes.write_text("".join(f"u{n:04d} 16000\n" for n in range(n_utterances)))
    assert (args.batch_type, args.max_epoch) == ("unsorted", 1)
    batches = SequenceIterFactory(
        dataset=None,
        batches=UnsortedBatchSampler(args.batch_size, str(shapes)),
        num_iters_per_epoch=args.num_iters_per_epoch,
        shuffle=True,
        shuffle_within_batch=args.shuffle_within_batch,
    ).build_iter(1)
    drawn = list(batches.batch_sampler)
    assert [len(batch) for batch in drawn] == sizes
    if args.batch_size > 1:
        numbers = sorted(int(utt[1:]) for utt in drawn[0])
        assert numbers[-1] - numbers[0] > 250  # not one speaker after another


@pytest.mark.parametrize("n_steps", [1000, 2000], ids=["single", "double or pair"])
def test_learning_rate_is_the_published_schedule(tmp_path, n_steps):
    shapes = tmp_path / "utt2num_samples"
    shapes.write_text("".join(f"u{n:04d} 16000\n" for n in range(n_steps)))
    config = {
        **yaml.safe_load(config_path("hubert").read_text()),
        "train_shape_file": [str(shapes)],
    }
    path = tmp_path / "train.yaml"
    write_train_config(SpeakerTask, config, path)
    args = training_arguments(SpeakerTask, path)
    assert args.scheduler_conf["total_steps"] == n_steps
    weight = torch.nn.Parameter(torch.zeros(1))
    ours = torch.optim.AdamW([weight], **args.optim_conf)
    scheduler = scheduler_classes[args.scheduler](ours, **args.scheduler_conf)
    published = torch.optim.AdamW([weight], lr=3.0e-5)
    n_up = n_steps // 100
    linear = get_linear_schedule_with_warmup(published, n_up, n_steps)
    for step in range(n_steps):
        # The two count from 0 and from 1: one step apart, no more.
        one_step = 3.1e-5 / (n_up if step <= n_up else n_steps - n_up)
        assert ours.param_groups[0]["lr"] == pytest.approx(
            published.param_groups[0]["lr"], abs=one_step
        )
        for optimizer, schedule in ((ours, scheduler), (published, linear)):
            optimizer.step()
            schedule.step()


def test_no_gradient_is_clipped_where_none_was(tmp_path):
    for system in ("ecapa", "siamese"):
        assert arguments(system, tmp_path).grad_clip == math.inf


def test_the_published_languages_are_all_known():
    names = re.search(r'languages="(.*?)"', (RECIPE / "run.sh").read_text(), re.DOTALL)
    languages = names[1].replace("\\\n", "").split()
    known = (ROOT / "conf" / "languages.yaml").read_text()
    assert len(set(languages)) == len(languages) == 44
    for lang in languages:
        assert re.search(rf"^\s*['\"]?{lang}['\"]?:", known, re.MULTILINE), lang


def arguments_of(directory, *options):
    """Return what the recipe, copied alone, hands to ``cltm run``."""
    recipe = directory / "egs2" / "cltm" / "spk1"
    shutil.copytree(RECIPE, recipe)  # as cp -rL does
    command = directory / "bin" / "cltm"
    command.parent.mkdir()
    command.write_text("#!/bin/sh\nprintf '%s\\0' \"$@\"\n")
    command.chmod(0o755)
    done = subprocess.run(
        [recipe / "run.sh", *map(str, options)],
        env=os.environ | {"PATH": f"{command.parent}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=True,
    )
    run, *arguments = done.stdout.split("\0")[:-1]
    assert run == "run"
    return arguments


@pytest.mark.parametrize(
    ("before", "after", "system", "tag"),
    [
        ((), (), "hubert", "speaker_mhubert147_n8"),
        (("--system", "ecapa"), (), "ecapa", "speaker_ecapa_n8"),
        ((), ("--system=siamese",), "siamese", "speaker_siamese_n8"),
        (("--system", "ecapa"), ("--tag", "few"), "ecapa", "few"),
    ],
)
def test_a_system_chooses_its_configuration_and_its_tag(
    store, tiny_hubert, tmp_path, monkeypatch, before, after, system, tag
):
    # Stage 3 looks for the encoder, and a test downloads none.
    model = tiny_hubert if system == "hubert" else None
    options = (
        *("--stage", 3, "--stop_stage", 3, "--langs", "ca es", "--budget", 8),
        *("--seeds", "42", "--dumpdir", store, "--expdir", tmp_path / "exp"),
        *(("--model", model) if model else ()),
    )
    monkeypatch.chdir(RECIPE)
    words = arguments_of(tmp_path, *before, *options, *after)
    run_stage_3(resolve(words, {}).arguments["stage3"])
    directory = ExperimentDir(tmp_path / "exp" / tag)
    settings = read_settings(directory.settings)
    config = read_train_config(config_path(system), model)
    assert settings.train_config == {"speaker": config}
    assert settings.budget == {"speaker": 8}
    options = settings.options["speaker"]
    assert (options["utts_per_speaker"], options["max_positives"]) == (80, 200)
    assert settings.shared_speakers and settings.zero_shot
    assert settings.steps == "data"
    assert len(read_plan(directory.plan)) == 2 + 2 + 1


@needs_installation
@pytest.mark.parametrize("system", SYSTEMS)
def test_the_published_speaker_recipe_takes_its_own_setting(tmp_path, system):
    code, output = run_recipe(
        *("--corpus_dir", tmp_path, "--datadir", tmp_path / "data", "--system", system)
    )
    assert code == 1
    assert f"{tmp_path} holds no language of Common Voice" in output


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ("--langs", "ca es", "--system", "xvector"),
            "run.sh: error: the system 'xvector' is unknown: give --system hubert, "
            "ecapa, siamese or speechllm.",
        ),
        (("--system=",), "the system '' is unknown"),
        (
            ("--nj", "1", "--system"),
            "--system needs a value: hubert, ecapa, siamese or speechllm",
        ),
        (("--sytem", "ecapa"), "--sytem is not an option"),
    ],
)
def test_wrong_system_is_refused_with_the_list(options, message):
    code, output = run_recipe(*options)
    assert code == 1
    assert message in output


def test_help_names_the_systems_and_all_other_options():
    code, output = run_recipe("--help")
    assert code == 0
    assert "hubert, ecapa, siamese or speechllm" in output
    assert "--<task>_metric" in output


@needs_installation
def test_the_published_speech_recognition_recipe_is_trained_and_tested(
    store, tiny_hubert, tmp_path
):
    code, output = run_recipe(
        *("--stage", 3, "--stop_stage", 5),
        *("--langs", "ca es", "--budget", 6, "--seeds", "42"),
        *("--model", tiny_hubert, "--nj", 1),
        *("--dumpdir", store, "--expdir", tmp_path / "exp"),
        recipe=ROOT / "egs2" / "cltm" / "asr1",
    )
    assert code == 0, output
    assert "decoder" not in output and "Flash Attention" not in output
    directory = ExperimentDir(tmp_path / "exp" / "common_voice_asr_n6")
    settings = read_settings(directory.settings)
    assert settings.options["asr"]["asr_vocabulary"] == "run"
    assert settings.train_config["asr"]["checkpoint"] == "utt_wer"
    planned = read_plan(directory.plan)
    assert [p.run.kind for p in planned] == [*["single"] * 2, *["double"] * 2, "pair"]
    for one in planned:  # the best epoch of 15 on the tested language's dev set
        checkpoints = json.loads(directory.metrics(one.run.name).read_text())[
            "checkpoints"
        ]
        for lang in one.run.languages:
            assert (
                "value" in checkpoints[lang] and 1 <= checkpoints[lang]["epoch"] <= 15
            )
    # A random encoder learns nothing in these steps, so there is no matrix to make.
    table = directory.results.read_text()
    assert {"utt_wer", "wer", "cer"} == {
        line.split("\t")[7] for line in table.splitlines()[1:]
    }
