"""Stage 3 at the terminal: what it says of languages that can't take part."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import yaml

from espnet2_cltm.bin.dump_audio import main as dump_audio
from espnet2_cltm.bin.make_plan import main as make_plan
from espnet2_cltm.bin.prepare_data import main as prepare_data
from espnet2_cltm.experiment.layout import ExperimentDir
from espnet2_cltm.experiment.plan import read_plan
from espnet2_cltm.pools import read_pools
from espnet2_cltm.speaker.trials import read_trials
from tests.corpus.test_kaldi import make_split
from tests.speech import TINY_GENDER, TINY_HUBERT, TINY_SPEAKER

ROOT = Path(__file__).parents[2]
SPEAKERS = {"train": "ffmm", "dev": "ffmm", "test": "ffmm"}
SPEAKERS_OF = {
    "ca": {**SPEAKERS, "test": "fffmm"},
    "es": {**SPEAKERS, "dev": "ffm"},
    "men": {"train": "mmmm", "dev": "mm", "test": "mm"},
    "two": {**SPEAKERS, "test": "fm"},
    "bad": {**SPEAKERS, "test": "ff"},
}


@pytest.fixture(scope="module")
def recipe(tmp_path_factory):
    """Stages 1 and 2 of a Kaldi corpus of odd languages, and configurations."""
    root = tmp_path_factory.mktemp("recipe")
    rng = np.random.default_rng(0)
    for lang, splits in SPEAKERS_OF.items():
        for split, genders in splits.items():
            make_split(
                root / "corpus" / lang / split,
                {f"{split}{k}": gender for k, gender in enumerate(genders)},
            )
    clips = sorted((root / "corpus").rglob("*.wav"))
    for clip in clips:
        soundfile.write(clip, 0.1 * rng.standard_normal(8000), 16000)
    corrupt = [
        clip
        for clip in clips
        if {"bad", "ca"} & set(clip.parts) and "test1" in clip.name
    ]
    assert len(corrupt) == 4
    for clip in corrupt:
        clip.write_bytes(b"RIFF, but no audio")
    where = ["--corpus", "kaldi", "--datadir", str(root / "data")]
    prepare_data([*where, "--corpus_dir", str(root / "corpus")])
    dump_audio([*where, "--dumpdir", str(root / "dump"), "--max_rejected", "0.5"])
    for task, config in (("gender", TINY_GENDER), ("speaker", TINY_SPEAKER)):
        (root / f"{task}.yaml").write_text(yaml.safe_dump(config))
    return root


def options(recipe, exp, *more):
    return [
        *("--exp", str(exp), "--corpus", "kaldi", "--dumpdir", str(recipe / "dump")),
        *("--seeds", "42", "--gender_budget", "2", "--speaker_budget", "4"),
        *("--gender_config", str(recipe / "gender.yaml")),
        *("--speaker_config", str(recipe / "speaker.yaml")),
        *more,
    ]


def said(stderr):
    """Give what was logged, without time and place."""
    return [
        re.sub(r"^[-\d: ,]+\(\w+:\d+\) ", "", line)
        for line in stderr.splitlines()
        if re.match(r"\d{4}-", line)
    ]


def test_the_screen_tells_what_each_odd_language_cannot_do_in_one_line(
    recipe, tmp_path
):
    done = subprocess.run(
        [
            sys.executable,
            ROOT / "local" / "make_plan.py",
            *options(recipe, tmp_path),
        ],
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert said(done.stderr) == [
        "WARNING: bad is left out of gender: test has 0 utterances by 0 speakers "
        "labelled m where 1 are needed",
        "WARNING: bad is left out of speaker: test allows no trials (gender f has one "
        "speaker (bad-test0), so its 1 positive is left out)",
        "WARNING: men is left out of gender: train has 0 utterances by 0 speakers "
        "labelled f where 4 are needed",
        "WARNING: two is left out of speaker: test allows no trials (gender f has one "
        "speaker (two-test0), so its 1 positive is left out; gender m has one speaker "
        "(two-test1), so its 1 positive is left out)",
        "INFO: es, speaker, dev: gender m has one speaker (es-dev2), so its 1 positive "
        "is left out",
    ]
    languages = {
        task: {
            lang
            for p in read_plan(ExperimentDir(tmp_path).plan)
            for lang in p.run.languages
            if p.run.task == task
        }
        for task in ("gender", "speaker")
    }
    assert languages == {
        "gender": {"ca", "es", "two"},
        "speaker": {"ca", "es", "men"},
    }
    assert "gender: 9 runs (3 single, 3 double, 3 pair), 3 languages (ca es two)" in (
        done.stdout
    )
    assert "speaker: 9 runs (3 single, 3 double, 3 pair), 3 languages (ca es men)" in (
        done.stdout
    )


def test_a_test_speaker_lost_to_corrupt_clips_gives_no_trial(recipe, tmp_path):
    make_plan(options(recipe, tmp_path))
    trials = read_trials(
        ExperimentDir(tmp_path).test_data("speaker", "ca", "test", ".trials")
    )
    heard = {utt.rsplit("-", 1)[0] for utt in trials.utts}
    assert heard == {"ca-test0", "ca-test2", "ca-test3", "ca-test4"}


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--task", "mood"), "--task mood is not known"),
        (("--task", " "), "--task is empty"),
        (("--seeds", "one"), "--seeds: takes whole numbers"),
        (("--langs", "ca xx"), "no decoded audio of xx, only of"),
        (("--langs", "ca es", "--speaker_budget", "9"), 'give --task "gender"'),
        (("--speaker_config", "none.yaml"), "none.yaml cannot be read"),
        (("--cross_language_trials", "true"), "give --shared_speakers true as well"),
        (("--regime_budgets", "2 x"), "--regime_budgets: takes whole numbers"),
        (("--regime_budgets", "2 5"), "--regime_budgets 2 5 contains no N"),
        (
            ("--regime_budgets", "90 180", "--task", "gender"),
            "No language can take part in gender with any N of 90 180 and its double",
        ),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_what_cannot_be_planned_is_one_sentence(
    recipe, tmp_path, capsys, more, message
):
    with pytest.raises(SystemExit) as status:
        make_plan(options(recipe, tmp_path, *more))
    assert status.value.code in (1, 2)
    errors = [x for x in capsys.readouterr().err.splitlines() if ": error: " in x]
    assert len(errors) == 1 and message in errors[0]
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("fraction", ["0", "1.01", "-0.5", "nan", "half"])
def test_a_share_of_pairs_out_of_range_is_refused(recipe, tmp_path, capsys, fraction):
    with pytest.raises(SystemExit):
        make_plan(options(recipe, tmp_path, "--pairs_fraction", fraction))
    assert f"at most 1, such as 0.2, not '{fraction}'" in capsys.readouterr().err


def test_the_screen_tells_how_many_pairs_are_measured(recipe, tmp_path, capsys):
    gender = ("--task", "gender", "--pairs_fraction", "0.4", "--pairs_seed", "3")
    make_plan(options(recipe, tmp_path, *gender))
    printed = capsys.readouterr().out
    assert "gender: 8 runs (3 single, 3 double, 2 pair)" in printed
    assert "gender: 2 of 3 pairs of languages, every language in 1 to 2" in printed


def test_learning_curves_need_no_budget_and_name_every_n(recipe, tmp_path, capsys):
    where = options(recipe, tmp_path)
    budget = where.index("--gender_budget")
    del where[budget : budget + 4]
    make_plan([*where, "--task", "gender", "--regime_budgets", "1 2 4"])
    printed = capsys.readouterr().out
    assert "gender: 9 runs (single, N = 1 2 4), 3 languages (ca es two)" in printed
    assert {p.test_languages for p in read_plan(ExperimentDir(tmp_path).plan)} == {
        ("ca",),
        ("es",),
        ("two",),
    }


NAN = {"projector_conf": {"output_size": float("nan")}}


@pytest.mark.parametrize(
    ("more", "changes", "told"),
    [
        (["--freeze", "99"], {}, "freeze_layers: 99"),
        (["--model", "nobody/has-this"], {}, "'nobody/has-this'"),
        (["--seeds", str(2**32 - 1)], {}, "seed"),
        ([], {"frontend_conf": {"layers": "mean", "num_layers": 99}}, "num_layers: 99"),
        ([], {"max_epoch": 0}, "max_epoch"),
        ([], {"accum_grad": -1}, "accum_grad"),
        ([], {"freeze_param": ["nothing"]}, "freeze_param: nothing"),
        ([], {"optim": "nope"}, "optim"),
        ([], {"scheduler_conf": {"x": 1}}, "scheduler_conf"),
        ([], {"strategy": "freeze", "strategy_conf": {"part": 99}}, "part: 99"),
        ([], {"init_param": ["/nothing.pth"]}, "/nothing.pth"),
        ([], NAN, "projector_conf"),
    ],
)
def test_what_no_run_could_use_is_refused_before_anything_is_drawn(
    recipe, tmp_path, capsys, monkeypatch, more, changes, told
):
    monkeypatch.setattr("espnet2_cltm.bin.make_plan.make_plan", None)  # draws
    monkeypatch.setattr(
        "espnet2_cltm.frontend.checkpoint.hub_is_reachable", lambda: False
    )
    config = tmp_path / "train.yaml"
    encoder = {"model": TINY_HUBERT, **changes.get("frontend_conf", {})}
    config.write_text(
        yaml.safe_dump({**TINY_GENDER, **changes, "frontend_conf": encoder})
    )
    exp = tmp_path / "exp"
    with pytest.raises(SystemExit) as stopped:
        make_plan(
            [
                *options(recipe, exp, "--langs", "ca es", "--task", "gender"),
                *("--gender_config", str(config), *more),
            ]
        )
    assert stopped.value.code in (1, 2)
    error = capsys.readouterr().err
    assert told in error and "Traceback" not in error
    assert not exp.exists()


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (["--pools", "ca+es", "--pool_targets", "es"], "holds the target es"),
        (["--pools", "ca+xx"], "xx does not take part"),
        (["--pools", "random:9"], "--pools random:9 needs 9 donors"),
        (["--pools", "recommended:1"], "run stages 4 to 6 for the matrix of gender"),
        (["--pools", "all", "--shots", "99"], "--shots 99 does not go with gender"),
        (["--shots", "1", "--regime_budgets", "1 2"], "--regime_budgets is for"),
    ],
)
def test_pools_that_cannot_be_are_refused_in_a_sentence(
    recipe, tmp_path, capsys, asked, message
):
    with pytest.raises(SystemExit) as end:
        make_plan(options(recipe, tmp_path, "--task", "gender", *asked))
    assert end.value.code not in (None, 0)
    assert message in capsys.readouterr().err
    assert not (tmp_path / "plan.tsv").exists()


def test_pools_are_added_to_an_experiment(recipe, tmp_path):
    small = ["--task", "gender", "--gender_budget", "1"]
    make_plan(options(recipe, tmp_path, *small))
    directory = ExperimentDir(tmp_path)
    before = {p.run for p in read_plan(directory.plan)}
    more = ["--pools", "all random:1", "--shots", "1 4"]
    make_plan(options(recipe, tmp_path, *small, *more))
    plan = read_plan(directory.plan)
    assert before < {p.run for p in plan}
    pools = read_pools(directory.pools("gender"))
    assert {(p.target, p.pool) for p in pools} == {
        (target, pool) for target in ("ca", "es", "two") for pool in ("all", "random:1")
    }
    assert {p.run.shots for p in plan if p.run.kind == "pool"} == {0, 1, 4}
