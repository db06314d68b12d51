"""The runner as processes: killed, started twice, made to fail."""

import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from espnet2_cltm.bin.score import score as score_experiment
from espnet2_cltm.experiment.layout import ExperimentDir
from espnet2_cltm.experiment.plan import read_plan
from espnet2_cltm.experiment.planning import make_plan
from espnet2_cltm.experiment.settings import Settings
from espnet2_cltm.experiment.states import runs_left
from espnet2_cltm.experiment.worker import work
from espnet2_cltm.experiment.writing import write_experiment
from tests.speech import TINY_ASR, TINY_GENDER, TINY_SPEAKER, write_dump

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
# Ten in the measurement of benchmarks/README.md: CLTM_TEST_KILLS=10.
N_KILLS = int(os.environ.get("CLTM_TEST_KILLS", "2"))
SEEDS = range(42, 42 + max(N_KILLS, 2))  # 27 runs a kill: more than it lets pass
CONFIGS = {"asr": TINY_ASR, "gender": TINY_GENDER, "speaker": TINY_SPEAKER}
BUDGETS = {"asr": 4, "gender": 3, "speaker": 6}


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    root = tmp_path_factory.mktemp("store")
    speakers = {"train": 3, "dev": 2, "test": 2}
    write_dump(root / "demo", ["es", "fi", "tr"], speakers, utterances=3)
    return root


def new_experiment(root, store, seeds=(42, 43), tasks=("gender",)):
    directory = ExperimentDir(root)
    settings = Settings(
        "demo",
        str(store),
        {task: BUDGETS[task] for task in tasks},
        train_config={task: CONFIGS[task] for task in tasks},
    )
    plan = make_plan(settings, ["es", "fi", "tr"], seeds)
    write_experiment(directory, plan)
    return directory


def start(directory, *options, nj=2):
    return subprocess.Popen(
        [
            sys.executable,
            "-m",
            "espnet2_cltm.bin.run_plan",
            "--exp",
            str(directory.root),
            "--nj",
            str(nj),
            *options,
        ],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def workers_of(runner):
    found = subprocess.run(
        ["pgrep", "-P", str(runner.pid)], capture_output=True, text=True, check=True
    )
    return [int(pid) for pid in found.stdout.split()]


def finish(process):
    output, _ = process.communicate(timeout=1800)
    return process.returncode, output


def score(directory):
    score_experiment(directory, rescore=False)
    return directory.results.read_bytes()


def n_done(directory):
    plan = read_plan(directory.plan)
    return len(plan) - len(runs_left(directory, plan))


def runs_made(directory):
    """Count how often each run was begun, by the workers' own logs."""
    begun = Counter()
    for log in directory.logs.glob("worker.*.log"):
        begun.update(re.findall(r"Making (\S+)", log.read_text()))
    return begun


@pytest.fixture(scope="module")
def undisturbed(store, tmp_path_factory):
    directory = new_experiment(
        tmp_path_factory.mktemp("undisturbed"), store, SEEDS, tuple(CONFIGS)
    )
    work(directory)
    return score(directory)


def of_gender(results):
    """Keep the lines that an experiment of gender, seeds 42 and 43, has."""
    header, *lines = results.decode().splitlines(keepends=True)
    return "".join(
        [header, *(x for x in lines if re.match(r"gender\S+\.s4[23]\t", x))]
    ).encode()


def test_killed_at_random_moments_it_ends_with_the_same_results(
    store, tmp_path, undisturbed
):
    directory = new_experiment(tmp_path, store, SEEDS, tuple(CONFIGS))
    moments = random.Random(1)
    for number in range(N_KILLS):
        before = n_done(directory)
        process = start(directory)
        # Imports take seconds: the clock runs from the first run that gets done.
        while n_done(directory) == before and process.poll() is None:
            time.sleep(0.05)
        time.sleep(moments.uniform(0, 0.3))
        workers = workers_of(process)
        if number % 2:
            os.killpg(process.pid, signal.SIGKILL)
        else:  # the runner alone: its workers stop by themselves
            os.kill(process.pid, signal.SIGKILL)
        finish(process)
        deadline = time.monotonic() + 60
        while any(Path(f"/proc/{pid}").exists() for pid in workers):
            assert time.monotonic() < deadline, "a worker went on without its runner"
            time.sleep(0.2)
        assert runs_left(directory, read_plan(directory.plan)), "killed too late"
    code, output = finish(start(directory, nj=1))
    assert code == 0, output
    assert score(directory) == undisturbed


def test_two_runners_make_no_run_twice(store, tmp_path, undisturbed):
    directory = new_experiment(tmp_path, store)
    runners = [start(directory, nj=1), start(directory, nj=1)]
    for runner in runners:
        code, output = finish(runner)
        assert code == 0, output
    plan = read_plan(directory.plan)
    assert runs_made(directory) == Counter(p.run.name for p in plan)
    assert score(directory) == of_gender(undisturbed)


def test_a_killed_worker_is_named_and_the_other_takes_over(
    store, tmp_path, undisturbed
):
    directory = new_experiment(tmp_path, store)
    runner = start(directory)
    while not runs_made(directory) and runner.poll() is None:
        time.sleep(0.05)
    os.kill(workers_of(runner)[0], signal.SIGKILL)
    code, output = finish(runner)
    assert code == 0, output
    assert "A worker ended with SIGKILL (out of memory?)" in output
    assert score(directory) == of_gender(undisturbed)


def test_a_failing_run_stops_no_other_and_is_named(store, tmp_path):
    directory = new_experiment(tmp_path, store, seeds=(43,))
    listed = directory.train_list("gender", "fi", 43)
    whole = listed.read_text()
    listed.write_text(whole.replace("wav.ark", "none.ark"))
    code, output = finish(start(directory, nj=1))
    assert code == 1
    failed = {p.parent.name for p in directory.root.glob("runs/*/failed.txt")}
    assert failed == {
        f"gender.{rest}.n3.s43"
        for rest in ("single.fi", "double.fi", "pair.es+fi", "pair.fi+tr")
    }
    assert "4 of 9 runs failed" in output and "Traceback" not in output
    assert "failed.txt and train.log beside it)" in output
    assert n_done(directory) == 5
    progress = json.loads(directory.progress.read_text())
    assert (progress["state"], progress["done"], progress["failed"]) == (
        "failed",
        5,
        4,
    )
    code, output = finish(start(directory, "--retry", "none"))
    assert code == 0 and "9 runs planned, 5 done before, 4 failed before." in output
    assert output.count(" failed: ") == 4
    listed.write_text(whole)
    code, output = finish(start(directory, nj=1))
    assert code == 0, output
    assert "9 runs planned, 5 done before" in output
    assert not list(directory.root.glob("runs/*/failed.txt"))


def test_nothing_is_started_where_nothing_is_left(store, tmp_path):
    directory = new_experiment(tmp_path, store)
    for planned in read_plan(directory.plan):
        path = directory.metrics(planned.run.name)
        path.parent.mkdir(parents=True)
        tested = ",".join(f'"{lang}": {{}}' for lang in planned.test_languages)
        path.write_text(f'{{"test": {{{tested}}}}}')
    code, output = finish(start(directory))
    assert code == 0
    assert "18 runs planned, 18 done before" in output
    assert not directory.logs.exists()
