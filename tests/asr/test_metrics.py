"""Error rates are jiwer's, in every script."""

import jiwer
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from espnet2_cltm.asr.metrics import count_errors, score_counts
from espnet2_cltm.asr.text import normalise, words_of
from espnet2_cltm.errors import UserError

ALPHABETS = (
    "abcdeé ",
    "ابتثج ",
    "कखगि ी ",
    "กขคิี ",
    "中文字 ",
)


@st.composite
def transcripts(draw):
    alphabet = draw(st.sampled_from(ALPHABETS))
    texts = st.text(alphabet, max_size=12).map(normalise)
    pairs = draw(st.lists(st.tuples(texts.filter(bool), texts), min_size=1, max_size=5))
    return [list(side) for side in zip(*pairs, strict=True)]


@given(transcripts())
def test_rates_are_those_of_jiwer(texts):
    reference, predicted = texts
    rates = score_counts(count_errors(reference, predicted), "char").metrics
    words = [[words_of(text) for text in side] for side in texts]
    each = [jiwer.wer(*pair) for pair in zip(*words, strict=True)]
    assert rates["cer"] == pytest.approx(jiwer.cer(reference, predicted))
    assert rates["wer"] == pytest.approx(jiwer.wer(*words))
    assert rates["utt_wer"] == pytest.approx(np.mean(each))


def test_a_rate_can_exceed_one():
    rates = score_counts(count_errors(["no"], ["a no b c"]), "bpe").metrics
    assert rates["wer"] == 3


def test_phones_have_one_rate_whose_unit_is_a_phone():
    counts = count_errors(["tʃ a o", "ei n"], ["t a o", "ei n a"])
    assert score_counts(counts, "phn").metrics == {"per": 2 / 5}


@pytest.mark.parametrize(
    ("reference", "predicted"), [([], []), (["a"], []), (["a", ""], ["a", "b"])]
)
def test_what_has_no_rate_is_refused(reference, predicted):
    with pytest.raises(UserError, match=r"transcripts and|Transcript 2 is empty"):
        count_errors(reference, predicted)
