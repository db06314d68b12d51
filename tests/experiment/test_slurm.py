"""The executor slurm with commands that only remember, and conf/slurm.yaml.

tests/integration/test_slurm.py has a real Slurm.
"""

import os
import pickle
import pwd
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from espnet2_cltm.errors import UserError
from espnet2_cltm.experiment.layout import ExperimentDir
from espnet2_cltm.experiment.slurm import SlurmExecutor, WorkerJob, job_name
from espnet2_cltm.experiment.slurm_settings import (
    SlurmSettings,
    check_slurm,
    read_slurm_settings,
)
from espnet2_cltm.experiment.states import RunCounts

ROOT = Path(__file__).parents[2]
CONFIG = Path("conf/my_slurm.yaml")
COMMANDS = {
    # Jobs stay in the queue file until a test takes them out.
    "sbatch": """
        [ ! -e "$FAKE/sbatch_error" ] || { cat "$FAKE/sbatch_error" >&2; exit 1; }
        cp -- "$1" "$FAKE/script.$(ls "$FAKE" | grep -c script)"
        n=$(sed -n 's/^#SBATCH --array=0-\\([0-9]*\\).*/\\1/p' "$1")
        env | sed -n 's/^\\(S[A-Z]*_[A-Z]*\\)=.*/\\1/p' >>"$FAKE/environment"
        id=$((100 + $(ls "$FAKE" | grep -c script)))
        for k in $(seq 0 "${n:-0}"); do
            echo "${id}_$k|RUNNING|None" >>"$FAKE/queue"
        done
        echo "Submitted batch job $id" """,
    "squeue": """
        [ ! -e "$FAKE/squeue_error" ] || { cat "$FAKE/squeue_error" >&2; exit 1; }
        [ ! -e "$FAKE/squeue_warning" ] || cat "$FAKE/squeue_warning" >&2
        env | sed -n 's/^\\(S[A-Z]*_[A-Z]*\\)=.*/\\1/p' >>"$FAKE/environment"
        echo "$*" >>"$FAKE/squeue_calls"; cat "$FAKE/queue" """,
    "scancel": 'echo "$*" >>"$FAKE/scancel_calls"',
    "sinfo": "echo cpu; echo gpu",
    "srun": "exit 1",
    "scontrol": "exit 1",
}


@pytest.fixture
def slurm(tmp_path, monkeypatch):
    """Put the commands first in the path; give the directory of what they remember."""
    state, bin_dir = tmp_path / "state", tmp_path / "bin"
    state.mkdir()
    bin_dir.mkdir()
    (state / "queue").touch()
    for name, script in COMMANDS.items():
        (bin_dir / name).write_text(f"#!/bin/sh\n{script}\n")
        (bin_dir / name).chmod(0o755)
    monkeypatch.setenv("FAKE", str(state))
    monkeypatch.setenv("PATH", f"{bin_dir}:{os.environ['PATH']}")
    return state


def executor_of(root, **settings):
    settings = SlurmSettings(**{"time": 30, "jobs": 3, "poll_seconds": 0, **settings})
    return SlurmExecutor(ExperimentDir(root / "exp"), settings, CONFIG)


def scripts(slurm):
    return [path.read_text() for path in sorted(slurm.glob("script.*"))]


def test_a_job_asks_for_what_the_configuration_says(slurm, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", "/shared/my code")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("MY_DATA", "/data")
    executor_of(
        tmp_path,
        **{"partition": "gpu", "account": "speech", "gpus": 1, "cpus": 2},
        **{"memory": "8G", "environment": ["MY_DATA"], "setup": ["module load cuda"]},
        sbatch={"constraint": "a100"},
    ).start(10)
    (script,) = scripts(slurm)
    for option in (
        *("partition=gpu", "account=speech", "gpus-per-node=1", "cpus-per-task=2"),
        *("mem=8G", "time=30", "constraint=a100", "signal=USR2@60"),
        *("array=0-2%3", "open-mode=append"),
    ):
        assert f"#SBATCH --{option}\n" in script, option
    assert f"#SBATCH --job-name={job_name(tmp_path / 'exp')}\n" in script
    place = script.index
    assert place("module load cuda\n") < place("export PYTHONPATH='/shared/my code'\n")
    assert place("export OMP_NUM_THREADS=1\n") < place(sys.executable)
    assert place("export MY_DATA=/data\n") < place("srun ")


@pytest.mark.parametrize(
    ("n_left", "workers", "expected"), [(10, 1, 3), (2, 1, 2), (1, 1, 1), (5, 4, 2)]
)
def test_no_more_jobs_than_runs_need_are_submitted(
    slurm, tmp_path, n_left, workers, expected
):
    executor = executor_of(tmp_path, workers=workers)
    executor.start(n_left)
    assert executor.look_after(RunCounts(n_left, 0, 0, 0)).running == expected


def test_jobs_that_are_there_are_found_not_submitted_again(slurm, tmp_path, capsys):
    executor_of(tmp_path).start(10)
    again = executor_of(tmp_path)
    again.start(10)
    assert len(scripts(slurm)) == 1
    assert "3 jobs of this experiment in Slurm: 101." in capsys.readouterr().err
    name = job_name(tmp_path / "exp")
    assert all(
        f"--name={name}" in call
        for call in (slurm / "squeue_calls").read_text().splitlines()
    )
    assert job_name(tmp_path / "other" / "exp") != name


def test_ended_jobs_are_replaced_as_long_as_that_brings_runs(slurm, tmp_path):
    executor = executor_of(tmp_path, max_submissions=2)
    executor.start(10)
    n_done = 0
    for _ in range(5):  # each array of jobs ends after one more run
        n_done += 1
        (slurm / "queue").write_text("")
        assert executor.look_after(RunCounts(10, n_done, 0, 0)).running == 3
    assert len(scripts(slurm)) == 6
    for n_scripts in (7, 7, 7):  # one more that brings nothing, and no third
        (slurm / "queue").write_text("")
        workers = executor.look_after(RunCounts(10, n_done, 0, 0))
        assert len(scripts(slurm)) == n_scripts
    assert workers.running == 0


def test_only_the_missing_jobs_are_submitted(slurm, tmp_path):
    executor = executor_of(tmp_path)
    executor.start(10)
    (slurm / "queue").write_text("101_0|RUNNING|None\n101_2|PENDING|Resources\n")
    workers = executor.look_after(RunCounts(10, 4, 0, 2))
    assert (workers.running, workers.queued) == (2, 1)
    assert "--array" not in scripts(slurm)[1]
    assert "1 waiting (Resources)" in workers.note


def test_a_slurm_that_does_not_answer_is_waited_for(slurm, tmp_path):
    executor = executor_of(tmp_path)
    executor.start(10)
    (slurm / "squeue_error").write_text("slurm_load_jobs error: Unable to contact\n")
    for _ in range(3):
        workers = executor.look_after(RunCounts(10, 0, 0, 0))
        assert workers.running == 3 and workers.note == "Slurm does not answer"
    (slurm / "squeue_error").unlink()
    assert executor.look_after(RunCounts(10, 0, 0, 0)).note == "3 jobs"
    assert len(scripts(slurm)) == 1


def test_slurm_is_not_asked_more_often_than_wanted(slurm, tmp_path):
    executor = executor_of(tmp_path, poll_seconds=600)
    executor.start(10)
    for _ in range(3):
        executor.look_after(RunCounts(10, 0, 0, 0))
    calls = (slurm / "squeue_calls").read_text().splitlines()
    assert len(calls) == 3  # twice at the start, then once


@pytest.mark.parametrize(
    ("stderr", "message"),
    [
        (
            "sbatch: error: invalid partition specified: big\n"
            "sbatch: error: Batch job submission failed: Invalid partition name\n",
            "conf/my_slurm.yaml: Slurm has no partition big: give one of these: cpu "
            "gpu.",
        ),
        (
            "sbatch: error: Batch job submission failed: Invalid account\n",
            "Slurm rejects the jobs (Batch job submission failed: Invalid account): "
            "correct conf/my_slurm.yaml.",
        ),
    ],
)
def test_a_rejection_is_told_in_slurms_words(slurm, tmp_path, stderr, message):
    (slurm / "sbatch_error").write_text(stderr)
    with pytest.raises(UserError) as error:
        executor_of(tmp_path, partition="big").start(10)
    assert str(error.value) == message


def test_a_rejection_later_on_ends_the_runner_too(slurm, tmp_path):
    executor = executor_of(tmp_path)
    executor.start(10)
    (slurm / "queue").write_text("")
    (slurm / "sbatch_error").write_text("sbatch: error: no more\n")
    with pytest.raises(UserError, match=r"rejects the jobs \(no more\)"):
        executor.look_after(RunCounts(10, 1, 0, 0))


def test_without_slurm_one_sentence_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match=r"sbatch .* cmd_backend=local"):
        check_slurm(ROOT / "conf" / "slurm.yaml", ngpu=0)


def test_gpus_asked_for_and_not_in_the_jobs_are_refused(slurm):
    with pytest.raises(UserError, match="--ngpu 2 was given, but the jobs of"):
        check_slurm(ROOT / "conf" / "slurm.yaml", ngpu=2)


@pytest.mark.parametrize("where", ["slurm.yaml", "SBATCH_CLUSTERS", "SLURM_CLUSTERS"])
def test_jobs_of_several_clusters_are_found_and_ended_there(
    slurm, tmp_path, monkeypatch, where
):
    if where == "slurm.yaml":
        settings = {"sbatch": {"clusters": "one,two"}}
    else:
        monkeypatch.setenv(where, "one,two")
        settings = {}
    executor = executor_of(tmp_path, **settings)
    (slurm / "queue").write_text(
        "CLUSTER: one\n101_0|RUNNING|None\n101_1|PENDING|Priority\n"
        "CLUSTER: two\n101_0|PENDING|Resources\n"
    )
    executor.start(10)
    assert scripts(slurm) == []
    workers = executor.look_after(RunCounts(10, 0, 0, 0))
    assert (workers.running, workers.queued) == (1, 2)
    executor.stop(is_over=True)
    for calls in ("squeue_calls", "scancel_calls"):
        for line in (slurm / calls).read_text().splitlines():
            assert "--clusters=one,two" in line


def test_settings_of_the_caller_do_not_hide_jobs(slurm, tmp_path, monkeypatch):
    monkeypatch.setenv("SQUEUE_STATES", "RUNNING")
    monkeypatch.setenv("SBATCH_JOB_NAME", "mine")
    monkeypatch.setenv("SBATCH_QOS", "long")
    monkeypatch.setenv("LOGNAME", "somebody")
    executor_of(tmp_path).start(10)
    seen = (slurm / "environment").read_text().split()
    assert set(seen) == {"SBATCH_QOS"}
    assert os.environ["SQUEUE_STATES"] == "RUNNING"
    user = pwd.getpwuid(os.getuid()).pw_name
    assert f"--user={user} " in (slurm / "squeue_calls").read_text()


@pytest.mark.parametrize("queue", ["JOBID STATE", "101_0|RUNNING"])
def test_an_answer_that_is_not_understood_submits_nothing(slurm, tmp_path, queue):
    (slurm / "queue").write_text(f"{queue}\n")
    with pytest.raises(UserError, match="squeue gives an odd answer"):
        executor_of(tmp_path).start(10)
    assert scripts(slurm) == []


def test_a_cluster_of_several_that_is_down_submits_nothing(slurm, tmp_path):
    (slurm / "squeue_warning").write_text("slurm_load_jobs error: Unable to contact\n")
    with pytest.raises(UserError, match="slurm_load_jobs error: Unable to contact"):
        executor_of(tmp_path).start(10)
    assert scripts(slurm) == []


def test_waiting_jobs_are_ended_when_all_is_done_and_left_otherwise(
    slurm, tmp_path, capsys
):
    executor = executor_of(tmp_path)
    executor.start(10)
    executor.stop(is_over=False)
    assert not (slurm / "scancel_calls").exists()
    assert "Jobs go on in Slurm (101)" in capsys.readouterr().err
    assert executor.look_after(RunCounts(10, 10, 0, 0)).running == 0
    executor.stop(is_over=True)
    calls = (slurm / "scancel_calls").read_text()
    assert f"--name={job_name(tmp_path / 'exp')} --state=PENDING" in calls


def test_a_workers_last_words_are_found_in_the_newest_log(slurm, tmp_path):
    executor = executor_of(tmp_path)
    executor.start(10)
    assert "no job has left a log" in executor.why_ended()
    log = tmp_path / "exp" / "slurm" / "101_0_0_log.out"
    log.write_text("run_worker.py: error: x.yaml is missing: make it.\nsrun: error\n")
    assert executor.why_ended() == f"{log} tells why: x.yaml is missing: make it."


def test_a_job_can_be_pickled_and_says_to_go_on_as_it_began():
    job = pickle.loads(pickle.dumps(WorkerJob(("--exp", "e"), 2)))
    again = job.checkpoint()
    assert again.function is job and not again.args
    assert (job.options, job.n_workers) == (("--exp", "e"), 2)


JOB = """
import subprocess, sys
from espnet2_cltm.experiment.slurm import WorkerJob
real = subprocess.Popen
subprocess.Popen = lambda command: real([sys.executable, "-c", sys.argv[1]])
print("begun", flush=True)
WorkerJob((), 2)()
"""


def job_with(worker):
    return subprocess.Popen(
        [sys.executable, "-c", JOB, worker], stdout=subprocess.PIPE, text=True
    )


@pytest.mark.parametrize(
    ("worker", "code"),
    [
        ("pass", 0),
        ("raise SystemExit(3)", 3),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", 137),
    ],
)
def test_a_job_ends_as_its_workers_do(worker, code):
    assert job_with(worker).wait(timeout=60) == code


def test_workers_end_with_an_interrupted_job():
    process = job_with(
        "import os, time; os.write(1, b'%d\\n' % os.getpid()); time.sleep(60)"
    )
    lines = [process.stdout.readline() for _ in range(3)]
    workers = re.findall(r"^\d+$", "".join(lines), re.MULTILINE)
    assert len(workers) == 2
    process.send_signal(signal.SIGINT)
    process.wait(timeout=30)
    deadline = time.monotonic() + 10
    while any(Path(f"/proc/{pid}").exists() for pid in workers):
        assert time.monotonic() < deadline, "a worker outlived its job"
        time.sleep(0.05)


def test_the_file_of_the_recipe_shows_every_key_with_its_default():
    path = ROOT / "conf" / "slurm.yaml"
    settings = read_slurm_settings(path)
    assert settings == SlurmSettings(time=240, memory="8G")
    assert yaml.safe_load(path.read_text()).keys() == settings.__dict__.keys()


def test_keys_that_are_left_out_have_their_defaults(tmp_path):
    path = tmp_path / "slurm.yaml"
    path.write_text("time: 30\njobs: 4\nenvironment: null\nsbatch: {qos: long}\n")
    assert read_slurm_settings(path) == SlurmSettings(30, 4, sbatch={"qos": "long"})


@pytest.mark.parametrize(
    ("text", "facts"),
    [
        ("", ["conf/slurm.yaml"]),
        ("time: [", ["line 1"]),
        ("jobs: 3", ["time", "minutes"]),
        ("{time: 5, gpu: 1}", ["gpu:", "time, jobs,"]),
        ("{time: 4:00:00}", ["time", "minutes", "4:00:00"]),
        ("{time: 5, jobs: 0}", ["jobs", "from 1 on", "0"]),
        ("{time: 5, gpus: -1}", ["gpus", "from 0 on", "-1"]),
        ("{time: 5, cpus: true}", ["cpus", "from 1 on", "True"]),
        ("{time: 5, gpus: 2}", ["gpus", "2"]),
        ("{time: 5, account: 12}", ["account", "quotes", "12"]),
        ("{time: 5, setup: module load}", ["setup", "list", "'module load'"]),
        ("{time: 5, sbatch: [qos]}", ["sbatch", "['qos']"]),
        ("{time: 1, signal_seconds: 60}", ["signal_seconds", "60", "1 minutes"]),
    ],
)
def test_a_mistake_is_named_with_its_file(tmp_path, text, facts):
    path = tmp_path / "slurm.yaml"
    path.write_text(text)
    with pytest.raises(UserError) as error:
        read_slurm_settings(path)
    message = str(error.value).replace(str(path), "FILE", 1)
    assert message.startswith("FILE") and message.endswith(".")
    assert all(fact in message for fact in facts)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(UserError, match=r"none\.yaml .*No such file"):
        read_slurm_settings(tmp_path / "none.yaml")
