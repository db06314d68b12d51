import numpy as np
import pytest

from espnet2_cltm.matrix.languages import UNLISTED, Language, family_pairs
from espnet2_cltm.matrix.layout import complete_square


def test_family_is_what_stands_before_the_bracket():
    languages = [
        Language("ca", "Catalan", "Indo-European (Romance)"),
        Language("de", "German", "Indo-European (Germanic)"),
        Language("et", "Estonian", "Uralic (Finnic)"),
        Language("hu", "Hungarian", "Uralic"),
    ]
    np.testing.assert_array_equal(
        family_pairs(languages),
        [[0, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 1], [0, 0, 1, 0]],
    )


@pytest.mark.parametrize(
    "family", ["Constructed", "Language isolate", "Creole (French-based)", UNLISTED]
)
def test_languages_without_an_ancestor_in_common_are_no_family(family):
    assert not family_pairs(
        [Language("a", "A", family), Language("b", "B", family)]
    ).any()


def test_complete_matrix_is_its_own_square():
    np.testing.assert_array_equal(
        complete_square(np.ones((4, 4), dtype=bool)), range(4)
    )


def test_language_without_row_is_left_out_of_the_square():
    there = np.ones((4, 4), dtype=bool)
    there[1] = False
    np.testing.assert_array_equal(complete_square(there), [0, 2, 3])


def test_language_that_lacks_most_goes_first():
    there = np.ones((5, 5), dtype=bool)
    there[3, 0] = there[0, 3] = there[3, 1] = False
    np.testing.assert_array_equal(complete_square(there), [0, 1, 2, 4])


@pytest.mark.parametrize("n", [1, 2, 7])
def test_too_few_languages_are_no_square(n):
    there = np.eye(n, dtype=bool)
    assert len(complete_square(there)) == 0
