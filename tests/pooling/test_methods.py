"""The files of ``conf/pool_methods`` and their refusals."""

import pytest

from espnet2_cltm.errors import UserError
from espnet2_cltm.files import shipped
from espnet2_cltm.pooling.methods import (
    DIRECTORY,
    METHODS,
    method_of,
    read_pool_method,
    trainings,
)


def test_every_way_has_a_file_of_its_name():
    names = sorted(path.stem for path in shipped(DIRECTORY).glob("*.yaml"))
    assert names == sorted(METHODS)
    methods = {name: method_of(name, read_pool_method(name)) for name in names}
    assert all(isinstance(methods[name], METHODS[name]) for name in names)
    assert methods["fedprox"].mu > 0 == methods["fedavg"].mu
    assert methods["reptile"].step < 1 == methods["fedavg"].step


@pytest.mark.parametrize(
    ("name", "options", "named"),
    [
        ("average", {}, "average"),
        ("fedavg", {"epochs": 1}, "epochs"),
        ("fedavg", {"rounds": 0}, "rounds: 0"),
        ("fedavg_median", {"aggregation": "mode"}, "aggregation: mode"),
        ("reptile", {"step": 1.5}, "step: 1.5"),
        ("reptile", {"step_falls": 1}, "step_falls: 1"),
        ("fedprox", {"mu": -1}, "mu: -1"),
        ("fedprox", {"mu": float("nan")}, "mu: nan"),
        ("fomaml", {"inner_lr": 0}, "inner_lr: 0"),
        ("merge", {"scale": "a"}, "scale: a"),
    ],
)
def test_what_cannot_be_used_is_named(name, options, named):
    with pytest.raises(UserError, match=named):
        method_of(name, options)


def test_a_file_of_ones_own_varies_a_way(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / DIRECTORY).mkdir(parents=True)
    path = tmp_path / DIRECTORY / "fedavg_median.yaml"
    path.write_text("aggregation: median\n")
    content = read_pool_method("fedavg_median")
    assert method_of("fedavg_median", content).aggregation == "median"
    path.write_text("trim: x\n")
    with pytest.raises(UserError, match=r"fedavg_median\.yaml: trim: x"):
        read_pool_method("fedavg_median")
    with pytest.raises(UserError, match=r"fedsgd.*fedavg fedavg_median"):
        read_pool_method("fedsgd")


@pytest.mark.parametrize(
    ("name", "options", "equal", "expected"),
    [
        ("joint", {}, True, 1),
        ("merge", {}, True, 0),
        ("fedavg", {}, True, 3),  # each of three silos takes all steps
        ("fedavg", {}, False, 1),  # or its third of the data
        ("fedavg", {"clients": 2, "rounds": 3}, True, 2 * 3 / 9),
        ("reptile", {"rounds": 3, "local_epochs": 3}, False, 1),
        ("fomaml", {"inner_steps": 2}, True, 3),
    ],
)
def test_a_way_takes_so_many_joint_trainings(name, options, equal, expected):
    method = method_of(name, options)
    assert trainings(method, 3, 9, equal) == pytest.approx(expected)
