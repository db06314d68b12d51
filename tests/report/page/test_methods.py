from espnet2_cltm.report.page.methods import methods_paragraphs
from espnet2_cltm.report.page.provenance import Provenance
from tests.report.page.reports import analysed, simulated


def text(scores, provenance=None):
    return "\n".join(methods_paragraphs(analysed(scores), provenance or Provenance("")))


def test_methods_tell_task_runs_seeds_intervals_and_sources():
    written = text(simulated(3, 4))
    assert "Task: gender identification, 3 languages." in written
    assert "N = 60 utterances per class" in written
    assert "4 seeds" in written
    assert "100 resamples, seed 0" in written
    assert "one-sided t test at level 0.05" in written
    assert "arXiv:2603.08231" in written
    assert "(Perf(i+j) \N{MINUS SIGN} Perf(i))" in written


def test_encoder_and_corpus_are_named_where_known():
    provenance = Provenance(
        "",
        {"corpus": "common_voice"},
        {"frontend": "hubert", "frontend_conf": {"model": "utter-project/mHuBERT-147"}},
    )
    written = text(simulated(2, 3), provenance)
    assert "of the corpus common_voice" in written
    assert "utter-project/mHuBERT-147 was fine-tuned for each run" in written


def test_another_model_is_no_hubert():
    assert "HuBERT" not in text(
        simulated(2, 3), Provenance("", {}, {"frontend": "melspec_torch"})
    )
