"""ESPnet's import: quick, silent, and leaving the process as it was."""

import subprocess
import sys

import pytest
import typeguard

from espnet2_cltm.tasks.espnet import importing_later, without_type_checks

LATER = ("g2p_en", "tacotron_cleaner", "inflect")


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Put a package with a module in it where Python finds it."""
    (tmp_path / "slow_to_import").mkdir()
    (tmp_path / "slow_to_import" / "__init__.py").write_text("loaded = True\n")
    (tmp_path / "slow_to_import" / "part.py").write_text("loaded = True\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield "slow_to_import"
    for name in ("slow_to_import", "slow_to_import.part"):
        sys.modules.pop(name, None)


def test_the_first_use_imports(package):
    with importing_later(package, f"{package}.part"):
        import slow_to_import
        import slow_to_import.part
    assert package not in sys.modules and f"{package}.part" not in sys.modules
    assert slow_to_import.part.loaded
    assert slow_to_import.loaded
    assert f"{package}.part" in sys.modules


def test_use_within_the_block_imports_too(package):
    with importing_later(package):
        import slow_to_import

        assert slow_to_import.loaded
    assert vars(sys.modules[package])["loaded"]


def test_a_module_that_is_not_installed_fails_at_its_first_use():
    with importing_later("not_installed_anywhere"):
        import not_installed_anywhere
    with pytest.raises(ModuleNotFoundError):
        _ = not_installed_anywhere.anything


def test_a_module_that_was_imported_before_is_left_alone():
    import json

    with importing_later("json"):
        assert sys.modules["json"] is json
    assert sys.modules["json"] is json


def test_tasks_import_no_text_processing_and_print_nothing():
    code = f"""
import importlib.util, sys
stdout = sys.stdout
for task in ("label", "speaker", "pretraining"):
    importlib.import_module(f"espnet2_cltm.{{task}}.espnet_task")
    assert sys.stdout is stdout
    loaded = {{name.split(".")[0] for name in sys.modules}}
    assert not loaded & {{*{LATER}}}, task
import espnet2.text.cleaner
if importlib.util.find_spec("tacotron_cleaner"):
    assert espnet2.text.cleaner.TextCleaner("tacotron")("jr.") == "JUNIOR"
"""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (0, ""), done.stderr


def test_checks_of_types_are_left_out_of_espnet_alone(tmp_path, monkeypatch):
    code = "from typeguard import typechecked\n@typechecked\ndef f(x: int): return x\n"
    for name in ("imported_within", "imported_after"):
        (tmp_path / f"{name}.py").write_text(code)
    monkeypatch.syspath_prepend(str(tmp_path))
    with without_type_checks():
        import imported_within
    import imported_after

    assert imported_within.f("text") == "text"
    with pytest.raises(typeguard.TypeCheckError):
        imported_after.f("text")
