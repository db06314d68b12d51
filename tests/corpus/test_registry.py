import pytest
from espnet2_cltm.corpus.registry import CORPORA, choose_languages, get_corpus

from espnet2_cltm.errors import UserError

LANGUAGES = [f"l{number:02d}" for number in range(54)]


@pytest.fixture
def corpus_dir(tmp_path):
    for lang in reversed(LANGUAGES):
        for split in ("train", "dev", "test"):
            (tmp_path / lang / split).mkdir(parents=True)
    return tmp_path


@pytest.mark.parametrize("name", sorted(CORPORA))
def test_every_corpus_can_be_imported_and_has_the_functions(name):
    if name == "demo":
        pytest.importorskip(
            "espeakng_loader", reason="the demo's synthesiser is absent"
        )
    module = get_corpus(name)
    assert callable(module.list_languages)
    assert callable(module.load_language)


def test_an_unknown_corpus_is_refused_with_the_known_ones():
    with pytest.raises(UserError) as error:
        get_corpus("librispeech")
    assert str(error.value) == (
        "There is no corpus 'librispeech': choose one of common_voice, demo, kaldi."
    )


def test_no_languages_means_all(corpus_dir):
    assert choose_languages("kaldi", corpus_dir) == LANGUAGES
    assert choose_languages("kaldi", corpus_dir, []) == LANGUAGES


def test_languages_keep_their_order_and_are_taken_once(corpus_dir):
    assert choose_languages("kaldi", corpus_dir, ["l07", "l01", "l07"]) == [
        "l07",
        "l01",
    ]


def test_unknown_languages_are_refused_with_the_known_ones(corpus_dir):
    with pytest.raises(UserError) as error:
        choose_languages("kaldi", corpus_dir, ["l07", "xx"])
    assert str(error.value) == (
        f"Language xx is not in {corpus_dir} (kaldi): choose from "
        f"{' '.join(LANGUAGES)}."
    )
    with pytest.raises(UserError) as error:
        choose_languages("kaldi", corpus_dir, ["xx", "l07", "yy"])
    assert str(error.value).startswith(
        f"Languages xx yy are not in {corpus_dir} (kaldi)"
    )


ODD = ["my lang", "ca+es", "ca\tes", "ca\u00a0es"]


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize("name", ["common_voice", "kaldi"])
def test_a_directory_whose_name_is_no_language_code_is_refused(tmp_path, name, odd):
    for lang in ("aa", odd):
        (tmp_path / lang / "train").mkdir(parents=True)
        for split in ("train", "dev", "test"):
            (tmp_path / lang / f"{split}.tsv").touch()
    with pytest.raises(UserError) as error:
        choose_languages(name, tmp_path)
    assert str(error.value) == (
        f"{str(tmp_path / odd)!r} can't be a language's directory, as language codes "
        "have no white space, control character or '+' (which joins the codes of a "
        "run's languages): rename it, or choose other languages with --langs."
    )
    assert choose_languages(name, tmp_path, ["aa"]) == ["aa"]
    with pytest.raises(UserError, match=r"Language xx is not in .*: choose from aa\.$"):
        choose_languages(name, tmp_path, ["xx"])


@pytest.mark.parametrize("odd", [*ODD, ""])
@pytest.mark.parametrize("name", ["common_voice", "kaldi"])
def test_a_language_asked_for_by_something_else_than_a_code_is_refused(
    tmp_path, name, odd
):
    with pytest.raises(UserError) as error:
        choose_languages(name, tmp_path, ["aa", odd])
    assert str(error.value) == (
        f"--langs names {odd!r}, which can't be a language code, as codes have no "
        "white space, control character or '+' (which joins the codes of a run's "
        "languages): give codes with spaces between them."
    )


def test_every_language_of_the_demo_has_a_code(tmp_path):
    pytest.importorskip("espeakng_loader", reason="the demo's synthesiser is absent")
    assert choose_languages("demo", tmp_path)
