"""From an audio store to subsets and a plan."""

import shutil
from dataclasses import replace

import pytest

from espnet2_cltm.errors import UserError
from espnet2_cltm.experiment.drawn import read_test_set, training_utterances
from espnet2_cltm.experiment.layout import ExperimentDir
from espnet2_cltm.experiment.plan import read_plan, write_plan
from espnet2_cltm.experiment.planning import make_plan
from espnet2_cltm.experiment.settings import Settings, read_settings
from espnet2_cltm.experiment.writing import write_experiment
from tests.speech import TINY_GENDER, write_dump

LANGS = ["ca", "es", "tr"]


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


def test_one_speaker_id_of_two_languages_is_refused(settings, tmp_path):
    write_dump(tmp_path / "demo", ["zh-TW"])
    shutil.copytree(tmp_path / "demo/zh-TW", tmp_path / "demo/zh")
    own = replace(settings, dumpdir=str(tmp_path))
    with pytest.raises(UserError, match=r"zh-TW-\S+ belongs to one person of zh and"):
        make_plan(own, ["zh", "zh-TW"], [42])


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
    assert message.startswith("speaker is not tested across languages")


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
