"""Options of run.sh: what is refused at once, and what the stages are given."""

import shlex

import pytest

from espnet2_cltm.errors import UserError
from espnet2_cltm.experiment.layout import ExperimentDir
from espnet2_cltm.experiment.planning import make_plan
from espnet2_cltm.experiment.recipe import resolve
from espnet2_cltm.experiment.settings import Settings
from espnet2_cltm.experiment.writing import write_experiment
from tests.corpus.test_kaldi import make_split
from tests.speech import TINY_GENDER, TINY_SPEAKER, write_dump

ENVIRONMENT = {"DEMO": "downloads/demo"}


def resolved(*arguments):
    return resolve(arguments, ENVIRONMENT)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        *(("stage", value) for value in ("0", "7", "", "one")),
        ("stop_stage", "0"),
        *(
            ("tag", tag)
            for tag in ("../../x", "-rf", "a/b", "$(x)", "", ".", "x" * 151)
        ),
        *(("seeds", seeds) for seeds in ("4294967296", "42 42", "-1", "9" * 5000)),
        *(("expdir", place) for place in ("", " ", "-x", "a\nb")),
        *(("dumpdir", ""), ("datadir", ""), ("freeze", "top2")),
        *(("langs", langs) for langs in ("a,b", "es ..", "es ES", "es es", "-x")),
    ],
)
def test_an_option_is_refused_by_one_short_sentence(option, value):
    with pytest.raises(UserError, match=rf"^--{option} takes [^\n]+") as error:
        resolved(f"--{option}", value)
    assert len(str(error.value)) < 400


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--stage 4 --stop_stage 3", "nothing would be done"),
        ("--stage 4 --dry_run true", "ends in stage 3"),
        ("--stage 4 --tag nope", r"exp/nope .*: run stage 3\.$"),
        ("--stage 4", r"exp/demo_gender_n2_speaker_n32 .*: run stage 3"),
    ],
)
def test_what_would_do_nothing_is_refused(words, said, tmp_path, monkeypatch):
    monkeypatch.setenv("CLTM_ROOT", str(tmp_path.cwd()))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=said):
        resolved(*words.split())
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("words", "counted"),
    [("", [2]), ("--dry_run true", [2]), ("--stop_stage 3", [])],
)
def test_gpus_are_counted_before_runs_are_made_or_timed(words, counted, monkeypatch):
    asked = []
    monkeypatch.setattr("espnet2_cltm.experiment.recipe.check_gpus", asked.append)
    resolved("--ngpu", "2", *words.split())
    assert asked == counted


def experiment(root, task, config, **more):
    write_dump(root / "dump/own", ["ca", "es"])
    budget = {} if more else {task: 4}
    settings = Settings(
        "own", str(root / "dump"), budget, train_config={task: config}, **more
    )
    directory = ExperimentDir(root / "exp/merged")
    write_experiment(directory, make_plan(settings, ["ca", "es"], [42]))
    return ["--expdir", str(root / "exp"), "--tag", "merged"]


def test_later_stages_take_tasks_and_kind_from_the_experiment(tmp_path):
    place = experiment(tmp_path, "gender", TINY_GENDER)
    recipe = resolved("--stage", "4", *place)
    assert recipe.tasks == ("gender",) and not recipe.is_regime
    assert "stage6_speaker" not in recipe.arguments
    with pytest.raises(UserError, match=r"--task speaker is not planned .* are gender"):
        resolved("--stage", "4", "--task", "speaker", *place)


def test_options_that_the_plan_was_made_without_are_named(tmp_path, capsys):
    place = experiment(tmp_path, "gender", TINY_GENDER)
    now = ["--stage", "4", *place, "--seeds", "41-43", "--langs", "es ca", "--nj", "3"]
    resolved(*now)  # not known how it was planned
    command = tmp_path / "exp/merged/command.txt"
    for text in ("local/merge_experiments.py --exp a b --outdir merged\n", "run 'a"):
        command.write_text(text)
        resolved(*now)
    command.write_text('cltm run --seeds "41 42 43" --langs "ca es gl"\n')
    resolved(*now)
    assert capsys.readouterr().err == ""
    command.write_text('./run.sh --seeds "41 42" --langs "ca es"\n')
    resolved(*now, "--model", "other")
    seeds, model = sorted(capsys.readouterr().err.splitlines(), reverse=True)
    assert seeds.startswith("--seeds 41-43 ") and '--seeds "41 42".' in seeds
    assert model.startswith("--model other ") and "exp/merged was planned" in model


def test_a_curve_is_one_without_its_grid_in_the_command(tmp_path):
    grid = {"regime_budgets": (2, 4), "zero_shot": False}
    place = experiment(tmp_path, "speaker", TINY_SPEAKER, **grid)
    recipe = resolved("--stage", "6", *place)
    assert recipe.is_regime and recipe.tasks == ("speaker",)


def test_languages_are_resolved_once_and_named_in_the_command(tmp_path):
    recipe = resolved("--task", "gender")
    assert "--langs=cmn es sw tr" in recipe.arguments["stage3"]
    assert './run.sh --task gender --langs "cmn es sw tr"' in recipe.arguments["stage3"]
    for lang in ("gl", "pt"):
        for split, speaker in (("train", "a"), ("dev", "b"), ("test", "c")):
            make_split(tmp_path / lang / split, {speaker: "f"})
    own = ["--corpus", "kaldi", "--corpus_dir", str(tmp_path), "--budget", "2"]
    stages = resolved("--task", "gender", *own).arguments
    assert all("--langs=gl pt" in stages[name] for name in ("stage2", "stage3"))
    assert "--langs=gl pt" not in stages["stage1"]
    later = resolved("--stage", "2", "--task", "gender", *own).arguments
    assert not any("--langs" in word for word in later["stage3"])


@pytest.mark.parametrize(
    ("words", "is_told"),
    [
        ("", True),
        ("--stop_stage 2", False),
        ("--stop_stage 2 --budget 2", True),
        ("--stop_stage 2 --gender_budget 2", False),
        ("--stop_stage 2 --task gender --gender_budget 2", True),
        ("--stop_stage 2 --regime_budgets '2 4'", True),
        ("--decode all", False),
    ],
)
def test_stage_2_is_told_what_stage_3_draws(words, is_told):
    stages = resolved(*shlex.split(words)).arguments
    _, told, stage_3 = " ".join(stages["stage2"]).partition(" -- ")
    assert bool(told) == is_told
    assert stage_3 == (" ".join(stages["stage3"]) if is_told else "")


def test_what_is_given_goes_before_what_cmd_sh_sets(monkeypatch):
    monkeypatch.setattr("espnet2_cltm.experiment.recipe.check_slurm", lambda *_: None)
    of_cmd_sh = {"cmd_backend": "local", "slurm_config": "conf/of_cmd.yaml"}
    words = ["--executor", "slurm", "--slurm_config", "conf/mine.yaml"]
    for given, executor, config in (([], "local", "of_cmd"), (words, "slurm", "mine")):
        texts = resolve(given, ENVIRONMENT | of_cmd_sh).texts
        assert texts["executor"] == executor
        assert texts["slurm_config"] == f"conf/{config}.yaml"


@pytest.mark.parametrize("name", ["labels", "distances", "languages_conf"])
def test_a_table_that_is_not_there_is_refused_before_stage_1(name):
    with pytest.raises(UserError, match=rf"^nope\.tsv .*: correct --{name}\."):
        resolved(f"--{name}", "nope.tsv")


def test_the_names_of_languages_come_with_the_package(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert resolved("--task", "gender")


def test_one_language_is_refused_before_stage_1():
    with pytest.raises(UserError, match=r"^es is the only language.*--langs"):
        resolved("--langs", "es")
    assert resolved("--langs", "es", "--stop_stage", "2")
    assert resolved("--langs", "es", "--task", "gender", "--regime_budgets", "2 4")


def test_values_reach_the_stages_whatever_they_begin_with():
    shell = resolved("--labels", "-{lang}.tsv", "--corpus_dir", "$(touch x)").shell()
    (line,) = (line for line in shell.splitlines() if line.startswith("stage1="))
    words = shlex.split(line.removeprefix("stage1=(").removesuffix(")"))
    assert "--labels=-{lang}.tsv" in words and "--corpus_dir=$(touch x)" in words


def test_speech_recognition_has_a_demo_of_its_own():
    assert resolve(["--task", "asr"], {}).texts["corpus"] == "demo_words"
    assert resolve(["--task", "speaker"], {}).texts["corpus"] == "demo"
    with pytest.raises(UserError, match="--corpus demo_words for all"):
        resolve(["--task", "asr gender"], {})


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            "--task gender --gender_budget 60s",
            "--gender_budget is 60s, .* utterances per class",
        ),
        ("--task speaker --regime_budgets '8s 16s'", "--regime_budgets is 16s"),
        ("--task asr --asr_budget 60s --shots 2", "--shots counts .* asr is 60s"),
        ("--task asr --asr_budget 0s", "takes a whole number, at least 1"),
        ("--task asr --regime_budgets '8 16s'", "--regime_budgets takes whole numbers"),
    ],
)
def test_seconds_that_cannot_be_counted_are_refused(words, said):
    with pytest.raises(UserError, match=said):
        resolved(*shlex.split(words))


def test_seconds_name_the_experiment():
    recipe = resolved(*shlex.split("--task asr --asr_budget 60s"))
    assert recipe.exp.name == "demo_words_asr_n60s"
    assert "--asr_budget=60s" in recipe.arguments["stage3"]


@pytest.mark.parametrize(
    "words",
    [
        "--pool_targets es",
        "--pool_method fedavg",
        "--pool_sizes total --shots 2",
        "--pools_seed 1",
    ],
)
def test_options_of_pools_need_pools(words):
    with pytest.raises(UserError, match="give --pools"):
        resolved("--task", "gender", *shlex.split(words))


def test_shots_may_have_targets_of_their_own():
    assert resolved(*shlex.split("--task gender --shots 2 --pool_targets es"))
