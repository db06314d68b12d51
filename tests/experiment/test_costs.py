"""What a run costs: time, memory, energy, parameters."""

import json
from types import SimpleNamespace

import pandas as pd
import pytest
import torch

from espnet2_cltm.experiment import costs
from espnet2_cltm.experiment.costs import CostMeter, RaplCounters, add_costs
from espnet2_cltm.experiment.execution import make_run
from espnet2_cltm.experiment.measures import Measures
from espnet2_cltm.experiment.plan import read_plan
from espnet2_cltm.experiment.settings import read_settings
from espnet2_cltm.results_format import COST_COLUMNS
from espnet2_cltm.tasks.model_files import read_packed_model
from tests.experiment.experiments import end_run
from tests.experiment.test_execution import new_experiment
from tests.speech import TINY_GENDER, write_dump


def zone(powercap, name, title, microjoules):
    (powercap / name).mkdir(parents=True, exist_ok=True)
    for file, text in (
        ("name", title),
        ("energy_uj", microjoules),
        ("max_energy_range_uj", 999_999),
    ):
        (powercap / name / file).write_text(f"{text}\n")


def test_energy_is_that_of_the_packages_and_goes_on_when_a_counter_goes_round(tmp_path):
    zone(tmp_path, "intel-rapl:0", "package-0", 900_000)
    zone(tmp_path, "intel-rapl:1", "package-1", 100)
    others = {"intel-rapl:0:0": "core", "intel-rapl-mmio:0": "package-0"}
    others["intel-rapl:2"] = "psys"
    for other, title in others.items():
        zone(tmp_path, other, title, 0)
    with CostMeter(powercap=tmp_path) as meter:
        zone(tmp_path, "intel-rapl:0", "package-0", 100_000)
        for other, title in others.items():
            zone(tmp_path, other, title, 900_000)
        assert meter.costs()["cpu_joules"] == pytest.approx(0.2)
    (tmp_path / "intel-rapl:1" / "energy_uj").unlink()
    assert RaplCounters(tmp_path).joules() == 0
    with CostMeter(powercap=tmp_path / "none") as meter:
        assert "cpu_joules" not in meter.costs()


@pytest.mark.parametrize(("status", "joules"), [(0, 5.0), (3, None)])
def test_energy_of_a_gpu_is_what_its_driver_tells_if_it_does(
    monkeypatch, status, joules
):
    class Nvml:
        def nvmlInit_v2(self):
            return 0

        def nvmlDeviceGetHandleByUUID(self, uuid, handle):
            handle._obj.value = int(uuid == b"GPU-1-2")
            return 0

        def nvmlDeviceGetTotalEnergyConsumption(self, handle, millijoules):
            assert handle.value == 1
            millijoules._obj.value = 5000
            return status

    device = SimpleNamespace(uuid="1-2")
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: device)
    monkeypatch.setattr(costs.ctypes, "CDLL", lambda _: Nvml())
    costs._gpu_counter.cache_clear()
    assert costs._gpu_counter()() == joules
    costs._gpu_counter.cache_clear()


def test_peak_memory_is_that_of_the_run_and_not_of_one_before():
    def peak(n_bytes):
        with CostMeter() as meter:
            held = torch.ones(n_bytes, dtype=torch.uint8)
            found = meter.costs()
        del held
        return found.get("peak_bytes")

    large, small = peak(200_000_000), peak(1)
    if large is None:
        pytest.skip("The system does not tell.")
    assert large - small > 150_000_000


def test_a_sum_of_costs_that_lacks_a_part_is_left_out():
    before = {"cpu_joules": 5, "gpu_joules": 4, "peak_bytes": 3, "parameters": 7}
    assert add_costs(before, {"cpu_joules": 1, "peak_bytes": 9, "gpu_seconds": 1}) == {
        "cpu_joules": 6,
        "peak_bytes": 9,
        "parameters": 7,
    }


def test_each_run_has_a_line_of_costs_also_one_of_an_older_version(tmp_path):
    write_dump(tmp_path / "demo", ["es", "tr"])
    config = {**TINY_GENDER, "strategy": "lora", "strategy_conf": {"rank": 2}}
    directory = new_experiment(tmp_path / "exp", tmp_path, config=config)
    made, older = read_plan(directory.plan)[:2]
    make_run(directory, read_settings(directory.settings), made, keep_models="all")
    end_run(directory, older)
    measures = Measures(directory)
    for planned in (made, older):
        path = directory.metrics(planned.run.name)
        measures.add(planned, json.loads(path.read_text()))
    measures.write()
    rows = pd.read_csv(directory.costs, sep="\t", index_col="run")
    assert rows.loc[older.run.name, list(COST_COLUMNS)].isna().all()
    found = rows.loc[made.run.name]
    elsewhere = "cpu_joules", "sent_bytes"
    measured = [n for n in COST_COLUMNS if "gpu" not in n and n not in elsewhere]
    assert (found[measured].astype(float) > 0).all()
    assert pd.isna(found["gpu_seconds"])
    packed = read_packed_model(directory.model(made.run.name))
    files = packed.extract(tmp_path)
    weights = torch.load(files["model_file"], weights_only=True)
    assert found["stored_bytes"] == sum(w.nbytes for w in weights.values())
    assert found["trainable_parameters"] < found["parameters"]
