"""The recipe from end to end, as a person types it, on a very small demo."""

import csv
import html
import json
import os
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from espnet2_cltm.experiment.plan import read_plan
from espnet2_cltm.experiment.recipe_options import BY_TASK, recipe_options
from espnet2_cltm.experiment.states import runs_left
from espnet2_cltm.experiment.worker import work
from espnet2_cltm.registry import corpus_names, task_names
from tests.experiment.test_estimate import timed_as_known
from tests.integration.stages import do_stages
from tests.speech import TINY_GENDER, TINY_HUBERT, TINY_SPEAKER

ROOT = Path(__file__).parents[2]
INSTALLED = ROOT / os.environ.get("CLTM_VENV", ".venv") / "bin" / "python"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not INSTALLED.exists(), reason="needs the environment of tools/install.sh"
    ),
]


def run_recipe(directory, *options, script=ROOT / "run.sh"):
    done = subprocess.run(
        [str(script), *map(str, options)],
        cwd=directory,
        env={**os.environ, "CLTM_RECIPE_DIR": str(directory)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=1800,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


@pytest.fixture(scope="module")
def recipe_dir(tmp_path_factory):
    """A recipe directory (with a space in its name) for a very small demo."""
    directory = tmp_path_factory.mktemp("my recipe")
    demo = yaml.safe_load((ROOT / "conf" / "demo.yaml").read_text())
    demo["languages"] = ["es", "tr"]
    demo["splits"] = {
        "train": {"speakers": 3, "utterances": 2},
        "dev": {"speakers": 2, "utterances": 2},
        "test": {"speakers": 2, "utterances": 2},
    }
    (directory / "conf").mkdir()
    (directory / "conf" / "demo.yaml").write_text(yaml.safe_dump(demo))
    (directory / "conf" / "tiny.yaml").write_text(yaml.safe_dump(TINY_HUBERT))
    for task, config in (("gender", TINY_GENDER), ("speaker", TINY_SPEAKER)):
        own = {"frontend_conf": {"model": "conf/tiny.yaml"}, "max_epoch": 1}
        path = directory / "conf" / f"train_{task}.yaml"
        path.write_text(yaml.safe_dump({**config, **own}))
    (directory / "conf" / "ecapa.yaml").write_text(
        "frontend: melspec_torch\nbatch_type: unsorted\n"
        "preprocessor_conf: {target_duration: 1.0}\n"
    )
    return directory


@pytest.fixture
def run_here(recipe_dir, first_call, monkeypatch, capsys, caplog):
    """Return a function that does what run.sh does, in this process.

    It returns what is printed. Runs are made by workers of their own, unless ``make``
    is given, a function of the experiment.
    """

    def run(*options, directory=recipe_dir, make=None):
        monkeypatch.chdir(directory)
        monkeypatch.setattr("sys.argv", ["run.sh"])
        caplog.set_level("INFO")
        # The stages log, the check of the options does not.
        do_stages(options, directory, make=make, checked=caplog.clear)
        return "".join([*capsys.readouterr(), caplog.text])

    return run


CONFIGS = (
    "--demo_config",
    "conf/demo.yaml",
    "--gender-config",
    "conf/train_gender.yaml",
)
BUDGETS = ("--budget", 2, "--speaker_budget", 4)
OPTIONS = (*CONFIGS, *BUDGETS, "--seeds", "1 2", "--nj", 2)
TAG = "demo_gender_n2_speaker_n4"


@pytest.fixture(scope="module")
def first_call(recipe_dir):
    return run_recipe(recipe_dir, "--stage", 1, "--stop_stage", 6, *OPTIONS)


def test_one_command_leads_from_nothing_to_both_matrices(recipe_dir, first_call):
    code, output = first_call
    assert code == 0, output
    assert "Successfully finished." in output
    exp = recipe_dir / "exp" / TAG
    with (exp / "plan.tsv").open() as plan:
        assert len(list(csv.DictReader(plan, delimiter="\t"))) == 2 * 2 * (2 + 2 + 1)
    for task in ("gender", "speaker"):
        cltm = exp / "cltm" / task
        for name in ("heatmap.png", "heatmap.pdf", "zero_shot.csv", "report.html"):
            assert (cltm / name).stat().st_size > 0
        rows = list(csv.reader((cltm / "cltm.csv").open()))
        assert rows[0] in (["target", "es", "tr"], ["target", "tr", "es"])
        assert json.loads((cltm / "summary.json").read_text())["task"] == task


def test_the_command_is_kept_shown_and_plans_the_same_again(recipe_dir, first_call):
    exp = recipe_dir / "exp" / TAG
    command = (exp / "command.txt").read_text()
    words = shlex.split(command)
    assert words[:2] == [f"CLTM_RECIPE_DIR={recipe_dir}", "./run.sh"]
    assert dict(zip(words[2::2], words[3::2], strict=True)) == {
        "--budget": "2",
        "--demo_config": "conf/demo.yaml",
        "--gender_config": "conf/train_gender.yaml",
        # Kept even where it was not given: the default may grow.
        "--langs": "es tr",
        "--seeds": "1 2",
        "--speaker_budget": "4",
    }
    for task in ("gender", "speaker"):
        page = html.unescape((exp / "cltm" / task / "report.html").read_text())
        assert command.strip() in page
    plan = (exp / "plan.tsv").read_bytes()
    (exp / "plan.tsv").unlink()
    again = subprocess.run(
        f"{command.strip()} --stage 3 --stop_stage 3",
        shell=True,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert again.returncode == 0, again.stderr
    assert (exp / "plan.tsv").read_bytes() == plan


REGIME = ("--task", "gender", "--regime_budgets", "1 2 4 16")
# With equal steps, all runs would take those of their largest N, which is not the same.
BY_DATA = ("--steps", "data")


def test_learning_curves_lead_to_the_regime_and_a_second_call_shows_it(
    recipe_dir, run_here
):
    output = run_here(*OPTIONS, *REGIME, *BY_DATA, "--stop_stage", 5, make=work)
    assert output.count("the learning curve lacks N = 16: train has 6 utterances") == 2
    code, output = run_recipe(recipe_dir, *OPTIONS, *REGIME, *BY_DATA, "--stage", 6)
    assert code == 0, output
    exp = recipe_dir / "exp" / "demo_gender_regime"
    regime = json.loads((exp / "regime" / "gender" / "regime.json").read_text())
    assert regime["by_n"]["n"] == [1, 2]
    assert regime["conclusion"] in output
    for code in ("es", "tr"):
        assert regime["languages"][code]["curve"]["n"] == [1, 2, 4]
        assert regime["languages"][code]["curve"]["n_seeds"] == [2, 2, 2]
    for name in ("regime.png", "regime.pdf", "learning_curves.tsv"):
        assert (exp / "regime" / "gender" / name).stat().st_size > 0
    assert not (exp / "cltm").exists()
    # Two languages' runs at N = 2 are those of the matrix, single and double alike.
    run_here(
        *(*OPTIONS, *BY_DATA, "--task", "gender", "--tag", "by_data"),
        *("--stage", 3, "--stop_stage", 5),
        make=work,
    )
    matrix = (recipe_dir / "exp" / "by_data" / "results.tsv").read_text().splitlines()
    values = {
        tuple(line.split("\t")[k] for k in (2, 3, 4, 5, 7)): line.split("\t")[8]
        for line in matrix
        if line.split("\t")[3] == line.split("\t")[6]
    }
    lines = (exp / "results.tsv").read_text().splitlines()[1:]
    compared = 0
    for fields in (line.split("\t") for line in lines):
        kind, n = ("double", "2") if fields[4] == "4" else ("single", fields[4])
        if n == "2":
            key = (kind, fields[3], n, fields[5], fields[7])
            assert fields[8] == values[key]
            compared += 1
    metrics = {line.split("\t")[7] for line in lines}
    assert "macro_f1" in metrics and compared == 2 * 2 * 2 * len(metrics)

    output = run_here(*OPTIONS, *REGIME, *BY_DATA, "--stage", 3, "--stop_stage", 4)
    assert "12 runs planned, 12 done before" in output

    # A second call makes nothing again, whatever the order of the tasks; the report of
    # the matrix shows the regime of its task.
    before = {
        path: path.stat().st_mtime_ns
        for path in recipe_dir.rglob("*")
        if (path.is_file() and path.suffix in {".ark", ".wav"}) or "runs" in path.parts
    }
    results = (recipe_dir / "exp" / TAG / "results.tsv").read_bytes()
    output = run_here(*OPTIONS, "--task", "speaker gender")
    assert "20 runs planned, 20 done before" in output
    assert (recipe_dir / "exp" / TAG / "results.tsv").read_bytes() == results
    assert {path: path.stat().st_mtime_ns for path in before} == before
    cltm = recipe_dir / "exp" / TAG / "cltm"
    assert regime["conclusion"] in (cltm / "gender" / "report.html").read_text()
    assert "How large N must be" not in (cltm / "speaker" / "report.html").read_text()


def test_dry_run_tells_the_cost_of_learning_curves(recipe_dir, run_here, monkeypatch):
    timed_as_known(monkeypatch)
    before = sorted(recipe_dir.rglob("*"))
    dry = ("--tag", "curves", "--dry_run", "true", "--stage", 3)
    output = run_here(*OPTIONS, *REGIME, *dry)
    assert "gender: 12 runs (single, N = 1 2 4), 2 languages (es tr)" in output
    assert "12 runs are left: about" in output and "of disk" in output
    assert sorted(recipe_dir.rglob("*")) == before


def test_rescoring_gives_the_same_results(recipe_dir, run_here):
    results = recipe_dir / "exp" / TAG / "results.tsv"
    before = results.read_bytes()
    results.unlink()
    run_here(*OPTIONS, "--stage=5", "--stop-stage=5", "--rescore", "true")
    assert results.read_bytes() == before


def test_one_task_alone_has_its_own_experiment(recipe_dir, run_here):
    run_here(*OPTIONS, "--task", "speaker", "--stage", 3, "--stop_stage", 3)
    exp = recipe_dir / "exp" / "demo_speaker_n4"
    lines = (exp / "plan.tsv").read_text().splitlines()[1:]
    assert len(lines) == 10
    assert all(line.startswith("speaker.") for line in lines)
    assert not (exp / "data" / "gender").exists()


def test_a_matrix_of_another_metric_is_made_alone(recipe_dir, run_here, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(recipe_dir, copy)
    cltm = copy / "exp" / TAG / "cltm"
    gender = (cltm / "gender" / "summary.json").stat().st_mtime_ns
    run_here(
        *(*OPTIONS, "--task", "speaker", "--tag", TAG),
        *("--stage", 6, "--speaker_metric", "eer"),
        directory=copy,
    )
    assert json.loads((cltm / "speaker" / "summary.json").read_text())["metric"] == (
        "eer"
    )
    assert (cltm / "gender" / "summary.json").stat().st_mtime_ns == gender


def test_a_seed_and_a_language_that_are_added_run_only_what_is_new(
    recipe_dir, run_here, tmp_path
):
    copy = tmp_path / "copy"
    shutil.copytree(recipe_dir, copy)
    more = ("--langs", "es tr fi", "--seeds", "1 2 3", "--task", "gender", "--tag", TAG)
    found = []

    def note_left(directory):
        plan = read_plan(directory.plan)
        found.append((len(plan), len(runs_left(directory, plan))))

    output = run_here(
        *OPTIONS, *more, "--stop_stage", 4, directory=copy, make=note_left
    )
    # Of the 10 runs, the 4 singles lack their zero-shot result on the new language.
    assert found == [(27, 27 - 6)]
    assert "10 runs of the previous plan, speaker.single" in output


def test_dry_run_tells_the_cost_of_both_tasks_and_writes_nothing(
    recipe_dir, run_here, monkeypatch
):
    timed_as_known(monkeypatch)
    before = sorted(recipe_dir.rglob("*"))
    output = run_here(*OPTIONS, "--tag", "new", "--dry_run", "true", "--stage", 3)
    for task in ("gender", "speaker"):
        assert f"{task}: 10 runs (4 single, 4 double, 2 pair)" in output
    assert "20 runs are left: about" in output and "of disk" in output
    assert sorted(recipe_dir.rglob("*")) == before


def test_an_encoder_is_given_to_the_task_that_takes_one(run_here):
    output = run_here(
        *(*OPTIONS, "--tag", "encoder", "--model", "conf/tiny.yaml"),
        *("--speaker_config", "conf/ecapa.yaml", "--stage", 3, "--stop_stage", 3),
    )
    assert output.count("--model does not apply to speaker") == 1


def test_changed_configuration_under_a_tag_ends_the_recipe(recipe_dir, first_call):
    code, output = run_recipe(recipe_dir, *OPTIONS, "--zero_shot", "false")
    assert code == 1 and "Stage 4" not in output and "Traceback" not in output
    assert "zero_shot: True before, False now" in output


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--corpus", "timit"), "--corpus timit is not known"),
        (("--task", "mood"), "--task mood is not known"),
        (("--budget", "many"), "--budget takes a whole number"),
        (("--langs", "es xx"), "xx of --langs"),
        (("--task", "gender mood"), "--task mood is not known"),
        (("--task", " "), "--task is empty"),
        (("--gender_budget", "0"), "--gender_budget takes a whole number"),
        (
            ("--speaker_budget", "x"),
            "--speaker_budget takes a whole number",
        ),
        (
            ("--speaker_config", "none.yaml"),
            "none.yaml",
        ),
        (("--speaker_metric", "macro_f1"), "roc_auc, eer, eer_hull, min_dcf_p0.01"),
        (("--gender_metric", "eer"), "macro_f1, accuracy, recall_<class>"),
        (("--shared_speakers", "some"), "--shared_speakers takes true or false"),
        (("--utts_per_speaker", "0"), "--utts_per_speaker takes a whole number"),
        (("--max_positives", "no"), "--max_positives takes a whole number"),
        (
            ("--trials_seed", "-1"),
            "--trials_seed takes a whole number",
        ),
        (("--cross_language_trials", "1"), "takes true or false, not '1'"),
        (
            (
                "--task",
                "speaker",
                "--speaker_config",
                "conf/ecapa.yaml",
                "--model",
                "m",
            ),
            "--model m applies to no task",
        ),
        (
            (
                *("--task", "speaker", "--speaker_config", "conf/ecapa.yaml"),
                *("--layers", "true", "--steps", "data"),
            ),
            "--layers true applies to no task",
        ),
        (("--stage", "three"), "--stage takes a stage, from 1 to 6, not 'three'"),
        (("--dry_run", "maybe"), "--dry_run takes true or false, not 'maybe'"),
        (("--nj", "0"), "--nj takes a whole number"),
        (("--retry", "all"), "--retry takes failed or none, not 'all'"),
        (("--jobs_per_gpu", "0"), "--jobs_per_gpu takes a whole number"),
        (("--keep_models", "some"), "--keep_models takes none, single or all"),
        (("--pairs_fraction", "0"), "--pairs_fraction takes a share above 0"),
        (("--pairs_fraction", "1.5"), "--pairs_fraction takes a share above 0"),
        (("--pairs_seed", "x"), "--pairs_seed takes a whole number"),
        (("--regime_budgets", "2 x"), "--regime_budgets takes whole numbers"),
        (("--regime_budgets", "2 6"), "contains no N together with its double"),
        (("--regime_budgets", "50 100"), "No language can take part in gender"),
        (("--regime_budgets", "1 2", "--tag", TAG), "not for learning curves"),
        (("--seeds", "one"), "--seeds takes whole numbers"),
        (("--budget", "9999"), "Fewer than two languages, a target and a donor"),
        (("--model", "no/such-hubert"), "no/such-hubert"),
        (("--gender_config", "none.yaml"), "none.yaml"),
        (("--corpus", "kaldi", "--corpus_dir", "x"), "or --budget is missing"),
        (("--corpus", "common_voice", "--budget", "2"), "set COMMON_VOICE in db.sh"),
        (("--corpus", "kaldi", "--corpus_dir", "nowhere", "--budget", "2"), "nowhere"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_wrong_option_is_one_sentence(run_here, capsys, options, message):
    given = CONFIGS if "--corpus" in options else OPTIONS
    # A dry run: what is refused too late must not cost a training.
    dry = () if "--dry_run" in options else ("--dry_run", "true")
    with pytest.raises(SystemExit) as ended:
        run_here(*given, "--tag", "wrong", *options, *dry)
    assert ended.value.code == 1
    assert message in capsys.readouterr().err


def test_a_wrong_option_ends_the_recipe(recipe_dir):
    code, output = run_recipe(recipe_dir, *OPTIONS, "--stagee", "3")
    assert (code, output.count("\n")) == (1, 1)
    assert "--stagee is not an option: did you mean --stage?" in output


def test_help_lists_every_option(recipe_dir):
    code, output = run_recipe(recipe_dir, "--help")
    assert code == 0
    by_task = {f"{task}_{name}" for task in task_names() for name in BY_TASK}
    for name in recipe_options().keys() - by_task:
        assert f"--{name} " in output, name
    for name in BY_TASK:
        assert f"--<task>_{name} " in output
    for name in (*task_names(), *corpus_names()):
        assert name in output


def test_the_published_recipe_takes_its_own_setting(tmp_path):
    code, output = run_recipe(
        ROOT / "egs2" / "cltm" / "gender1",
        *("--corpus_dir", tmp_path, "--datadir", tmp_path / "data"),
        script=ROOT / "egs2" / "cltm" / "gender1" / "run.sh",
    )
    assert code == 1
    assert f"{tmp_path} holds no language of Common Voice" in output
