from hypothesis import given, settings
from hypothesis import strategies as st

from espnet2_cltm.report.heatmap_layout import text_width, wrap

WORDS = st.lists(
    st.text(
        st.characters(max_codepoint=0x17F, categories=("Lu", "Ll", "Nd")),
        min_size=1,
        max_size=12,
    ),
    min_size=1,
    max_size=25,
)


@given(WORDS, st.floats(0.5, 6.0))
@settings(deadline=None)
def test_lines_fit_the_width_and_keep_every_word(words, width):
    lines = wrap(" ".join(words), width, 8.0)
    assert " ".join(lines).split() == words
    for line in lines:
        assert text_width(line, 8.0) <= width or " " not in line


def test_bold_text_is_wider_and_width_grows_with_size():
    plain = text_width("Cross-lingual", 10.0)
    assert text_width("Cross-lingual", 10.0, bold=True) > plain > 0
    assert abs(text_width("Cross-lingual", 20.0) / plain - 2) < 0.02
