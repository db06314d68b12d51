"""What a message quotes does no harm."""

from pathlib import Path

import pytest

from espnet2_cltm.errors import UserError
from espnet2_cltm.files import read_text


def test_endless_words_are_cut_and_control_characters_spelt():
    text = str(UserError(f"{'x' * 5000} is \x1b[31mred\x1b[0m: correct it."))
    assert text == f"{'x' * 120}... is \\x1b[31mred\\x1b[0m: correct it."


@pytest.mark.parametrize("path", ["/dev/zero", "/dev/null"])
def test_what_is_not_a_file_is_refused(path, tmp_path):
    with pytest.raises(UserError, match=f"{path} is not a file, but a device"):
        read_text(Path(path), "give a file")
