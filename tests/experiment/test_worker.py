"""Workers that wait for others."""

import shutil

import pytest

from espnet2_cltm.bin import run_worker
from espnet2_cltm.errors import UserError
from espnet2_cltm.experiment import worker
from tests.experiment.kept_experiments import plan_experiment, settings_for
from tests.speech import write_dump


def test_a_worker_that_sees_no_audio_fails_no_run(tmp_path):
    store = tmp_path / "store"
    write_dump(store / "demo", ["es", "fi"])
    directory = plan_experiment(tmp_path / "exp", settings_for(store), ["es", "fi"])
    shutil.rmtree(store / "demo/es")
    worker.check_audio(directory)  # those of fi can be made
    store.rename(tmp_path / "elsewhere")
    args = run_worker.get_parser().parse_args(["--exp", str(directory.root)])
    with pytest.raises(
        UserError, match=r"No audio of .*exp can be read here .*run\.sh"
    ):
        run_worker.make_runs(args)
    assert not directory.runs.exists()


def test_a_worker_looks_ever_more_rarely_for_runs_that_others_make(
    tmp_path, monkeypatch
):
    write_dump(tmp_path / "store" / "demo", ["es", "fi"])
    settings = settings_for(tmp_path / "store")
    directory = plan_experiment(tmp_path / "exp", settings, ["es", "fi"])
    monkeypatch.setattr(worker.Claims, "take", lambda claims, name: False)
    pauses = []

    def sleep(seconds):
        pauses.append(seconds)
        if sum(pauses) > 2000:  # the others have ended
            monkeypatch.setattr(worker.Claims, "take", lambda claims, name: True)

    monkeypatch.setattr(worker.time, "sleep", sleep)

    def make(directory, settings, planned, ngpu):
        raise UserError("This test makes no run.")

    worker.work(directory, make=make)
    assert pauses == sorted(pauses)
    assert pauses[0] == 0.5 and pauses[-1] == 60
    assert sum(pause == 0.5 for pause in pauses) > 5
    assert all(
        pause <= max(0.5, sum(pauses[:k]) / 10) for k, pause in enumerate(pauses)
    )
