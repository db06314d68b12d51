"""Workers as processes that only say what they were given."""

import os
import signal
import sys
import time
from pathlib import Path

import pytest

from espnet2_cltm.bin import run_plan, run_worker
from espnet2_cltm.experiment import executors
from espnet2_cltm.experiment.executors import LocalExecutor, device_of, share_of_cores
from espnet2_cltm.experiment.layout import ExperimentDir
from espnet2_cltm.experiment.states import RunCounts

COUNTS = RunCounts(9, 0, 0, 0)


def test_workers_are_spread_evenly_over_the_given_gpus(monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert [device_of(i, 2) for i in range(4)] == ["0", "1", "0", "1"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5,GPU-abc,7")
    assert [device_of(i, 2) for i in range(3)] == ["5", "GPU-abc", "5"]
    assert [device_of(i, 4) for i in range(4)] == ["5", "GPU-abc", "7", "5"]


@pytest.mark.parametrize("n_workers", [1, 2, 3, 5, 8])
def test_shares_of_cores_are_disjoint_and_use_all(monkeypatch, n_workers):
    cores = {2, 3, 5, 7, 11, 13, 17, 19}
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: cores)
    shares = [share_of_cores(i, n_workers) for i in range(n_workers)]
    assert set.union(*shares) == cores
    assert sum(map(len, shares)) == len(cores)
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_more_workers_than_cores_share_all(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1})
    assert [share_of_cores(i, 3) for i in range(3)] == [{0, 1}] * 3


def said_by(executor):
    """Wait for the workers and give what each printed."""
    while executor.look_after(COUNTS).running:
        time.sleep(0.02)
    return sorted(w.log.read_text() for w in executor._workers)


def test_each_worker_sees_one_gpu_and_knows_its_runner(tmp_path, monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    script = "import os, sys; print(os.environ['CUDA_VISIBLE_DEVICES'], *sys.argv[1:])"
    command = (sys.executable, "-c", script)
    executor = LocalExecutor(ExperimentDir(tmp_path), 4, 2, ("--flag", "x y"), command)
    executor.start(9)
    options = f"--exp {tmp_path} --ngpu 1 --flag x y --parent {os.getpid()}\n"
    assert said_by(executor) == [f"{gpu} {options}" for gpu in "0011"]
    executor.stop(is_over=True)


def test_no_more_workers_than_runs_are_started(tmp_path):
    executor = LocalExecutor(
        ExperimentDir(tmp_path), 4, command=(sys.executable, "-c", "print(1)")
    )
    executor.start(2)
    assert said_by(executor) == ["1\n", "1\n"]
    executor.stop(is_over=True)


def test_the_last_line_of_a_dead_worker_tells_why(tmp_path, capsys):
    script = "import sys; sys.exit('first\\nno such encoder.')"
    executor = LocalExecutor(
        ExperimentDir(tmp_path), 1, command=(sys.executable, "-c", script)
    )
    executor.start(1)
    said_by(executor)
    assert executor.why_ended().endswith(".log tells why: no such encoder.")
    assert "A worker ended with status 1" in capsys.readouterr().err
    executor.stop(is_over=False)


def test_a_worker_that_dies_after_runs_went_well_is_replaced(tmp_path):
    script = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    executor = LocalExecutor(
        ExperimentDir(tmp_path), 1, command=(sys.executable, "-c", script)
    )
    executor.start(9)
    for n_done, n_started in ((1, 2), (3, 3), (3, 3), (4, 3)):
        executor._workers[0].process.wait(60)
        executor.look_after(RunCounts(9, n_done, 0, 0))
        assert len(list(ExperimentDir(tmp_path).logs.iterdir())) == n_started
    executor.stop(is_over=False)


@pytest.mark.parametrize(
    ("code", "n_done"),
    [
        ("raise SystemExit(1)", 5),  # at once: four of nine runs were left
        ("import os, signal; os.kill(os.getpid(), signal.SIGTERM)", 6),
        ("raise SystemExit(130)", 6),
    ],
)
def test_a_worker_that_dies_at_once_or_as_asked_is_not_replaced(tmp_path, code, n_done):
    executor = LocalExecutor(
        ExperimentDir(tmp_path), 1, command=(sys.executable, "-c", code)
    )
    executor.start(4)
    executor._workers[0].process.wait(60)
    executor.look_after(RunCounts(9, n_done, 0, 0))
    assert len(list(ExperimentDir(tmp_path).logs.iterdir())) == 1


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (("--nj", "3"), 3),
        ((), len(os.sched_getaffinity(0))),
        (("--ngpu", "4"), 4),
        (("--ngpu", "4", "--jobs_per_gpu", "3"), 12),
        (("--ngpu", "4", "--jobs_per_gpu", "3", "--nj", "5"), 5),
    ],
)
def test_there_are_as_many_workers_as_gpus_times_jobs(monkeypatch, options, expected):
    asked = []
    monkeypatch.setattr(
        run_plan, "LocalExecutor", lambda directory, nj, *rest: asked.append(nj)
    )
    monkeypatch.setattr(run_plan, "make_all_runs", lambda *args, **kwargs: None)
    monkeypatch.setattr(run_plan, "check_gpus", lambda ngpu: None)
    run_plan.main(["--exp", "exp/none", *options])
    assert asked == [expected]


def test_workers_are_told_what_the_runner_was_told(tmp_path):
    cmd = [
        *("--exp", str(tmp_path), "--audio_cache", "1", "--keep_models", "single"),
        *("--layers", "true"),
    ]
    executor = run_plan.make_executor(
        run_plan.get_parser().parse_args(cmd), ExperimentDir(tmp_path)
    )
    words = executor._command[executor._command.index("--exp") :]
    args = run_worker.get_parser().parse_args(words)
    assert (args.audio_cache, args.keep_models, args.layers) == (1, "single", True)
    assert (args.exp, args.ngpu, args.parent) == (tmp_path, 0, os.getpid())


def test_a_worker_that_does_not_react_is_named_and_killed(
    tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr(executors, "STOP_SECONDS", 0.2)
    script = "import os, signal; os.kill(os.getpid(), signal.SIGSTOP)"
    executor = LocalExecutor(
        ExperimentDir(tmp_path), 1, command=(sys.executable, "-c", script)
    )
    executor.start(1)
    pid = executor._workers[0].process.pid
    while Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "T":
        time.sleep(0.02)
    executor.stop(is_over=False)
    assert executor._workers[0].process.wait(10) == -signal.SIGKILL
    assert f"A worker (process {pid}) does not react" in capsys.readouterr().err


def test_stopped_workers_are_gone(tmp_path):
    executor = LocalExecutor(
        ExperimentDir(tmp_path),
        2,
        command=(sys.executable, "-c", "import time; time.sleep(60)"),
    )
    executor.start(2)
    assert executor.look_after(COUNTS).running == 2
    executor.stop(is_over=False)
    assert executor.look_after(COUNTS).running == 0
