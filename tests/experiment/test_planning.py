"""From an audio store to subsets and a plan."""

import re
import shutil
import subprocess
import sys
from dataclasses import replace

import pytest

from espnet2_cltm.errors import UserError
from espnet2_cltm.experiment.drawn import read_test_set, training_utterances
from espnet2_cltm.experiment.layout import ExperimentDir
from espnet2_cltm.experiment.plan import read_plan, write_plan
from espnet2_cltm.experiment.planning import is_begun, make_plan, write_experiment
from espnet2_cltm.experiment.settings import Settings, read_settings
from tests.experiment.experiments import end_run, fail_run
from tests.speech import TINY_GENDER, TINY_SPEAKER, write_dump

LANGS = ["ca", "es", "tr"]
CLAIM = """
import pathlib, sys
from espnet2_cltm.experiment.states import Claims
Claims(pathlib.Path(sys.argv[1])).take(sys.argv[2])
print("taken", flush=True)
input()
"""


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    root = tmp_path_factory.mktemp("store")
    write_dump(root / "demo", LANGS)
    write_dump(root / "demo", ["yue"], speakers={"train": 1, "dev": 1, "test": 1})
    return root


@pytest.fixture
def settings(store):
    return Settings(
        "demo", str(store), {"gender": 4}, train_config={"gender": TINY_GENDER}
    )


def test_plan_survives_its_file(settings, tmp_path):
    planned = make_plan(settings, LANGS, [42, 43])
    write_plan(tmp_path / "plan.tsv", planned.runs)
    again = read_plan(tmp_path / "plan.tsv")
    assert [p.run for p in again] == [p.run for p in planned.runs]
    assert [p.test_languages for p in again] == [p.test_languages for p in planned.runs]


def test_runs_of_a_seed_share_their_utterances(settings, tmp_path):
    directory = ExperimentDir(tmp_path)
    write_experiment(directory, make_plan(settings, LANGS, [42, 43]))
    drawn = {
        p.run: [
            u.utt
            for u in training_utterances(
                directory, read_settings(directory.settings), p.run
            )
        ]
        for p in read_plan(directory.plan)
    }
    for run, utts in drawn.items():
        assert len(set(utts)) == len(utts) == (8 if run.kind == "single" else 16)
        assert sum("-f" in utt for utt in utts) == len(utts) / 2
        if run.kind == "pair":
            for lang in run.languages:
                single = drawn[replace(run, kind="single", languages=(lang,))]
                assert [utt for utt in utts if utt.startswith(lang)] == single
        if run.kind == "single":
            assert set(utts) < set(drawn[replace(run, kind="double")])
        other_seed = drawn[replace(run, seed=85 - run.seed)]
        assert other_seed != utts


def test_language_with_too_few_utterances_is_left_out_with_the_reason(
    settings, tmp_path
):
    planned = make_plan(settings, [*LANGS, "yue"], [42])
    assert {lang for _, lang in planned.drawn} == set(LANGS)
    assert planned.left_out == {
        ("gender", "yue"): "train has 4 utterances by 1 speakers labelled f where 8 "
        "are needed"
    }
    directory = ExperimentDir(tmp_path)
    write_experiment(directory, planned)
    (reason,) = planned.left_out.values()
    written = directory.left_out("gender").read_text()
    assert written == f"language\treason\nyue\t{reason}\n"


def test_one_language_makes_no_matrix(settings):
    with pytest.raises(UserError, match="Fewer than two languages"):
        make_plan(settings, ["ca", "yue"], [42])


def test_language_outside_the_audio_store_is_named(settings):
    with pytest.raises(UserError, match="run stages 1 and 2 for xx"):
        make_plan(settings, ["ca", "xx"], [42])


def test_a_language_and_a_seed_may_be_added(settings, tmp_path):
    directory = ExperimentDir(tmp_path)
    write_experiment(directory, make_plan(settings, ["ca", "es"], [42]))
    before = {p.run for p in read_plan(directory.plan)}
    write_experiment(directory, make_plan(settings, LANGS, [42, 43]))
    assert before < {p.run for p in read_plan(directory.plan)}


def begin(directory, planned):
    """Write an experiment, and leave what its first run leaves."""
    write_experiment(directory, planned)
    end_run(directory, planned.runs[0])


def test_changed_settings_are_refused_before_anything_is_written(settings, tmp_path):
    directory = ExperimentDir(tmp_path)
    begin(directory, make_plan(settings, LANGS, [42]))
    plan = directory.plan.read_bytes()
    smaller = replace(settings, budget={"gender": 2})
    with pytest.raises(UserError, match=r"budget\.gender: 4 before, 2 now"):
        write_experiment(directory, make_plan(smaller, LANGS, [42]))
    assert directory.plan.read_bytes() == plan


def test_an_experiment_without_runs_is_made_anew(settings, tmp_path):
    directory = ExperimentDir(tmp_path)
    corrected = replace(settings, budget={"gender": 2})
    write_experiment(directory, make_plan(settings, LANGS, [42]))
    fail_run(directory, "gender.single.ca.n4.s42")
    write_experiment(directory, make_plan(corrected, LANGS, [42]))
    for damaged in (directory.settings, directory.plan):
        damaged.write_text("nonsense")
        write_experiment(directory, make_plan(corrected, LANGS, [42]))
    assert {p.run.budget for p in read_plan(directory.plan)} == {2}
    assert not directory.runs.exists()


def test_a_run_that_another_process_makes_begins_an_experiment(settings, tmp_path):
    directory = ExperimentDir(tmp_path)
    planned = make_plan(settings, LANGS, [42])
    write_experiment(directory, planned)
    name = planned.runs[0].run.name
    directory.run(name).mkdir(parents=True)
    assert not is_begun(directory)
    holder = subprocess.Popen(
        [sys.executable, "-c", CLAIM, str(directory.claims), name],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert holder.stdout.readline()
    assert is_begun(directory)
    holder.communicate(b"\n")
    assert not is_begun(directory)


def test_one_speaker_id_of_two_languages_is_refused(settings, tmp_path):
    write_dump(tmp_path / "demo", ["zh-TW"])
    shutil.copytree(tmp_path / "demo/zh-TW", tmp_path / "demo/zh")
    own = replace(settings, dumpdir=str(tmp_path))
    with pytest.raises(UserError, match=r"zh-TW-\S+ belongs to one person of zh and"):
        make_plan(own, ["zh", "zh-TW"], [42])


def test_audio_that_changed_under_an_experiment_is_refused(settings, tmp_path):
    write_dump(tmp_path / "dump/demo", ["ca", "es"])
    directory = ExperimentDir(tmp_path / "exp")
    own = replace(settings, dumpdir=str(tmp_path / "dump"))
    begin(directory, make_plan(own, ["ca", "es"], [42]))
    lengths = tmp_path / "dump/demo/es/test/utt2num_samples"
    first, *others = lengths.read_text().splitlines(keepends=True)
    lengths.write_text("".join([first.replace("\n", "0\n"), *others]))
    with pytest.raises(UserError, match=r"es/test\.tsv would be drawn differently"):
        write_experiment(directory, make_plan(own, ["ca", "es"], [42]))


@pytest.fixture(scope="module")
def bilingual(tmp_path_factory):
    """The same people in ca and es, others in tr."""
    root = tmp_path_factory.mktemp("bilingual")
    speakers = {"train": 3, "dev": 2, "test": 2}
    write_dump(root / "kaldi", ["ca", "es"], speakers)
    write_dump(root / "kaldi", ["tr"], {"train": 3, "dev": 4, "test": 2})
    return Settings(
        "kaldi",
        str(root),
        {"gender": 4, "speaker": 8},
        options={"speaker": {"cross_language_trials": True}},
        train_config={"gender": TINY_GENDER, "speaker": TINY_SPEAKER},
    )


def test_the_same_utterances_of_a_language_are_in_single_and_every_pair(
    bilingual, tmp_path
):
    directory = ExperimentDir(tmp_path)
    write_experiment(directory, make_plan(bilingual, LANGS, [42]))
    drawn = {
        p.run: [
            u.utt
            for u in training_utterances(
                directory, read_settings(directory.settings), p.run
            )
        ]
        for p in read_plan(directory.plan)
        if p.run.task == "speaker"
    }
    for run, utts in drawn.items():
        assert len(set(utts)) == len(utts) == (8 if run.kind == "single" else 16)
        for lang in run.languages if run.kind == "pair" else ():
            single = drawn[replace(run, kind="single", languages=(lang,))]
            assert [utt for utt in utts if utt.startswith(lang)] == single
        if run.kind == "single":
            assert utts == drawn[replace(run, kind="double")][:8]


def test_bilingual_speakers_are_tested_across_languages_where_that_is_asked(
    bilingual, tmp_path
):
    planned = make_plan(bilingual, LANGS, [42])
    write_plan(tmp_path / "plan.tsv", planned.runs)
    tested = {
        (p.run.kind, "+".join(p.run.languages)): " ".join(p.test_languages)
        for p in read_plan(tmp_path / "plan.tsv")
        if p.run.task == "speaker"
    }
    assert tested == {
        ("single", "ca"): "ca es tr ca~es",
        ("single", "es"): "ca es tr ca~es",
        ("single", "tr"): "ca es tr ca~es",
        ("double", "ca"): "ca ca~es",
        ("double", "es"): "es ca~es",
        ("double", "tr"): "tr",
        ("pair", "ca+es"): "ca es ca~es",
        ("pair", "ca+tr"): "ca tr",
        ("pair", "es+tr"): "es tr",
    }
    trials = planned.across["speaker", "ca~es"].data
    for enrol, test in zip(trials.enrol, trials.test, strict=True):
        assert trials.utts[enrol].startswith("ca-")
        assert trials.utts[test].startswith("es-")
    assert not any(
        "~" in name
        for p in planned.runs
        if p.run.task == "gender"
        for name in p.test_languages
    )


def test_across_languages_singles_without_zero_shot_are_tested_on_their_own(bilingual):
    settings = replace(bilingual, zero_shot=False)
    tested = {
        p.run.languages: p.test_languages
        for p in make_plan(settings, LANGS, [42]).runs
        if (p.run.task, p.run.kind) == ("speaker", "single")
    }
    assert tested == {
        ("ca",): ("ca", "ca~es"),
        ("es",): ("es", "ca~es"),
        ("tr",): ("tr",),
    }


def test_no_bilingual_speaker_is_one_line(bilingual, caplog):
    planned = make_plan(bilingual, ["ca", "tr"], [42])
    assert not planned.across
    (message,) = caplog.messages
    assert message.startswith("speaker: there is no test across languages")


def test_trials_that_change_under_an_experiment_are_refused(bilingual, tmp_path):
    directory = ExperimentDir(tmp_path)
    planned = make_plan(bilingual, LANGS, [42])
    begin(directory, planned)
    for name in ("ca", "ca~es"):
        path = directory.test_data("speaker", name, "test", ".trials")
        whole = path.read_text()
        first, rest = whole.split("\n", 1)
        path.write_text(f"{rest}{first}\n")
        with pytest.raises(UserError, match=rf"{name}/test\.trials would be drawn"):
            write_experiment(directory, planned)
        path.write_text(whole)
    write_experiment(directory, planned)


def test_fewer_tasks_leave_the_runs_of_the_other_in_peace(bilingual, tmp_path, caplog):
    directory = ExperimentDir(tmp_path)
    write_experiment(directory, make_plan(bilingual, LANGS, [42]))
    fewer = replace(
        bilingual,
        budget={"speaker": 8},
        train_config={"speaker": bilingual.train_config["speaker"]},
    )
    write_experiment(directory, make_plan(fewer, LANGS, [42]))
    assert {p.run.task for p in read_plan(directory.plan)} == {"speaker"}
    assert re.search(r"9 runs .*gender\.single\.ca\.n4\.s42 first", caplog.text)
    write_experiment(directory, make_plan(bilingual, LANGS, [42]))
    assert len(read_plan(directory.plan)) == 18


def test_a_task_for_which_the_languages_do_not_do_is_named_with_the_way_out(bilingual):
    settings = replace(bilingual, budget={"gender": 4, "speaker": 13})
    with pytest.raises(UserError) as caught:
        make_plan(settings, ["ca", "tr"], [42])
    assert str(caught.value) == (
        "Fewer than two languages, a target and a donor, can take part in speaker with "
        "N = 13 (ca: train has 24 utterances where 26 are needed; tr: train has 24 "
        "utterances where 26 are needed): lower --speaker_budget or add languages, or "
        'give --task "gender".'
    )


@pytest.mark.parametrize("text", ["", "run\ttask\n", "x\ty\nz\n"])
def test_damaged_plan_is_refused(tmp_path, text):
    (tmp_path / "plan.tsv").write_text(text)
    with pytest.raises(UserError, match=r"plan\.tsv is not a plan of runs"):
        read_plan(tmp_path / "plan.tsv")


def test_plan_with_an_edited_line_is_refused(settings, tmp_path):
    path = tmp_path / "plan.tsv"
    write_plan(path, make_plan(settings, LANGS, [42]).runs)
    path.write_text(path.read_text().replace("\tsingle\t", "\tdouble\t", 1))
    with pytest.raises(UserError, match=r"line 2, .*gender\.single"):
        read_plan(path)


def test_missing_plan_is_named(tmp_path):
    with pytest.raises(UserError, match=r"plan\.tsv.* run stage 3"):
        read_plan(tmp_path / "plan.tsv")


def test_a_damaged_list_is_to_be_deleted_and_then_made_again(bilingual, tmp_path):
    directory = ExperimentDir(tmp_path)
    planned = make_plan(bilingual, LANGS, [42])
    begin(directory, planned)
    for path in (
        directory.utterance_list("speaker", "ca", "dev"),
        directory.test_data("speaker", "es", "test", ".trials"),
    ):
        whole = path.read_text()
        path.write_text("")
        with pytest.raises(UserError, match="is damaged: delete it and run stage 3"):
            write_experiment(directory, planned)
        path.unlink()
        write_experiment(directory, planned)
        assert path.read_text() == whole


def test_trials_that_contradict_the_speakers_are_refused(bilingual, tmp_path):
    directory = ExperimentDir(tmp_path)
    write_experiment(directory, make_plan(bilingual, LANGS, [42]))
    for name in ("ca", "ca~es"):
        path = directory.test_data("speaker", name, "test", ".trials")
        read_test_set(directory, "speaker", name)
        lines = path.read_text().splitlines()
        number = next(i for i, line in enumerate(lines) if line.endswith("nontarget"))
        lines[number] = lines[number].replace("nontarget", "target")
        path.write_text("\n".join(lines) + "\n")
        with pytest.raises(UserError, match=rf"trials, line {number + 1}, contradicts"):
            read_test_set(directory, "speaker", name)
