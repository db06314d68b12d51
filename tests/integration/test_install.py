"""tools/install.sh and path.sh: what they say, keep, repeat and never touch.

Python and pip are stood in for by a script that records how it is called, so that
nothing is fetched; where pip's own words matter, the real pip is used.
"""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]

# fmt: off
BARE_MACHINE = (
    "bash", "cat", "cp", "cut", "dirname", "du", "env", "find", "flock", "grep", "ls",
    "mkdir", "mv", "readlink", "rm", "sed", "sha256sum", "sleep", "tail", "tr", "uname",
)
# fmt: on

# Answers as Python would; FAILURE names the step of pip that fails, SLOW the one that
# never ends.
STAND_IN = """#!/bin/bash
echo "$*" >> "$CALLS"
case "$*" in
  "-I -S -c "*) echo VERSION ;;
  "-c import ensurepip, venv" | "-c import virtualenv" | "-m pip --python "*)
    [[ -z ${BARE:-} ]] ;;
  "-m venv -- "*)
    mkdir -p "$4/bin" "$4/lib/pythonVERSION/site-packages"
    cp "$0" "$4/bin/python"
    printf '#!%s/bin/python\\n' "$4" > "$4/bin/pytest" ;;
  "-m pip index versions "*) echo "Available versions: ${TORCH_BUILD:-2.13.0+cpu}" ;;
  "-m pip install "*)
    [[ -n ${SLOW:-} && $* == *"$SLOW"* ]] && exec sleep 600
    if [[ -n ${FAILURE:-} ]]; then
      while [[ $1 != --log ]]; do shift; done
      echo "$FAILURE" > "$2"
      exit 1
    fi ;;
  "-m pip list "*) echo torch==2.6.0 ;;
  "-I - "* | *missing_packages.py*) exec "$REAL_PYTHON" "$@" ;;
esac
"""


@dataclass
class Checkout:
    """A copy of what installing needs, in a directory with a space in its name."""

    root: Path
    calls: Path
    environment: dict[str, str] = field(default_factory=dict)

    def python(self, version: str, name: str = "python3") -> Path:
        path = self.root.parent / "bin" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(STAND_IN.replace("VERSION", version))
        path.chmod(0o755)
        return path

    def start(self, *arguments: str, **environment: str) -> subprocess.Popen:
        return subprocess.Popen(
            [self.root / "tools/install.sh", *arguments],
            env=self.environment | environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def install(
        self, *arguments: str, **environment: str
    ) -> subprocess.CompletedProcess:
        process = self.start(*arguments, **environment)
        out, err = process.communicate(timeout=120)
        return subprocess.CompletedProcess([], process.returncode, out, err)

    def calls_of(self, outcome: Callable[[], object]) -> list[str]:
        self.calls.write_text("")
        outcome()
        return [
            line
            for line in self.calls.read_text().splitlines()
            if not line.startswith("-I -S -c")
        ]


@pytest.fixture
def checkout(tmp_path: Path) -> Iterator[Checkout]:
    root = tmp_path / "a place" / "cltm"
    for name in ("tools", "path.sh", "pyproject.toml"):
        target = root / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, target)
        else:
            shutil.copy(ROOT / name, target)
    made = Checkout(root, tmp_path / "calls")
    kept = {
        name: value
        for name, value in os.environ.items()
        if name
        not in ("ESPNET_ROOT", "PYTHON", "CLTM_VENV", "TORCH_INDEX_URL", "PYTHONPATH")
    }
    made.python("3.11")
    made.environment = kept | {
        "PATH": f"{root.parent / 'bin'}:{os.environ['PATH']}",
        "CALLS": str(made.calls),
        "REAL_PYTHON": sys.executable,
    }
    # The machine that runs the tests may have less free than an installation needs.
    with_space(made, 100_000)
    yield made


def with_space(checkout: Checkout, megabytes: int) -> None:
    df = checkout.root.parent / "bin" / "df"
    df.write_text(f"#!/bin/bash\nprintf 'Avail\\n {megabytes}M\\n'\n")
    df.chmod(0o755)


def sentence(outcome: subprocess.CompletedProcess) -> str:
    """The one error sentence, after the lines that tell the steps."""
    assert outcome.returncode == 1, outcome
    lines = [line for line in outcome.stderr.splitlines() if line[0] != "["]
    assert len(lines) == 1, outcome.stderr
    assert lines[0].startswith("tools/install.sh: error: ")
    return lines[0].removeprefix("tools/install.sh: error: ")


def only_tools(checkout: Checkout) -> str:
    """A PATH with what a bare machine has, and no Python but the stand-in."""
    directory = checkout.root.parent / "bare"
    directory.mkdir()
    for name in BARE_MACHINE:
        found = shutil.which(name)
        assert found, name
        (directory / name).symlink_to(found)
    return f"{checkout.root.parent / 'bin'}:{directory}"


# ---------------------------------------------------------------- order and repetition


def test_torch_is_installed_first_and_alone_and_espnet_without_dependencies(checkout):
    calls = checkout.calls_of(lambda: checkout.install())
    installs = [call for call in calls if call.startswith("-m pip install")]
    assert len(installs) == 3
    assert "requirements.txt torch" in installs[0]
    assert "--requirement" not in installs[0]
    assert installs[1].endswith("tools/requirements.txt")
    assert "--no-deps" in installs[2]
    assert installs[2].endswith("tools/requirements-espnet.txt")
    assert [call.split("/")[-1] for call in calls[-2:]] == [
        "fit_torchaudio.py",
        "check_environment.py",
    ]


def test_a_complete_environment_is_left_alone(checkout):
    assert checkout.install().returncode == 0
    again = []
    assert checkout.calls_of(lambda: again.append(checkout.install())) == []
    assert (again[0].returncode, again[0].stdout, again[0].stderr) == (0, "", "")


def test_the_tools_of_the_tests_are_added_to_a_complete_environment(checkout):
    checkout.install()
    calls = checkout.calls_of(lambda: checkout.install("--with_tests", "true"))
    assert len(calls) == 1
    assert calls[0].endswith("tools/requirements-test.txt")
    assert checkout.calls_of(lambda: checkout.install("--with_tests", "true")) == []
    assert checkout.calls_of(lambda: checkout.install()) == []


def test_changed_requirements_are_installed_into_the_same_environment(checkout):
    checkout.install()
    with (checkout.root / "tools/requirements.txt").open("a") as requirements:
        requirements.write("another_package\n")
    calls = checkout.calls_of(lambda: checkout.install())
    assert not any(call.startswith("-m venv") for call in calls)
    assert any(call.endswith("tools/requirements.txt") for call in calls)


def test_another_python_asked_for_makes_the_environment_anew(checkout):
    checkout.install()
    other = checkout.python("3.12", "another-python")
    calls = checkout.calls_of(lambda: checkout.install("--python", str(other)))
    assert any(call.startswith("-m venv") for call in calls)
    assert (checkout.root / ".venv/.cltm/venv").read_text().startswith("3.12 ")


def test_a_python_that_went_away_makes_the_environment_anew(checkout):
    checkout.install()
    (checkout.root / ".venv/bin/python").write_text("#!/nonexistent\n")
    calls = checkout.calls_of(lambda: checkout.install())
    assert any(call.startswith("-m venv") for call in calls)


def test_a_moved_repository_is_followed_without_installing(checkout):
    checkout.install()
    old = checkout.root
    checkout.root = old.rename(old.with_name("moved here"))
    calls = checkout.calls_of(lambda: checkout.install())
    assert not any("pip" in call or "venv --" in call for call in calls)
    text = (checkout.root / ".venv/bin/pytest").read_text()
    assert text == f"#!{checkout.root}/.venv/bin/python\n"


@pytest.mark.parametrize(
    "at", ["requirements.txt torch", "--requirement", "--no-deps", "-test.txt"]
)
def test_a_killed_installation_goes_on_where_it_was(checkout, at):
    arguments = ("--with_tests", "true")
    process = checkout.start(*arguments, SLOW=at)
    deadline = time.monotonic() + 60
    while not (checkout.calls.exists() and at in checkout.calls.read_text()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    packages = checkout.root / ".venv/lib/python3.11/site-packages"
    half = packages / "half-1.0.dist-info"
    half.mkdir()
    (half / "METADATA").touch()
    whole = packages / "whole-1.0.dist-info"
    whole.mkdir()
    (whole / "INSTALLER").touch()

    outcome = []
    calls = checkout.calls_of(lambda: outcome.append(checkout.install(*arguments)))
    assert outcome[0].returncode == 0
    assert not any(call.startswith("-m venv") for call in calls)
    assert (checkout.root / ".venv/.cltm/tests").exists()
    assert whole.exists()
    # Once the packages are complete, only the tools of the tests are left to do.
    assert half.exists() == (at == "-test.txt")
    assert (len(calls) == 1) == (at == "-test.txt")
    assert checkout.calls_of(lambda: checkout.install(*arguments)) == []


def test_killed_while_making_the_environment_it_is_made_anew(checkout):
    (checkout.root / ".venv/.cltm").mkdir(parents=True)
    (checkout.root / ".venv/bin").mkdir()
    (checkout.root / ".venv/bin/leftover").touch()
    assert checkout.install().returncode == 0
    assert not (checkout.root / ".venv/bin/leftover").exists()


def test_two_installations_at_once_take_turns(checkout):
    checkout.python("3.11")
    first = checkout.start(SLOW="--no-deps")
    while not (checkout.calls.exists() and "--no-deps" in checkout.calls.read_text()):
        time.sleep(0.05)
    second = checkout.start()
    assert second.stderr.readline() == (
        f"tools/install.sh: another one is at work on {checkout.root}/.venv: "
        "waiting for it.\n"
    )
    os.killpg(first.pid, signal.SIGKILL)
    first.communicate()
    second.communicate(timeout=60)
    assert second.returncode == 0


# ---------------------------------------------------------------- sentences


def test_no_python_at_all_is_said(checkout):
    checkout.python("3.11").unlink()
    outcome = checkout.install(PATH=only_tools(checkout))
    assert sentence(outcome).startswith(
        "no suitable Python was found. Python 3.10 to 3.13 is needed"
    )


@pytest.mark.parametrize("version", ["3.9", "3.14"])
def test_a_python_too_old_or_too_new_is_named(checkout, version):
    python = checkout.python(version)
    outcome = checkout.install(PATH=only_tools(checkout))
    assert f"python3 is Python {version}. Python 3.10 to 3.13" in sentence(outcome)
    for outcome in (
        checkout.install("--python", str(python)),
        checkout.install(PYTHON=str(python)),
    ):
        assert f"{python}, is Python {version}. Python 3.10" in sentence(outcome)
    assert not (checkout.root / ".venv").exists()


def test_a_suitable_python_is_found_beside_an_unsuitable_one(checkout):
    checkout.python("3.14")
    checkout.python("3.12", "python3.12")
    assert checkout.install(PATH=only_tools(checkout)).returncode == 0
    assert (checkout.root / ".venv/.cltm/venv").read_text().startswith("3.12 ")


def test_a_python_that_is_none_is_named(checkout):
    assert "the Python asked for, nowhere, is missing or does not run" in sentence(
        checkout.install("--python", "nowhere")
    )


def test_a_python_without_venv_names_the_package_to_install(checkout):
    outcome = checkout.install(BARE="1")
    assert "sudo apt install python3.11-venv (or python3-venv)" in sentence(outcome)
    assert checkout.install().returncode == 0


def test_an_environment_of_somebody_else_is_not_touched(checkout):
    (checkout.root / ".venv/bin").mkdir(parents=True)
    (checkout.root / ".venv/bin/mine").touch()
    assert "tools/install.sh did not make it" in sentence(checkout.install())
    assert (checkout.root / ".venv/bin/mine").exists()


@pytest.mark.parametrize(
    ("free", "build", "said"),
    [
        (50, "2.13.0+cpu", "cltm needs about 2.5 GB, {root} has 50 MB free"),
        (
            4096,
            "2.13.0, 2.12.1",
            "cltm with torch's CUDA build needs about 8.0 GB, {root} has 4.0 GB free",
        ),
        (4000, "2.13.0+cpu, 2.13.0", None),
    ],
)
def test_a_disk_too_small_is_seen_before_anything_is_fetched(
    checkout, free, build, said
):
    with_space(checkout, free)
    outcome = []
    calls = checkout.calls_of(
        lambda: outcome.append(checkout.install(TORCH_BUILD=build))
    )
    if said is None:
        assert outcome[0].returncode == 0
        return
    assert said.format(root=checkout.root) in sentence(outcome[0])
    assert not any(call.startswith("-m pip install") for call in calls)


@pytest.mark.parametrize(
    ("log", "said"),
    [
        ("OSError: [Errno 28] No space left on device", "the disk filled up while"),
        ("OSError: [Errno 13] Permission denied: '/x'", "is not writable for you"),
        (
            "2026-01-01T00:00:00,000 ERROR: No matching distribution found for "
            "torch==2.13.0",
            "pip finds no build of torch==2.13.0 for this machine (Linux ",
        ),
        ("2026-01-01T00:00:00,000 ERROR: Odd", "torch cannot be installed: Odd (see "),
    ],
)
def test_what_pip_reports_becomes_one_sentence(checkout, log, said):
    assert said in sentence(checkout.install(FAILURE=log))
    assert not (checkout.root / ".venv/.cltm/complete").exists()


def test_a_network_that_is_missing_is_said(checkout):
    """The real pip, with an index where nobody listens."""
    environment = {
        name: value
        for name, value in checkout.environment.items()
        if not name.startswith("PIP_")
    } | {
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_INDEX_URL": "http://127.0.0.1:9/simple",
        "PIP_RETRIES": "0",
    }
    checkout.environment = environment
    outcome = checkout.install("--python", sys.executable)
    assert sentence(outcome).startswith(
        "the network cannot be reached, torch cannot be fetched: check the connection"
    )


# ---------------------------------------------------------------- ESPnet's environment


def espnet_with(checkout: Checkout, tmp_path: Path, version: str = "3.11") -> Path:
    """An ESPnet whose environment is the stand-in, activated as ESPnet does."""
    espnet = tmp_path / "their espnet"
    (espnet / "tools").mkdir(parents=True)
    binaries = espnet / "tools/venv/bin"
    binaries.mkdir(parents=True)
    checkout.python(version).rename(binaries / "python3")
    (espnet / "tools/activate_python.sh").write_text(
        'unused=$AN_UNSET_VARIABLE\nfalse\nexport PATH="${ESPNET_ROOT}/tools/venv/bin'
        ':${PATH}"\n'
    )
    return espnet


def test_only_what_espnets_environment_lacks_is_added(checkout, tmp_path):
    espnet = espnet_with(checkout, tmp_path)
    with (checkout.root / "pyproject.toml").open("r+") as project:
        text = project.read().replace('"torch>=', '"a-missing-package>=1.5", "torch>=')
        project.seek(0)
        project.write(text)
    outcome = []
    calls = checkout.calls_of(
        lambda: outcome.append(checkout.install(ESPNET_ROOT=str(espnet)))
    )
    assert outcome[0].returncode == 0, outcome[0].stderr
    assert "adding to ESPnet's environment: a-missing-package>=1.5\n" in (
        outcome[0].stderr
    )
    installs = [call for call in calls if call.startswith("-m pip install")]
    assert len(installs) == 1
    state = checkout.root / ".venv/.cltm"
    assert (state / "espnet-lacks.txt").read_text() == "a-missing-package>=1.5\n"
    # What is there is held where it is.
    assert (state / "espnet-has.txt").read_text() == "torch==2.6.0\n"
    assert f"--constraint {state}/espnet-has.txt" in installs[0]
    assert not (checkout.root / ".venv/bin").exists()
    again = checkout.calls_of(lambda: checkout.install(ESPNET_ROOT=str(espnet)))
    assert again == []


def test_a_package_too_old_in_espnets_environment_is_named(checkout, tmp_path):
    espnet = espnet_with(checkout, tmp_path)
    with (checkout.root / "pyproject.toml").open("r+") as project:
        text = project.read().replace('"tqdm>=', '"tqdm>=1')
        project.seek(0)
        project.write(text)
    outcome = checkout.install(ESPNET_ROOT=str(espnet))
    assert outcome.returncode == 1
    assert "ESPnet's environment has tqdm 4" in outcome.stderr
    assert "change it there, or unset ESPNET_ROOT" in outcome.stderr


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (None, "is not a directory: set it to an ESPnet checkout"),
        ("empty", "has no tools/activate_python.sh: finish ESPnet's installation"),
        ("3.9", "has Python 3.9, cltm needs 3.10 to 3.13"),
    ],
)
def test_a_wrong_espnet_root_is_said(checkout, tmp_path, make, said):
    if make == "empty":
        espnet = tmp_path / "empty"
        espnet.mkdir()
    elif make is None:
        espnet = tmp_path / "nowhere"
    else:
        espnet = espnet_with(checkout, tmp_path, make)
    outcome = checkout.install(ESPNET_ROOT=str(espnet))
    assert outcome.returncode == 1
    assert len(outcome.stderr.splitlines()) == 1
    assert f"ESPNET_ROOT={espnet} {said}" in outcome.stderr


# ---------------------------------------------------------------- path.sh


def source(checkout: Checkout, script: Path, **environment: str):
    return subprocess.run(
        [
            "bash",
            "-c",
            'set -euo pipefail; . "$1"; printf "%s\\n" "$(command -v python)" '
            '"${PYTHONPATH}" "${LC_ALL}" "${OMP_NUM_THREADS}" '
            '"${ONEDNN_PRIMITIVE_CACHE_CAPACITY}"; [[ $- == *e*u* ]]',
            "bash",
            script,
        ],
        cwd="/",
        env=checkout.environment | environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_path_sh_installs_and_activates_from_any_directory(checkout):
    recipe = checkout.root / "egs2/cltm/gender1"
    recipe.mkdir(parents=True)
    (recipe / "path.sh").symlink_to("../../../path.sh")
    for script in (checkout.root / "path.sh", recipe / "path.sh"):
        outcome = source(checkout, script, PYTHONPATH="/elsewhere")
        assert outcome.returncode == 0, outcome.stderr
        assert outcome.stdout.splitlines() == [
            str(checkout.root / ".venv/bin/python"),
            f"{checkout.root}:/elsewhere",
            "C",
            "1",
            "8192",
        ]


def test_path_sh_uses_espnets_environment(checkout, tmp_path):
    espnet = espnet_with(checkout, tmp_path)
    outcome = source(checkout, checkout.root / "path.sh", ESPNET_ROOT=str(espnet))
    assert outcome.returncode == 0, outcome.stderr
    assert outcome.stdout.splitlines()[1] == str(checkout.root)
    found = subprocess.run(
        ["bash", "-c", '. "$1"; command -v python3', "bash", checkout.root / "path.sh"],
        env=checkout.environment | {"ESPNET_ROOT": str(espnet)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout.strip() == str(espnet / "tools/venv/bin/python3")


def test_path_sh_stops_the_script_where_installing_fails(checkout):
    outcome = source(checkout, checkout.root / "path.sh", PYTHON="nowhere")
    assert outcome.returncode == 1
    assert outcome.stdout == ""
    assert "is missing or does not run" in outcome.stderr


def test_path_sh_keeps_the_callers_settings_from_python_and_the_shell(checkout):
    settings = {
        "PYTHONHOME": "/nowhere",
        "PYTHONSTARTUP": "/nowhere.py",
        "PYTHONWARNINGS": "error",
        "NUMBA_NUM_THREADS": "",
        "TQDM_MININTERVAL": "often",
        "OMP_NUM_THREADS": "",
        "BASH_ENV": "/nowhere.sh",
        "CDPATH": "/",
        "MPLBACKEND": "TkAgg",
        "WORLD_SIZE": "4",
    }
    found = subprocess.run(
        ["bash", "-c", '. "$1"; env', "bash", checkout.root / "path.sh"],
        env=checkout.environment | settings,
        capture_output=True,
        text=True,
        check=True,
    )
    left = [x for x in found.stdout.splitlines() if x.split("=")[0] in settings]
    assert left == ["OMP_NUM_THREADS=1"]


def test_an_environment_that_only_its_owner_may_change(checkout):
    """Complete, it is used without writing; else one sentence says whose it is."""
    if os.geteuid() == 0:
        command = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
        for path in (checkout.root, *checkout.root.parents):
            if path.owner() == "root" and path != Path("/"):
                path.chmod(path.stat().st_mode | 0o055)
    else:
        command = []
    assert checkout.install().returncode == 0
    state = checkout.root / ".venv/.cltm"
    places = [checkout.root, *checkout.root.rglob("*")]
    before = {path: path.stat().st_mtime_ns for path in places}
    for path in places:
        if not path.is_symlink():
            path.chmod(path.stat().st_mode & 0o555 | 0o444)

    def install():
        return subprocess.run(
            [*command, checkout.root / "tools/install.sh"],
            env=checkout.environment | {"CALLS": os.devnull},
            capture_output=True,
            text=True,
            check=False,
        )

    try:
        used = install()
        assert (used.returncode, used.stdout, used.stderr) == (0, "", "")
        assert {path: path.stat().st_mtime_ns for path in before} == before
        state.chmod(0o755)
        (state / "complete").unlink()
        state.chmod(0o555)
        said = sentence(install())
        assert f"{checkout.root}/.venv belongs to {state.owner()} and is not" in said
    finally:
        for path in places:
            if path.exists() and not path.is_symlink():
                path.chmod(path.stat().st_mode | 0o700)
