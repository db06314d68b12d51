import pytest

from espnet2_cltm.report.page.signs import with_minus_signs

MINUS = "\N{MINUS SIGN}"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("worth -0.20 [-1.5, -.3]", f"worth {MINUS}0.20 [{MINUS}1.5, {MINUS}.3]"),
        ("Perf(i+j) - Perf(i)", f"Perf(i+j) {MINUS} Perf(i)"),
        ("p = 1.2e-05", "p = 1.2e-05"),
        ("mHuBERT-147 of 2026-03-01", "mHuBERT-147 of 2026-03-01"),
        ("zh-CN; off-diagonal; --nj 4", "zh-CN; off-diagonal; --nj 4"),
    ],
)
def test_only_signs_of_numbers_and_differences_become_minus_signs(text, expected):
    assert with_minus_signs(text) == expected
