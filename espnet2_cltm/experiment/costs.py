"""What a run costs, measured while it is made, for ``costs`` in its ``metrics.json``.

A worker makes many runs in one process, so what a process holds for all of them (the
encoder, prepared audio, frozen states) counts for each. What the machine does not tell
is left out and never estimated.

Seconds, of the processor and of a GPU, are the run's own: this process and those that
it waited for. Energy is the machine's: that of its processor packages, and of the
run's GPU, while the run was made, with whatever else they did meanwhile.
"""

import ctypes
import resource
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from types import TracebackType

import torch
from espnet2.train.abs_espnet_model import AbsESPnetModel

from espnet2_cltm.corpus.audio import SAMPLE_RATE
from espnet2_cltm.corpus.utterance_list import total_seconds
from espnet2_cltm.frontend.frozen_states import without_frozen_states
from espnet2_cltm.registry import find_task
from espnet2_cltm.task import TaskSpec, TestSet
from espnet2_cltm.tasks.model_files import stored_bytes

POWERCAP = Path("/sys/class/powercap")
SAMPLE_SECONDS = 20.0  # a package at full load takes minutes to go round its counter
ALONE = 4  # utterances predicted one at a time
SUMMED = ("test_cpu_seconds", "gpu_seconds", "cpu_joules", "gpu_joules")
PEAKS = ("peak_bytes", "gpu_peak_bytes")
_STATUS, _CLEAR_REFS = Path("/proc/self/status"), Path("/proc/self/clear_refs")


class RaplCounters:
    """Energy of the processor packages, added up however often their counters go round.

    Args:
        powercap: Directory of the counters. Only root may read them in most systems.
    """

    def __init__(self, powercap: Path = POWERCAP):
        self._joules = 0.0
        self._last: dict[Path, int] = {}
        # Not intel-rapl-mmio, which shows a package again, nor parts of a package.
        for zone in sorted(powercap.glob("intel-rapl:*")):
            value = _read_number(zone / "energy_uj")
            if zone.name.count(":") == 1 and value is not None and _is_package(zone):
                self._last[zone] = value

    def __bool__(self) -> bool:
        return bool(self._last)

    def joules(self) -> float | None:
        """Return the energy since this was made; None where it cannot be told."""
        for zone, before in list(self._last.items()):
            now = _read_number(zone / "energy_uj")
            size = _read_number(zone / "max_energy_range_uj")
            if now is None or (now < before and size is None):
                self._last = {}
                break
            round_once = size + 1 if size is not None and now < before else 0
            self._joules += (now + round_once - before) / 1e6
            self._last[zone] = now
        return self._joules if self._last else None


def _is_package(zone: Path) -> bool:
    try:
        return (zone / "name").read_text().startswith("package")
    except OSError:
        return False


def _read_number(path: Path) -> int | None:
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return None


@cache
def _gpu_counter() -> Callable[[], float | None]:
    """Return a function that reads the energy of the process's GPU since its start."""
    uuid = getattr(torch.cuda.get_device_properties(0), "uuid", None)
    handle, millijoules = ctypes.c_void_p(), ctypes.c_ulonglong()
    try:
        nvml = ctypes.CDLL("libnvidia-ml.so.1")
        name = f"GPU-{uuid}".encode()
        if nvml.nvmlInit_v2() or nvml.nvmlDeviceGetHandleByUUID(
            name, ctypes.byref(handle)
        ):
            return lambda: None
        read = nvml.nvmlDeviceGetTotalEnergyConsumption
    except (OSError, AttributeError):
        return lambda: None
    return lambda: (
        None if read(handle, ctypes.byref(millijoules)) else millijoules.value / 1000
    )


class CostMeter:
    """Measures one run, from its making to :meth:`costs`, within a ``with``.

    Args:
        ngpu: 0 for the CPU, 1 for a GPU.
        powercap: Directory of the energy counters.
    """

    def __init__(self, ngpu: int = 0, powercap: Path = POWERCAP):
        self._ngpu = ngpu
        self._rapl = RaplCounters(powercap)
        self._is_over = threading.Event()
        self._lock = threading.Lock()
        self._tells_peak = _forget_peak()
        self._gpu_joules = None
        if ngpu:
            torch.cuda.reset_peak_memory_stats()
            self._gpu_joules = _gpu_counter()()
        self._begun = self._lap = time.monotonic()
        self._cpu = _cpu_seconds()

    def __enter__(self) -> "CostMeter":
        if self._rapl:
            threading.Thread(target=self._sample, daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._is_over.set()

    def _sample(self) -> None:
        while not self._is_over.wait(SAMPLE_SECONDS):
            with self._lock:
                self._rapl.joules()

    def lap(self) -> tuple[float, float]:
        """Return wall-clock and CPU seconds since the last call, or the beginning."""
        now, cpu = time.monotonic(), _cpu_seconds()
        laps = now - self._lap, cpu - self._cpu
        self._lap, self._cpu = now, cpu
        return laps

    def costs(self) -> dict[str, float]:
        """Return memory, GPU time and energy since the beginning, as far as known."""
        found: dict[str, float | None] = {}
        if self._tells_peak:
            found["peak_bytes"] = _peak_bytes()
        if self._ngpu:
            found["gpu_seconds"] = round(time.monotonic() - self._begun, 3)
            found["gpu_peak_bytes"] = torch.cuda.max_memory_allocated()
        with self._lock:
            found["cpu_joules"] = self._rapl.joules()
        after = _gpu_counter()() if self._ngpu else None
        if after is not None and self._gpu_joules is not None:
            found["gpu_joules"] = round(after - self._gpu_joules, 3)
        return {name: value for name, value in found.items() if value is not None}


def _cpu_seconds() -> float:
    used = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(one.ru_utime + one.ru_stime for one in used)


def _forget_peak() -> bool:
    """Have the system begin a new highest resident size; return whether it can."""
    try:
        _CLEAR_REFS.write_text("5")
    except OSError:  # not Linux, or forbidden
        return False
    return _peak_bytes() is not None


def _peak_bytes() -> int | None:
    for line in _STATUS.read_text().splitlines():
        if line.startswith("VmHWM:"):
            return 1024 * int(line.split()[1])
    return None


def model_costs(model: torch.nn.Module) -> dict[str, int]:
    """Return a trained model's parameters, those trained, and the bytes it stores."""
    sizes = [(p.numel(), p.requires_grad) for p in model.parameters()]
    return {
        "trainable_parameters": sum(size for size, trained in sizes if trained),
        "parameters": sum(size for size, _ in sizes),
        "stored_bytes": stored_bytes(model),
    }


def inference_costs(
    task: str, model: AbsESPnetModel, test: TestSet, device: str
) -> dict[str, float]:
    """Predict a few utterances one at a time, nothing frozen reused, and time it.

    Latency and real-time factor are defined as by ESPnet: mean seconds an utterance,
    and seconds a second of audio.

    Args:
        task: Name of the task.
        model: The model, which has predicted on this device before.
        test: What it was tested on, whose audio is at hand.
        device: ``cpu`` or ``cuda``.
    """
    spec = find_task(task)
    code = spec.code()
    few = _few(spec, test)
    with tempfile.TemporaryDirectory() as place, without_frozen_states():
        predictions = Path(place) / f"few{code.PREDICTIONS_SUFFIX}"
        started = time.monotonic()
        code.predict(model, few, predictions, batch_bins=1, device=device)
        seconds = time.monotonic() - started
    return {
        "latency_seconds": round(seconds / len(few.utterances), 6),
        "real_time_factor": round(seconds / total_seconds(few.utterances), 6),
    }


def _few(spec: TaskSpec, test: TestSet) -> TestSet:
    """Take utterances spread over all lengths, or those of a trial of each kind."""
    if test.data is None or spec.test_data is None:
        ordered = sorted(test.utterances, key=lambda u: (u.num_samples, u.utt))
        n = min(ALONE, len(ordered))
        chosen = [ordered[(2 * k + 1) * len(ordered) // (2 * n)] for k in range(n)]
        return TestSet(test.name, chosen)
    length = {u.utt: u.num_samples / SAMPLE_RATE for u in test.utterances}
    data = spec.test_data.part(test.data, length, 0.0)
    named = set(data.utts)
    utterances = [u for u in test.utterances if u.utt in named]
    return TestSet(test.name, utterances, data)


def add_costs(
    before: Mapping[str, float], more: Mapping[str, float]
) -> dict[str, float]:
    """Add costs of tests that were made later; a sum that lacks a part is left out.

    Args:
        before: Costs of the run.
        more: What the later tests cost.
    """
    kept = {k: v for k, v in before.items() if k not in SUMMED or k in more}
    added = {k: before[k] + more[k] for k in SUMMED if k in kept}
    peaks = {k: max(before[k], more.get(k, 0)) for k in PEAKS if k in before}
    return {**kept, **added, **peaks}
