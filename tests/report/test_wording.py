import pytest

from espnet2_cltm.report.wording import format_limit, format_value, with_minus_signs

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


def test_numbers_have_a_real_minus_and_no_negative_zero():
    assert format_value(-0.001) == "0.00"
    assert format_value(-0.254) == f"{MINUS}0.25"
    assert format_value(-0.254, 1) == f"{MINUS}0.3"


def test_large_limits_have_fewer_decimals():
    written = [format_limit(x) for x in (9.99, -9.996, 12.34, 99.96, -1234.5)]
    assert written == ["9.99", f"{MINUS}10.0", "12.3", "100", f"{MINUS}1234"]
