"""Settings that must stand before anything heavy is imported."""

import os
import signal
import sys
from importlib.abc import MetaPathFinder

import pytest
from hypothesis import settings

# No test reaches a hub; without this a look-up waits for the network to time out.
os.environ["HF_HUB_OFFLINE"] = "1"
# Results are compared bit for bit, as path.sh makes them comparable.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# A busy machine does not fail a test.
settings.register_profile("no deadline", deadline=None)
settings.load_profile("no deadline")
# A shell starts what it puts in the background with interrupts ignored, and processes
# inherit that; the tests that interrupt one need it otherwise.
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser):
    parser.addoption(
        "--fast",
        action="store_true",
        help="leave out what is slow, needs a browser, or imports torch or ESPnet",
    )


def pytest_configure(config):
    if config.getoption("--fast"):
        sys.meta_path.insert(0, _NoTraining())


def pytest_collection_modifyitems(config, items):
    if config.getoption("--fast"):
        left = [item for item in items if not item.get_closest_marker("slow")]
        config.hook.pytest_deselected(items=[i for i in items if i not in left])
        items[:] = left


class _NoTraining(MetaPathFinder):
    """Has whatever imports torch or ESPnet skipped: a test, or a module of tests."""

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "torchaudio", "espnet2", "espnet"):
            pytest.skip(f"imports {name} (--fast)", allow_module_level=True)
        return None
