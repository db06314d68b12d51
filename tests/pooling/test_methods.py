"""The files of ``conf/pool_methods`` and their refusals."""

import pytest

from espnet2_cltm.errors import UserError
from espnet2_cltm.files import shipped
from espnet2_cltm.pooling.methods import (
    DIRECTORY,
    METHODS,
    method_of,
    read_pool_methods,
)


def test_every_way_has_a_file_of_its_name():
    names = sorted(path.stem for path in shipped(DIRECTORY).glob("*.yaml"))
    assert names == sorted(METHODS)
    content = read_pool_methods(names)
    methods = {name: method_of(name, content[name]) for name in names}
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
    content = read_pool_methods(["fedavg_median"])["fedavg_median"]
    assert method_of("fedavg_median", content).aggregation == "median"
    path.write_text("trim: x\n")
    with pytest.raises(UserError, match=r"fedavg_median\.yaml: trim: x"):
        read_pool_methods(["fedavg_median"])
    with pytest.raises(UserError, match=r"fedsgd.*fedavg fedavg_median"):
        read_pool_methods(["fedsgd"])
