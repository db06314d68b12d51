"""What is declared, pinned and imported agrees."""

import ast
import sys
from importlib.metadata import distributions, version
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import espnet2_cltm
from espnet2_cltm.foreign_imports import MissingESPnet, UnusablePackageError

if sys.version_info >= (3, 11):
    import tomllib
else:
    from pip._vendor import tomli as tomllib

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


THIS = ".".join(map(str, sys.version_info[:2]))


def declared(python: str = THIS) -> dict[str, Requirement]:
    return valid(PROJECT["dependencies"], python)


def optional() -> set[str]:
    """Names of what only extras bring along."""
    extras = PROJECT["optional-dependencies"].values()
    return {Requirement(one).name for extra in extras for one in extra}


def pinned(file: str, python: str = THIS) -> dict[str, Requirement]:
    lines = (ROOT / "tools" / file).read_text().splitlines()
    return valid([line for line in lines if line and line[0] != "#"], python)


def valid(lines: list[str], python: str) -> dict[str, Requirement]:
    """Requirements that hold with a version of Python, by name."""
    kept = [
        one
        for one in map(Requirement, lines)
        if one.marker is None or one.marker.evaluate({"python_version": python})
    ]
    names = [canonicalize_name(one.name) for one in kept]
    assert len(names) == len(set(names))
    return dict(zip(names, kept, strict=True))


def imported() -> dict[str, Path]:
    """Top-level names of what the package imports from elsewhere."""
    modules = {}
    for path in sorted((ROOT / "espnet2_cltm").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and not node.level:
                names = [node.module or ""]
            else:
                continue
            modules |= {name.split(".")[0]: path for name in names}
    own = {"espnet2_cltm", *sys.stdlib_module_names}
    return {name: path for name, path in modules.items() if name not in own}


def owners() -> dict[str, set[str]]:
    """Which distributions hold a top-level module, judged from their files."""
    found: dict[str, set[str]] = {}
    for distribution in distributions():
        name = canonicalize_name(distribution.metadata["Name"])
        for file in distribution.files or []:
            found.setdefault(file.parts[0].removesuffix(".py"), set()).add(name)
    return found


def test_everything_the_package_imports_is_declared():
    owned = owners()
    for module, path in imported().items():
        if module in ("espnet", "espnet2") or module in optional():
            continue  # tools/requirements-espnet.txt says why
        assert owned.get(module, set()) & set(declared()), (
            f"{path} imports {module}, not declared"
        )


@pytest.mark.parametrize("python", ["3.10", "3.11", "3.12", "3.13"])
def test_the_tested_versions_satisfy_the_declared_minimum(python):
    pins = pinned("requirements.txt", python)
    assert set(pins) == set(declared(python))
    for name, requirement in declared(python).items():
        (specifier,) = pins[name].specifier
        assert specifier.operator in ("==", ">=")
        assert requirement.specifier.contains(specifier.version), name


def test_the_version_is_written_once():
    assert "version" in PROJECT["dynamic"]
    assert "version" not in PROJECT


def test_this_environment_has_the_declared_versions():
    for name, requirement in declared().items():
        assert requirement.specifier.contains(version(name)), name


def test_the_package_has_a_version():
    assert espnet2_cltm.__version__.count(".") == 2


def test_the_sentence_on_a_missing_espnet_installs_what_is_pinned():
    pins = pinned("requirements-espnet.txt").values()
    with pytest.raises(UnusablePackageError) as raised:
        MissingESPnet().find_spec("espnet2")
    names = [f'"{pin.name}{pin.specifier}"' for pin in pins]
    assert " ".join(names) in str(raised.value)


def test_torchaudio_is_imported_without_a_compiled_part_that_does_not_fit(
    tmp_path, monkeypatch
):
    package = tmp_path / "torchaudio" / "_extension"
    package.mkdir(parents=True)
    (tmp_path / "torchaudio" / "__init__.py").write_text("from . import _extension\n")
    (package / "utils.py").write_text("def _load_lib(library):\n    raise OSError\n")
    (package / "__init__.py").write_text(
        "from .utils import _load_lib\nis_compiled = _load_lib('_torchaudio')\n"
    )
    for name in [name for name in sys.modules if name.startswith("torchaudio")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.syspath_prepend(tmp_path)
    import torchaudio

    try:
        assert torchaudio._extension.is_compiled is False
    finally:
        for name in [name for name in sys.modules if name.startswith("torchaudio")]:
            del sys.modules[name]
