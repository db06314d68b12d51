"""The runner with an executor that makes no trainings but leaves their files."""

import json
import subprocess
import sys

import pytest

from espnet2_cltm.errors import UserError
from espnet2_cltm.experiment import runner
from espnet2_cltm.experiment.executors import WorkerCounts
from espnet2_cltm.experiment.plan import read_plan
from espnet2_cltm.experiment.runner import ProgressFile, make_all_runs
from tests.experiment.experiments import end_run, fail_run, planned_experiment


class OneRunALook:
    """Ends or fails one run whenever it is looked after."""

    name = "local"

    def __init__(self, directory, failing=(), dies_after=None, interrupt_after=None):
        self.directory = directory
        self.failing = failing
        self.dies_after = dies_after
        self.interrupt_after = interrupt_after
        self.made = []
        self.seen = []
        self.stopped = None

    def start(self, n_left):
        self.todo = [
            p
            for p in read_plan(self.directory.plan)
            if not self.directory.metrics(p.run.name).exists()
            and not self.directory.failure(p.run.name).exists()
        ]
        assert n_left == len(self.todo)

    def look_after(self, counts):
        if self.directory.progress.exists():
            self.seen.append(json.loads(self.directory.progress.read_text()))
        if len(self.made) == self.interrupt_after:
            raise KeyboardInterrupt
        if not self.todo or len(self.made) == self.dies_after:
            return WorkerCounts(0)
        planned = self.todo.pop(0)
        if planned.run.name in self.failing:
            fail_run(self.directory, planned.run.name, "its audio is missing")
        else:
            end_run(self.directory, planned)
        self.made.append(planned.run.name)
        return WorkerCounts(1)

    def why_ended(self):
        return "worker.log tells why: it is empty."

    def stop(self, is_over):
        self.stopped = is_over


@pytest.fixture(autouse=True)
def look_often(monkeypatch):
    monkeypatch.setattr(runner, "POLL_SECONDS", 0.0)
    monkeypatch.setattr("espnet2_cltm.experiment.runner.WRITE_SECONDS", 0.0)


def progress_of(directory):
    return json.loads(directory.progress.read_text())


def test_the_file_tells_how_far_the_runs_are(tmp_path):
    directory, names = planned_experiment(tmp_path)
    executor = OneRunALook(directory)
    make_all_runs(directory, executor)
    assert executor.made == names and executor.stopped is True
    assert [seen["done"] for seen in executor.seen] == list(range(1, len(names) + 1))
    for seen in executor.seen:
        assert seen["state"] == "running" and seen["planned"] == len(names)
        assert seen["left"] == len(names) - seen["done"]
    assert all(seen["seconds_to_go"] is not None for seen in executor.seen[1:])
    last = progress_of(directory)
    assert last["state"] == "done" and last["done"] == len(names) and last["left"] == 0


def test_failed_runs_are_made_again_unless_told_otherwise(tmp_path, capsys):
    directory, names = planned_experiment(tmp_path)
    with pytest.raises(UserError, match=f"2 of {len(names)} runs failed, {names[0]}"):
        make_all_runs(directory, OneRunALook(directory, failing=names[:2]))
    assert progress_of(directory)["state"] == "failed"
    assert capsys.readouterr().err.count("failed: its audio is missing") == 2

    left_alone = OneRunALook(directory)
    make_all_runs(directory, left_alone, retry_failed=False)
    assert left_alone.made == []
    output = capsys.readouterr().err
    assert f"{len(names) - 2} done before, 2 failed before." in output
    assert output.count("failed: its audio is missing") == 2
    assert progress_of(directory)["failed"] == 2

    again = OneRunALook(directory)
    make_all_runs(directory, again)
    assert again.made == names[:2]
    assert progress_of(directory)["done"] == len(names)


def test_runs_left_alone_do_not_hide_a_run_that_fails_now(tmp_path):
    directory, names = planned_experiment(tmp_path)
    fail_run(directory, names[0])
    executor = OneRunALook(directory, failing=[names[3]])
    with pytest.raises(UserError, match=f"2 of {len(names)} runs failed"):
        make_all_runs(directory, executor, retry_failed=False)
    assert executor.made == names[1:]


def test_a_handful_of_failures_is_shown_with_the_end_of_their_logs(tmp_path, capsys):
    directory, names = planned_experiment(tmp_path)
    for name in names:
        directory.run(name).mkdir(parents=True)
        (directory.run(name) / "train.log").write_text("a\nb\nc\nloss is nan\n")
    with pytest.raises(UserError):
        make_all_runs(directory, OneRunALook(directory, failing=names))
    output = capsys.readouterr().err
    assert output.count("    b\n    c\n    loss is nan\n") == 5
    assert "    a\n" not in output
    assert f"{len(names) - 5} more failed" in output
    assert str(directory.failure(names[0])) in output


def test_workers_that_end_early_are_an_error_that_says_how_to_go_on(tmp_path):
    directory, names = planned_experiment(tmp_path)
    executor = OneRunALook(directory, dies_after=3)
    with pytest.raises(UserError, match=rf"\({len(names) - 3} are left\), worker\.log"):
        make_all_runs(directory, executor)
    assert executor.stopped is False
    assert progress_of(directory)["state"] == "failed"


def test_an_interrupted_runner_says_so_in_the_file(tmp_path):
    directory, _ = planned_experiment(tmp_path)
    executor = OneRunALook(directory, interrupt_after=2)
    with pytest.raises(KeyboardInterrupt):
        make_all_runs(directory, executor)
    assert executor.stopped is False
    last = progress_of(directory)
    assert last["state"] == "interrupted" and last["running"] == 0


def test_what_is_being_made_is_named_where_no_run_ends(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(runner, "QUIET_SECONDS", 0.0)
    directory, names = planned_experiment(tmp_path)
    directory.run(names[0]).mkdir(parents=True)
    code = (
        "import sys; from pathlib import Path\n"
        "from espnet2_cltm.experiment.states import Claims\n"
        "claims = Claims(Path(sys.argv[1]))\n"
        "print(claims.take(sys.argv[2]), flush=True)"
        "\nsys.stdin.read()"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", code, directory.claims, names[0]],
        **{"stdin": subprocess.PIPE, "stdout": subprocess.PIPE},
    )
    assert holder.stdout.readline() == b"True\n"
    executor = OneRunALook(directory)
    executor.look_after = lambda counts: WorkerCounts(next(looks))
    looks = iter([1, 1, 0])
    with pytest.raises(UserError, match="ended before all"):
        make_all_runs(directory, executor)
    holder.communicate()
    assert f"{names[0]} (process {holder.pid})" in capsys.readouterr().err


def test_looks_that_take_long_are_rare(tmp_path, monkeypatch):
    clock, pauses = [0.0], []
    monkeypatch.setattr(runner.time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(runner.time, "sleep", pauses.append)
    look = runner.RunStates.look

    def slow_look(states, *args, **options):
        clock[0] += 2.0
        return look(states, *args, **options)

    monkeypatch.setattr(runner.RunStates, "look", slow_look)
    directory, names = planned_experiment(tmp_path)
    make_all_runs(directory, OneRunALook(directory))
    assert pauses == [18.0] * len(names)


def test_the_file_is_not_written_more_than_once_a_second(tmp_path, monkeypatch):
    monkeypatch.setattr("espnet2_cltm.experiment.runner.WRITE_SECONDS", 1.0)
    directory, names = planned_experiment(tmp_path)
    executor = OneRunALook(directory)
    make_all_runs(directory, executor)
    assert {seen["done"] for seen in executor.seen} == {1}
    assert progress_of(directory)["done"] == len(names)


def test_rate_and_time_to_go_follow_the_last_minutes(tmp_path, monkeypatch):
    clock = iter([0.0, 1000.0, 1100.0])
    monkeypatch.setattr(
        "espnet2_cltm.experiment.runner.time.monotonic", lambda: next(clock)
    )
    directory, _ = planned_experiment(tmp_path)
    report = ProgressFile(directory, "local")
    for n_done, expected in ((0, None), (10, 0.6), (30, 12.0)):
        counts = runner.RunCounts(100, n_done, 0, 1)
        report.update(counts, WorkerCounts(1))
        assert progress_of(directory)["runs_per_minute"] == expected
    assert progress_of(directory)["seconds_to_go"] == 350
