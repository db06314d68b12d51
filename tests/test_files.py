import os
import subprocess
import sys
from pathlib import Path

import pytest

from espnet2_cltm.errors import UserError
from espnet2_cltm.files import read_text, replacing, shipped, write_text


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 64 kB."""
    place = tmp_path / "small"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(place)]
    try:
        subprocess.run(mount, check=True, capture_output=True, text=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"a small file system can't be mounted here: {error}")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def full(path: Path) -> str:
    return f"{path} cannot be written (No space left on device): "


def test_a_full_disk_leaves_the_old_file_and_nothing_else(small_disk):
    path = small_disk / "plan.tsv"
    write_text(path, "old\n")
    with pytest.raises(UserError) as error:
        write_text(path, "x" * 100_000)
    assert str(error.value).startswith(full(path))
    assert path.read_text() == "old\n"
    assert os.listdir(small_disk) == ["plan.tsv"]


def test_a_full_disk_is_told_however_the_block_writes(small_disk):
    path = small_disk / "plan.tsv"
    with (
        pytest.raises(UserError) as error,
        replacing(path) as temporary,
        temporary.open("w") as lines,
    ):
        for number in range(100_000):
            lines.write(f"{number}\n")
    assert str(error.value).startswith(full(path))
    assert os.listdir(small_disk) == []


def test_a_failing_block_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "plan.tsv"
    path.write_text("old\n")
    with pytest.raises(ZeroDivisionError), replacing(path) as temporary:
        temporary.write_text("new\n")
        raise ZeroDivisionError
    assert path.read_text() == "old\n"
    assert os.listdir(tmp_path) == ["plan.tsv"]


def test_the_file_does_not_exist_before_the_block_ends(tmp_path):
    path = tmp_path / "made/on/the/way/plan.tsv"
    with replacing(path) as temporary:
        temporary.write_text("new\n")
        assert not path.exists()
        assert temporary.parent == path.parent
        assert temporary.suffix == path.suffix
    assert path.read_text() == "new\n"


def test_a_writer_that_is_killed_leaves_no_half_file(tmp_path):
    path = tmp_path / "plan.tsv"
    path.write_text("old\n")
    program = (
        "import os, signal, sys\n"
        "from espnet2_cltm.files import replacing\n"
        "with replacing(sys.argv[1]) as temporary, temporary.open('w') as lines:\n"
        "    lines.write('half')\n"
        "    lines.flush()\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    root = Path(__file__).parents[1]
    environment = os.environ | {"PYTHONPATH": str(root)}
    done = subprocess.run(
        [sys.executable, "-c", program, str(path)], env=environment, check=False
    )
    assert done.returncode == -9
    assert path.read_text() == "old\n"


def test_permissions_follow_the_umask(tmp_path):
    write_text(tmp_path / "ours", "")
    (tmp_path / "plain").write_text("")
    assert (tmp_path / "ours").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_a_directory_that_can_not_be_made_is_told(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UserError) as error:
        write_text(tmp_path / "file/plan.tsv", "")
    assert f"{tmp_path}/file/plan.tsv cannot be written (File exists)" in str(
        error.value
    )


def test_a_directory_in_the_place_of_the_file_is_told(tmp_path):
    (tmp_path / "plan.tsv").mkdir()
    with pytest.raises(UserError) as error:
        write_text(tmp_path / "plan.tsv", "")
    assert f"{tmp_path}/plan.tsv cannot be written (Is a directory)" in str(error.value)
    assert os.listdir(tmp_path) == ["plan.tsv"]


def test_what_killed_writers_left_goes_with_the_next_write(tmp_path):
    gone = subprocess.Popen(["true"])
    gone.wait()
    host = os.uname().nodename
    left = tmp_path / f".plan.tsv.{host}.{gone.pid}.0f.tmp.tsv"
    others = [
        tmp_path / f".plan.tsv.{host}.{os.getpid()}.0f.tmp.tsv",  # lives
        tmp_path / f".plan.tsv.another-machine.{gone.pid}.0f.tmp.tsv",
        tmp_path / f".plans.tsv.{host}.{gone.pid}.0f.tmp.tsv",
    ]
    for path in (left, *others):
        path.touch()
    write_text(tmp_path / "plan.tsv", "")
    assert set(tmp_path.iterdir()) == {tmp_path / "plan.tsv", *others}


def test_files_of_conf_are_found_anywhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert "languages" in read_text(shipped("conf/demo.yaml"), "")
    assert shipped("other.yaml") == Path("other.yaml")
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf/demo.yaml").write_text("mine")
    assert read_text(shipped("conf/demo.yaml"), "") == "mine"
