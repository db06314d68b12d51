"""Settings that must stand before anything heavy is imported."""

import os
import signal

# No test reaches a hub; without this a look-up waits for the network to time out.
os.environ["HF_HUB_OFFLINE"] = "1"
# Results are compared bit for bit, as path.sh makes them comparable.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# A shell starts what it puts in the background with interrupts ignored, and processes
# inherit that; the tests that interrupt one need it otherwise.
signal.signal(signal.SIGINT, signal.default_int_handler)
