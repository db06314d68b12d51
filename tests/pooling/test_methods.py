"""The files of ``conf/pool_methods`` and their refusals."""

import pytest

from espnet2_cltm.errors import UserError
from espnet2_cltm.files import shipped
from espnet2_cltm.pooling.methods import (
    DIRECTORY,
    Fomaml,
    Joint,
    Merge,
    Rounds,
    method_of,
    read_pool_method,
)

SHIPPED = {
    "joint": Joint,
    "merge": Merge,
    "fedavg": Rounds,
    "fedprox": Rounds,
    "reptile": Rounds,
    "fomaml": Fomaml,
}


def test_every_shipped_file_is_a_method():
    assert {path.stem for path in shipped(DIRECTORY).glob("*.yaml")} == SHIPPED.keys()
    for name, kind in SHIPPED.items():
        content = read_pool_method(name)
        assert isinstance(method_of(content), kind)
    assert method_of(read_pool_method("fedprox")).mu > 0
    assert method_of(read_pool_method("reptile")).step < 1


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ({"pool_method": "average"}, "pool_method: average"),
        ({"pool_method": "fedavg", "rounds": 3}, "rounds"),
        ({"pool_method": "fedavg", "pool_method_conf": {"epochs": 1}}, "epochs"),
        ({"pool_method": "fedavg", "pool_method_conf": {"rounds": 0}}, "rounds: 0"),
        ({"pool_method": "fedavg", "pool_method_conf": {"step": 1.5}}, "step: 1.5"),
        ({"pool_method": "fedavg", "pool_method_conf": {"mu": -1}}, "mu: -1"),
        ({"pool_method": "fomaml", "pool_method_conf": {"inner_lr": 0}}, "inner_lr: 0"),
        ({"pool_method": "merge", "pool_method_conf": {"scale": "a"}}, "scale: a"),
        ({"pool_method": "merge", "pool_method_conf": [1]}, r"\[1\]"),
    ],
)
def test_what_cannot_be_used_is_named(content, named):
    with pytest.raises(UserError, match=named):
        method_of(content)


def test_a_name_without_file_is_refused_with_those_there_are(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"fedsgd.*fedavg fedprox fomaml"):
        read_pool_method("fedsgd")
    (tmp_path / DIRECTORY).mkdir(parents=True)
    path = tmp_path / DIRECTORY / "own.yaml"
    path.write_text("pool_method: fedavg\npool_method_conf: {trim: x}\n")
    with pytest.raises(UserError, match=r"own\.yaml: trim: x"):
        read_pool_method("own")
