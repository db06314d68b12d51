"""Nobody who is tested in one language is trained on in another."""

from dataclasses import replace

import pytest

from espnet2_cltm.corpus.datadir import Utterance, read_table
from espnet2_cltm.corpus.language import person_of
from espnet2_cltm.experiment.planning import make_plan
from espnet2_cltm.experiment.settings import Settings
from espnet2_cltm.experiment.shared_speakers import without_tested
from tests.speech import TINY_SPEAKER, write_dump

LANGS = ["ca", "es"]


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    """Two languages of the same people: ca trains on 00 to 05 and es tests 00, 01."""
    root = tmp_path_factory.mktemp("store")
    write_dump(root / "kaldi", ["ca"], {"train": 6, "dev": 2, "test": 2}, utterances=2)
    write_dump(root / "kaldi", ["es"], {"test": 2, "dev": 2, "train": 6}, utterances=2)
    return Settings(
        "kaldi",
        str(root),
        {"speaker": 4},
        shared_speakers=True,
        train_config={"speaker": TINY_SPEAKER},
    )


def people(utterances, lang):
    return {person_of(u.label, lang) for u in utterances}


def trained_and_tested(settings, seeds=(1, 2, 3)):
    drawn = make_plan(settings, LANGS, seeds).drawn
    trained = {
        lang: people((u for seed in seeds for u in language.train[seed]), lang)
        for (_, lang), language in drawn.items()
    }
    tested = {
        lang: people([*language.dev.utterances, *language.test.utterances], lang)
        for (_, lang), language in drawn.items()
    }
    return trained, tested


def test_nobody_tested_in_a_language_is_trained_on_in_another(settings):
    trained, tested = trained_and_tested(settings)
    assert trained["ca"] and trained["es"]
    assert not trained["ca"] & tested["es"]
    assert not trained["es"] & tested["ca"]


def test_people_whose_trials_are_left_out_are_kept_from_training_too(settings):
    # The store, not the trials, says who is tested.
    trained, _ = trained_and_tested(settings)
    for lang, other in (("ca", "es"), ("es", "ca")):
        for split in ("dev", "test"):
            in_store = read_table(settings.split_dir(other, split) / "utt2spk")
            assert not trained[lang] & {
                person_of(speaker, other) for speaker in in_store.values()
            }


def test_without_it_nothing_is_left_out(settings):
    trained, tested = trained_and_tested(replace(settings, shared_speakers=False))
    assert trained["ca"] & tested["es"]
    assert trained["es"] & tested["ca"]


def test_nobody_tested_in_another_language_chooses_an_epoch():
    people = {
        "ca": {"dev": frozenset({"d"}), "test": frozenset({"t"})},
        "es": {"dev": frozenset(), "test": frozenset()},
    }
    utterances = [
        Utterance(f"es-{person}-1", f"es-{person}", "x.wav", {"gender": "f"}, "es")
        for person in "dtx"
    ]

    def kept(split):
        left = without_tested(people, "es", split, utterances)
        return [u.speaker for u in left]

    assert kept("train") == ["es-x"]
    assert kept("dev") == ["es-d", "es-x"]
    assert kept("test") == ["es-d", "es-t", "es-x"]


def test_a_bilingual_person_is_one_class(settings):
    def classes(settings):
        drawn = make_plan(settings, LANGS, [1]).drawn
        return {
            lang: {u.label for u in language.train[1]}
            for (_, lang), language in drawn.items()
        }

    for people in classes(settings).values():
        assert not any(label.startswith(("ca-", "es-")) for label in people)
    apart = classes(replace(settings, shared_speakers=False))
    assert all(label.startswith("ca-") for label in apart["ca"])
