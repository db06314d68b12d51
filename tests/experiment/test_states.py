"""Claims between real processes, and what a look at an experiment's runs finds."""

import multiprocessing

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from espnet2_cltm.errors import UserError
from espnet2_cltm.experiment.plan import read_plan
from espnet2_cltm.experiment.states import Claims, RunStates, runs_left
from tests.experiment.experiments import end_run, fail_run, planned_experiment

spawn = multiprocessing.get_context("spawn")


def take_and_tell(path, names, pipe):
    claims = Claims(path)
    pipe.send([claims.take(name) for name in names])
    pipe.recv()


@pytest.fixture
def in_other_process(tmp_path):
    """Start a process that takes claims and keeps them; give (process, answers)."""
    processes = []

    def start(*names):
        ours, theirs = spawn.Pipe()
        process = spawn.Process(
            target=take_and_tell, args=(tmp_path / "claims", names, theirs)
        )
        process.start()
        processes.append((process, ours))
        return process, ours.recv()

    yield start
    for process, _ in processes:
        process.kill()
        process.join()


def test_a_run_is_claimed_by_one_process_only(tmp_path, in_other_process):
    claims = Claims(tmp_path / "claims")
    assert claims.take("run1")
    _, taken = in_other_process("run1", "run2")
    assert taken == [False, True]
    assert not claims.take("run2")
    assert claims.take("run3")


def test_a_claim_that_is_given_back_can_be_taken(tmp_path, in_other_process):
    claims = Claims(tmp_path / "claims")
    assert claims.take("run1")
    claims.give_back("run1")
    _, taken = in_other_process("run1")
    assert taken == [True]


def test_claims_of_a_killed_process_are_free_at_once(tmp_path, in_other_process):
    claims = Claims(tmp_path / "claims")
    process, taken = in_other_process("run1")
    assert taken == [True]
    assert not claims.take("run1")
    process.kill()
    process.join()
    assert claims.take("run1")


def test_directory_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="file/claims"):
        Claims(tmp_path / "file" / "claims")


def test_a_run_is_running_while_a_living_process_claims_it(tmp_path, in_other_process):
    directory, names = planned_experiment(tmp_path)
    for name in names[:2]:
        directory.run(name).mkdir(parents=True)
    claims = Claims(directory.claims)
    states = RunStates(directory, read_plan(directory.plan))
    assert states.look(claims).running == 0  # two directories that a killed run left
    process, taken = in_other_process(names[0])
    assert taken == [True]
    assert states.look(claims).running == 1
    assert claims.holder(names[1]) is None
    process.kill()
    process.join()
    assert states.look(claims).running == 0
    assert claims.take(names[0])
    assert states.counts.left == len(names)


@settings(max_examples=25, deadline=None)
@given(
    changes=st.lists(
        st.tuples(st.integers(0, 17), st.sampled_from(["end", "fail", "begin"])),
        max_size=30,
    )
)
def test_looks_at_what_changed_find_what_a_look_at_everything_finds(
    tmp_path_factory, changes
):
    directory, _ = planned_experiment(tmp_path_factory.mktemp("exp"), seeds=(1, 2))
    plan = read_plan(directory.plan)
    claims = Claims(directory.claims)
    states = RunStates(directory, plan)
    failed = set()
    for index, change in changes:
        planned = plan[index]
        name = planned.run.name
        if change == "begin":
            directory.run(name).mkdir(parents=True, exist_ok=True)
        elif directory.metrics(name).exists() or name in failed:
            continue  # what has ended stays so while a runner looks
        elif change == "end":
            end_run(directory, planned)
        else:
            fail_run(directory, name)
            failed.add(name)
        counts = states.look(claims)
        assert counts.done == len(plan) - len(runs_left(directory, plan))
        assert counts.left == counts.planned - counts.done - len(failed)
        assert set(states.failed) == failed
    claims.close()


def test_a_failed_run_that_another_runner_made_counts_as_done(tmp_path):
    directory, names = planned_experiment(tmp_path)
    plan = read_plan(directory.plan)
    claims = Claims(directory.claims)
    states = RunStates(directory, plan)
    fail_run(directory, names[1])
    fail_run(directory, names[2])
    assert states.look(claims).failed == 2
    directory.failure(names[1]).unlink()
    end_run(directory, plan[1])
    assert states.look_again_at_failed(claims).done == 1
    assert states.failed == [names[2]]


def test_damaged_metrics_are_named(tmp_path):
    directory, names = planned_experiment(tmp_path)
    directory.run(names[0]).mkdir(parents=True)
    directory.metrics(names[0]).write_text('{"test": ')
    states = RunStates(directory, read_plan(directory.plan))
    with pytest.raises(UserError, match=rf"{names[0]}/metrics\.json .*stage 4"):
        states.look(Claims(directory.claims))
