"""Claims between real processes."""

import multiprocessing
import os
import signal

import pytest

from espnet2_cltm.errors import UserError
from espnet2_cltm.experiment.claims import Claims

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
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    assert claims.take("run1")


def test_directory_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="claims cannot be written"):
        Claims(tmp_path / "file" / "claims")
