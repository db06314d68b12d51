"""How commands end: interrupted at any instant, refused by the system."""

import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from espnet2_cltm.bin.command_line import run_command

ROOT = Path(__file__).parents[2]
SAID = ": interrupted; what is finished is kept, and the same command continues"
IMPORTING = """
import time
from espnet2_cltm.bin import interrupts
print("ready", flush=True)
time.sleep(60)
"""
WORKING = """
import time
from espnet2_cltm.bin.command_line import run_command
def work():
    print("ready", flush=True)
    {}
run_command(work)
"""
CHANGED = "try: time.sleep(60)\n    except BaseException: raise RuntimeError('<empty>')"
IGNORED = "type('A', (), {'__del__': lambda _: time.sleep(60)})(); time.sleep(60)"
STEP = '. "$0/tools/signals.sh"; run "$1" "$2"; echo not reached'

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@pytest.fixture
def script(tmp_path):
    path = tmp_path / "local" / "step.py"
    path.parent.mkdir()
    return path


def start(*command, **settings):
    return subprocess.Popen(
        [*map(str, command)],
        # Tests may be run where signals are ignored, by nohup for one.
        preexec_fn=lambda: [signal.signal(n, signal.SIG_DFL) for n in SIGNALS],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        **settings,
    )


@pytest.mark.slow
@pytest.mark.parametrize("number", SIGNALS)
@pytest.mark.parametrize("code", [IMPORTING, "time.sleep(60)", CHANGED, IGNORED])
def test_an_interrupt_at_any_instant_ends_in_one_sentence(script, code, number):
    script.write_text(code if code == IMPORTING else WORKING.format(code))
    process = start(sys.executable, script)
    assert process.stdout.readline() == "ready\n"
    time.sleep(0.05)
    process.send_signal(number)
    _, said = process.communicate(timeout=20)
    assert process.returncode == 130
    assert said.startswith(f"step.py{SAID}") and said.count("\n") == 1


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("to_all", [False, True])
@pytest.mark.parametrize("code", ["", IMPORTING, WORKING.format("time.sleep(60)")])
def test_a_recipe_ends_with_its_step(script, code, to_all, number):
    """Without handlers of its own, a step is one that is just starting."""
    script.write_text(code or "import time; print('ready', flush=True); time.sleep(60)")
    process = start("bash", "-euc", STEP, ROOT, sys.executable, script)
    assert process.stdout.readline() == "ready\n"
    (os.killpg if to_all else os.kill)(process.pid, number)
    out, said = process.communicate(timeout=20)
    assert process.returncode == 128 + number
    assert SAID in said and said.count("\n") == 1 and out == ""
    assert not subprocess.run(["pgrep", "-s", str(process.pid)], check=False).stdout


@pytest.mark.slow
def test_what_lies_in_the_working_directory_or_pythonpath_is_not_imported(tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    for place in (tmp_path, elsewhere):
        for name in ("yaml", "random", "numpy", "argparse"):
            (place / f"{name}.py").write_text("raise SystemExit('imported')")
    done = subprocess.run(
        [sys.executable, "-m", "espnet2_cltm.bin.build_matrix", "--help"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": f"{ROOT}:{elsewhere}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (
            OSError(errno.ENOSPC, "No space left", "x/y"),
            "for x/y (No space left): free",
        ),
        (OSError(errno.EMFILE, "Too many open files"), "(Too many open files): allow"),
        (MemoryError(), "(Cannot allocate memory): lower --nj"),
        (
            RuntimeError("can't start new thread"),
            "(Resource temporarily unavailable): allow more",
        ),
    ],
)
def test_what_the_system_refuses_is_a_sentence(capsys, error, said):
    def work():
        raise error

    with pytest.raises(SystemExit) as raised:
        run_command(work)
    assert raised.value.code == 1
    assert f"the system refuses {said}" in capsys.readouterr().err


def test_a_defect_keeps_its_trace():
    def work():
        raise OSError(errno.EINVAL, "Invalid argument")

    with pytest.raises(OSError, match="Invalid"):
        run_command(work)
