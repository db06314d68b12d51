import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest

from espnet2_cltm.errors import UserError
from espnet2_cltm.matrix.languages import read_languages
from espnet2_cltm.matrix.published import PUBLISHED, published_path, read_published

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_matrices_are_complete_with_ones_on_the_diagonal(name):
    matrix = read_published(name)
    assert matrix.rows == matrix.columns
    assert np.isfinite(matrix.values).all()
    np.testing.assert_array_equal(np.diagonal(matrix.values), 1.0)
    np.testing.assert_array_equal(matrix.values, matrix.values.round(2))


def test_every_published_language_has_a_name():
    known = read_languages(ROOT / "conf" / "languages.yaml")
    for name in PUBLISHED:
        assert set(read_published(name).rows) <= set(known)


def test_every_published_file_has_a_name_and_its_attribution():
    directory = published_path("asr_mhubert").parent
    assert {path.stem for path in directory.glob("*.csv")} == set(PUBLISHED)
    attribution = (directory / "README.md").read_text(encoding="utf-8")
    assert "CC BY 4.0" in attribution
    assert "arXiv:2603.08231" in attribution
    for name in PUBLISHED:
        assert f"`{name}.csv`" in attribution


def test_unknown_name_is_told_with_the_known_ones():
    with pytest.raises(UserError, match=r"'speaker_xvector'; known are gender_mhubert"):
        read_published("speaker_xvector")


@pytest.mark.parametrize("build", ["build_wheel", "build_sdist"])
def test_what_is_installed_holds_the_matrices_and_their_attribution(
    tmp_path, monkeypatch, build
):
    # What pyproject.toml asks for; ESPnet's own environment may hold an older one.
    pytest.importorskip("setuptools", minversion="77")
    from setuptools import build_meta

    source = tmp_path / "source"
    source.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        (source / name).write_bytes((ROOT / name).read_bytes())
    for path in (ROOT / "espnet2_cltm").rglob("*"):
        if path.is_file() and path.suffix in (".py", ".csv", ".md"):
            copy = source / path.relative_to(ROOT)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(path.read_bytes())
    monkeypatch.chdir(source)
    archive = tmp_path / getattr(build_meta, build)(str(tmp_path))
    if archive.suffix == ".whl":
        names = zipfile.ZipFile(archive).namelist()
    else:
        with tarfile.open(archive) as members:
            names = [name.partition("/")[2] for name in members.getnames()]
    shipped = {path.name for path in published_path("asr_mhubert").parent.iterdir()}
    assert {f"espnet2_cltm/data/published/{name}" for name in shipped} <= set(names)
    assert "espnet2_cltm/matrix/published.py" in names
