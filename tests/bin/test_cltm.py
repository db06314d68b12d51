"""The command cltm: its commands are those of the package."""

import os
import pkgutil
import sys
from importlib import import_module
from pathlib import Path

import pytest

import espnet2_cltm.bin
from espnet2_cltm import __version__
from espnet2_cltm.bin.cltm import commands, main

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _own_arguments(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["cltm"])


@pytest.mark.slow
def test_its_commands_are_all_that_can_be_called():
    modules = {
        module.name: import_module(f"espnet2_cltm.bin.{module.name}")
        for module in pkgutil.iter_modules(espnet2_cltm.bin.__path__)
    }
    called = {name for name, module in modules.items() if hasattr(module, "main")}
    assert {*commands(), "cltm", "recipe"} == called


def test_help_says_in_a_line_what_each_does(capsys):
    main(["--help"])
    lines = capsys.readouterr().out.splitlines()
    for name, does in commands().items():
        assert does and any(line.split() == [name, *does.split()] for line in lines)


def test_a_command_is_called_with_its_arguments_and_named_in_its_messages(
    capsys, tmp_path
):
    with pytest.raises(SystemExit) as raised:
        main(["validate-data", str(tmp_path / "none")])
    assert raised.value.code == 1
    assert capsys.readouterr().err.startswith("cltm validate_data: error: ")


def test_an_unknown_command_is_refused_with_the_nearest(capsys):
    with pytest.raises(SystemExit) as raised:
        main(["recomend"])
    assert raised.value.code == 2
    assert "recommend" in capsys.readouterr().err


def test_its_version_is_the_packages(capsys):
    main(["--version"])
    assert capsys.readouterr().out == f"cltm {__version__}\n"


def test_scripts_in_local_are_commands_and_can_be_called():
    scripts = list((ROOT / "local").glob("*.py"))
    assert scripts and {path.stem for path in scripts} <= {*commands()}
    assert all(os.access(path, os.X_OK) for path in scripts)
