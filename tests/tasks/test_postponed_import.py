"""A module is imported when it is used, not when it is named."""

import sys

import pytest

from espnet2_cltm.tasks.postponed_import import importing_later


@pytest.fixture
def module(tmp_path, monkeypatch):
    (tmp_path / "slow_to_import.py").write_text("loaded = True\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield "slow_to_import"
    sys.modules.pop("slow_to_import", None)


def test_import_waits_for_the_first_use(module):
    with importing_later(module):
        import slow_to_import
    assert module not in sys.modules
    assert slow_to_import.loaded
    assert module in sys.modules


def test_use_within_the_block_imports_too(module):
    with importing_later(module):
        import slow_to_import

        assert slow_to_import.loaded
    assert vars(sys.modules[module])["loaded"]


def test_module_that_is_not_installed_fails_at_its_first_use():
    with importing_later("not_installed_anywhere"):
        import not_installed_anywhere
    with pytest.raises(ModuleNotFoundError):
        _ = not_installed_anywhere.anything


def test_module_imported_before_is_left_alone():
    import json

    with importing_later("json"):
        assert sys.modules["json"] is json
    assert sys.modules["json"] is json
