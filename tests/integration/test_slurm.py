"""The executor slurm on a real Slurm: killed, drained, queued again, interrupted."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
import yaml

from espnet2_cltm.experiment.plan import read_plan
from espnet2_cltm.experiment.slurm import job_name
from espnet2_cltm.experiment.worker import work
from tests.integration.slurm_cluster import Cluster, missing
from tests.integration.test_runner import finish, n_done, new_experiment, score
from tests.speech import write_dump

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
SEEDS = range(42, 47)  # 45 runs: more than it lets pass before the last disturbance
JOBS = {"time": 5, "jobs": 2, "poll_seconds": 1, "signal_seconds": 10}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    in_ci = os.environ.get("CI") == "true"
    if missing() and in_ci and os.geteuid() == 0:
        subprocess.run([ROOT / "tools" / "install_slurm.sh"], check=False)
    if missing():
        (pytest.fail if in_ci and os.geteuid() == 0 else pytest.skip)(
            f"a Slurm of its own: this machine {missing()}"
        )
    cluster = Cluster(tmp_path_factory.mktemp("slurm"))
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    root = tmp_path_factory.mktemp("store")
    speakers = {"train": 3, "dev": 2, "test": 2}
    write_dump(root / "demo", ["es", "fi", "tr"], speakers, utterances=3)
    return root


def start_on(cluster, directory, **settings):
    """Start the runner with the executor slurm."""
    config = directory.root / "my slurm.yaml"
    config.write_text(yaml.safe_dump({**JOBS, **settings}))
    return subprocess.Popen(
        [
            *(sys.executable, "-m", "espnet2_cltm.bin.run_plan"),
            *("--exp", str(directory.root), "--executor", "slurm"),
            *("--slurm_config", str(config)),
        ],
        cwd=ROOT,
        env={**cluster.environment, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def wait_for(condition, runner):
    deadline = time.monotonic() + 90
    while not (answer := condition()):
        if runner.poll() is not None or time.monotonic() > deadline:
            runner.kill()
            pytest.fail(f"it never came to this: {finish(runner)[1]}")
        time.sleep(0.1)
    return answer


def running(cluster):
    return [job for job, (state, _) in cluster.jobs().items() if state == "RUNNING"]


def is_waiting(directory, n_jobs):
    """Whether the runner that is at work tells of so many waiting jobs."""
    told = json.loads(directory.progress.read_text())
    return told["state"] == "running" and told["queued"] == n_jobs


def logs_of(directory):
    return "".join(log.read_text() for log in directory.slurm.glob("*_log.out"))


def test_killed_drained_requeued_and_interrupted_it_gives_the_local_results(
    cluster, store, tmp_path
):
    node = ("scontrol", "update", f"nodename={cluster.node}")
    here = new_experiment(tmp_path / "here", store, SEEDS)
    work(here)
    directory = new_experiment(tmp_path / "there", store, SEEDS)

    # The node is drained, a job killed; the other goes on until its time is over, when
    # Slurm queues it again. A third waits in place of the first.
    runner = start_on(cluster, directory)
    wait_for(lambda: n_done(directory) >= 2 and len(running(cluster)) == 2, runner)
    killed, other = sorted(running(cluster))
    cluster.call(*node, "state=drain", "reason=test")
    cluster.call("scancel", killed)
    wait_for(lambda: killed not in cluster.jobs(), runner)
    assert other in running(cluster)
    cluster.call("scancel", "--signal=USR2", other)
    wait_for(lambda: is_waiting(directory, 2), runner)
    assert other in cluster.jobs() and not running(cluster)
    assert n_done(directory) < len(read_plan(directory.plan))

    # The runner is interrupted: started again it finds both, and submits none.
    os.killpg(runner.pid, signal.SIGINT)
    code, output = finish(runner)
    assert code == 130 and "Traceback" not in output, output
    assert f"scancel --name={job_name(directory.root)}" in output
    jobs = set(cluster.jobs())
    runner = start_on(cluster, directory)
    wait_for(lambda: is_waiting(directory, 2), runner)
    assert set(cluster.jobs()) == jobs
    cluster.call(*node, "state=resume")

    code, output = finish(runner)
    assert code == 0, output
    assert "jobs of this experiment in Slurm" in output
    assert score(directory) == score(here)
    # Only what the two that were stopped had begun was begun twice.
    begun = Counter(re.findall(r"Making (\S+)", logs_of(directory)))
    assert sum(begun.values()) <= len(begun) + 2
    assert not list(directory.root.glob("runs/*/failed.txt"))
    assert len((directory.slurm / "jobs.txt").read_text().splitlines()) == 2
    assert json.loads(directory.progress.read_text())["state"] == "done"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"partition": "nope"}, "has no partition nope: give one of these: work."),
        (
            {"memory": "900G"},
            "Slurm rejects the jobs (Memory specification can not be ",
        ),
        ({"jobs": 18}, "submission failed: Invalid job array specification): correct"),
        ({"sbatch": {"no-such": 1}}, "Slurm rejects the jobs ("),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_a_rejected_submission_is_one_sentence(
    cluster, store, tmp_path, settings, message
):
    directory = new_experiment(tmp_path, store)
    before = set(cluster.jobs())
    code, output = finish(start_on(cluster, directory, **settings))
    assert code == 1
    assert message in output and "my slurm.yaml" in output
    assert "Traceback" not in output and output.count("rror:") == 1
    assert set(cluster.jobs()) <= before


def test_jobs_that_cannot_work_are_given_up(cluster, store, tmp_path):
    directory = new_experiment(tmp_path, store)
    code, output = finish(
        start_on(cluster, directory, setup=["exit 3"], max_submissions=2)
    )
    assert code == 1
    assert "The workers ended before all runs were done (18 are left)" in output
    # The first submission, and two in place of jobs that brought nothing.
    assert len((directory.slurm / "jobs.txt").read_text().splitlines()) == 3
