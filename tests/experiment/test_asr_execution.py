"""Runs of speech recognition: data drawn, trained and tested as by the command line."""

import json

import pytest

from espnet2_cltm.asr.inference import read_transcripts
from espnet2_cltm.asr.spec import ASR
from espnet2_cltm.bin import asr_inference, asr_train
from espnet2_cltm.budget import Seconds
from espnet2_cltm.corpus.datadir import Utterance
from espnet2_cltm.corpus.utterance_list import ListedUtterance, total_seconds
from espnet2_cltm.errors import UserError
from espnet2_cltm.experiment.drawn import training_utterances
from espnet2_cltm.experiment.execution import make_run
from espnet2_cltm.experiment.layout import ExperimentDir
from espnet2_cltm.experiment.plan import read_plan
from espnet2_cltm.experiment.planning import make_plan
from espnet2_cltm.experiment.results import collect_results, write_results
from espnet2_cltm.experiment.settings import Settings, read_settings
from espnet2_cltm.experiment.steps import steps_config
from espnet2_cltm.experiment.writing import write_experiment
from espnet2_cltm.task import DrawingRules, UnfitLanguage
from tests.speech import TINY_ASR, write_dump

pytestmark = pytest.mark.slow
DUMP = {"languages": ["es", "tr"], "utterances": 3}


def settings_of(store, config=TINY_ASR, budget=4, steps="data", **options):
    return Settings(
        "demo",
        str(store),
        {"asr": budget},
        options={"asr": options},
        train_config={"asr": config},
        steps=steps,
    )


def new_experiment(root, store, *args, **options):
    directory = ExperimentDir(root)
    settings = settings_of(store, *args, **options)
    write_experiment(directory, make_plan(settings, ["es", "tr"], [42]))
    return directory


def make(directory, kind):
    planned = next(p for p in read_plan(directory.plan) if p.run.kind == kind)
    make_run(directory, read_settings(directory.settings), planned)
    return planned


@pytest.mark.parametrize(
    ("checkpoint", "options"),
    [
        ("cer", {}),
        ("last", {"asr_tokens": "bpe", "asr_pieces": 20}),
        ("per", {"asr_tokens": "phn"}),
    ],
)
def test_run_is_that_of_the_command_line(checkpoint, options, store, tmp_path):
    # Each language may have another best epoch.
    config = {**TINY_ASR, "checkpoint": checkpoint, "keep_nbest_models": 2}
    if checkpoint != "last":
        config["best_model_criterion"] = [["valid", checkpoint, "min"]]
    directory = new_experiment(tmp_path / "exp", store, config, **options)
    planned = make(directory, "pair")
    run = directory.run(planned.run.name)
    metrics = json.loads(directory.metrics(planned.run.name).read_text())
    asr_train.main(
        ["--config", str(run / "train.yaml"), "--output_dir", str(tmp_path / "out")]
    )
    for lang in ("es", "tr"):
        epoch = metrics["checkpoints"][lang]["epoch"]
        asr_inference.main(
            [
                *("--train_config", str(tmp_path / "out/config.yaml")),
                *("--model_file", str(tmp_path / f"out/{epoch}epoch.pth")),
                "--data_path_and_name_and_type",
                f"{store}/demo/{lang}/test/wav.scp,speech,kaldi_ark",
                *("--output_dir", str(tmp_path / lang)),
            ]
        )
        by_runner = directory.predictions(planned.run.name, lang, ".txt")
        assert (tmp_path / lang / "text").read_bytes() == by_runner.read_bytes()
        assert ("value" in metrics["checkpoints"][lang]) == (checkpoint != "last")


def test_results_are_error_rates_and_are_scored_again_alike(store, tmp_path):
    directory = new_experiment(tmp_path, store)
    planned = make(directory, "single")
    rows = collect_results(directory, [planned])
    values = {(row.test_language, row.metric): row.value for row in rows}
    assert {metric for _, metric in values} == {"cer", "wer", "utt_wer"}
    for row in collect_results(directory, [planned], rescore=True):
        assert row.value == values[row.test_language, row.metric]
    (path, *_) = directory.root.glob("runs/*/predictions/*.txt")
    assert len(read_transcripts(path)) == 12


def test_tokens_are_of_all_languages_or_of_the_run(store, tmp_path):
    heads = {}
    for vocabulary in ("experiment", "run"):
        directory = new_experiment(
            tmp_path / vocabulary, store, asr_vocabulary=vocabulary
        )
        run = make(directory, "single").run
        tokens = (directory.run(run.name) / "tokens.txt").read_text().split()
        heads[vocabulary] = {t for t in tokens if len(t) == 1 and t.isalpha()}
    assert heads == {"experiment": set("estr"), "run": set("es")}


def spoken(n, text, seconds=2.0):
    return Utterance(f"es-a-{n:02d}", "es-a", "a", {}, "es", seconds, text)


@pytest.mark.parametrize(("number", "allowed"), [(500, "at most"), (3, "at least")])
def test_pieces_that_the_text_does_not_allow_are_refused(number, allowed):
    options = {
        "asr_tokens": "bpe",
        "asr_pieces": number,
        "asr_vocabulary": "experiment",
    }
    splits = {"train": [spoken(1, "uno dos tres")], "dev": [], "test": []}
    refusal = rf"--asr_pieces {number}: .* {allowed} \d+"
    with pytest.raises(UserError, match=refusal):
        ASR.settle_options(options, [("es", splits)], 1)
    texts = ("uno dos tres", "uno", "dos")
    splits = dict(
        zip(splits, ([spoken(n, t)] for n, t in enumerate(texts)), strict=True)
    )
    splits["train"].append(spoken(4, "cuatro cinco seis"))
    rules = DrawingRules(1, options=options | {"asr_vocabulary": "run"})
    with pytest.raises(UserError, match=refusal):
        ASR.draw(splits, rules, [1])


def draw(*train, budget=1):
    splits = {"train": train, "dev": [spoken(80, "a")], "test": [spoken(90, "¡B!")]}
    rules = DrawingRules(budget, options={"asr_tokens": "char"})
    return ASR.draw(splits, rules, [1, 2])


def test_subsets_are_nested_and_in_normal_form():
    drawn = draw(*(spoken(n, f"Text {n}.") for n in range(9)), budget=4)
    assert len(drawn.train[1]) == 8
    assert (
        draw(*(spoken(n, f"Text {n}.") for n in range(9)), budget=2).train[1]
        == drawn.train[1][:4]
    )
    assert drawn.train[1] != drawn.train[2]
    assert drawn.labels["es-a-03"] == "text 3" and drawn.labels["es-a-90"] == "b"


def test_what_cannot_be_trained_on_is_left_out_and_counted():
    long, empty = spoken(7, "x" * 60, 2.3), spoken(8, "—")
    drawn = draw(spoken(1, "a"), spoken(2, "b"), long, empty)
    assert sorted(drawn.train[1]) == ["es-a-01", "es-a-02"]
    notes = " ".join(drawn.notes)
    assert "es-a-07" in notes and "1 have no letter or number" in notes
    with pytest.raises(UnfitLanguage) as refusal:
        draw(spoken(1, "a"), long, empty)
    assert "train has 1 utterances" in refusal.value.reason


def test_seconds_are_nested_and_never_fewer_than_asked_for():
    train = [spoken(n, f"text {n}", 1 + n % 3) for n in range(30)]
    order = draw(*train, budget=15).train[1]
    drawn = draw(*train, budget=Seconds(10)).train[1]
    seconds = {u.id: u.duration for u in train}
    assert drawn == order[: len(drawn)]
    assert sum(seconds[u] for u in drawn) >= 20 > sum(seconds[u] for u in drawn[:-1])
    listed = [ListedUtterance(u, "", int(16_000 * seconds[u]), "") for u in drawn]
    single = ASR.cut(listed, Seconds(10), {})
    assert sum(u.num_samples for u in single) >= 160_000
    assert sum(u.num_samples for u in single[:-1]) < 160_000
    with pytest.raises(UnfitLanguage, match=r"train has 60s .* 62s are needed"):
        draw(*train, budget=Seconds(31))


def test_runs_of_seconds_are_named_and_have_equal_steps(store, tmp_path):
    directory = new_experiment(tmp_path, store, budget=Seconds(1), steps="equal")
    settings = read_settings(directory.settings)
    assert settings.budget == {"asr": Seconds(1)}
    plan = read_plan(directory.plan)
    assert {p.run.name.split(".")[3] for p in plan} == {"n1s"}
    # 2 s in utterances of 0.3 s, in batches of 2
    assert {steps_config(settings, p.run)["num_iters_per_epoch"] for p in plan} == {
        round(2 / settings.options["asr"]["mean_seconds"]) // 2
    }
    planned = make(directory, "pair")
    listed = training_utterances(directory, settings, planned.run)
    for lang in ("es", "tr"):
        of_lang = [u for u in listed if u.utt.startswith(lang)]
        assert total_seconds(of_lang) >= 1 > total_seconds(of_lang[:-1])
    write_results(tmp_path / "results.tsv", collect_results(directory, [planned]))
    lines = (tmp_path / "results.tsv").read_text().splitlines()
    assert {line.split("\t")[4] for line in lines[1:]} == {"1s"}


def test_growing_keeps_the_number_of_steps(store, tmp_path):
    settings = settings_of(store, budget=Seconds(1))
    directory = ExperimentDir(tmp_path)
    write_experiment(directory, make_plan(settings, ["es", "tr"], [42]))
    mean = read_settings(directory.settings).options["asr"]["mean_seconds"]
    text = directory.settings.read_text().replace(f"{mean}", "0.25")
    directory.settings.write_text(text)
    for is_begun, expected in ((False, mean), (True, 0.25)):
        if is_begun:
            make(directory, "single")
        grown = make_plan(settings, ["es", "tr"], [42, 43], directory)
        assert grown.settings.options["asr"]["mean_seconds"] == expected


def test_language_without_phones_is_left_out(store, tmp_path):
    write_dump(tmp_path / "demo", ["es", "mn", "tr"], utterances=3)
    settings = settings_of(tmp_path, asr_tokens="phn")
    planned = make_plan(settings, ["es", "mn", "tr"], [42])
    assert "espeak-ng has no voice" in planned.left_out["asr", "mn"]
    tokens = planned.settings.options["asr"]["tokens"]
    labels = planned.drawn["asr", "es"].train[42][0].label.split()
    assert len(labels) > 3 and set(labels) <= set(tokens)
