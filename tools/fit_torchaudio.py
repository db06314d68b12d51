#!/usr/bin/env python3
"""Make torchaudio importable beside a torch without CUDA.

torchaudio's published wheel holds extensions linked against CUDA libraries, which a
CPU build of torch does not bring: importing it then fails. torchaudio itself allows
for their absence, and everything used here (resampling, spectrograms) is its Python
part. So the extensions are removed, only where exactly that is the matter.
"""

import importlib.util
import subprocess
import sys
from pathlib import Path

CUDA_LIBRARIES = ("libc10_cuda", "libtorch_cuda", "libcudart", "libcublas", "libnv")


def import_failure() -> str:
    """Import torchaudio in a fresh process; return the trace, empty if it works."""
    outcome = subprocess.run(
        [sys.executable, "-c", "import torchaudio"],
        capture_output=True,
        text=True,
        check=False,
    )
    return "" if outcome.returncode == 0 else outcome.stderr.strip() or "killed"


def main() -> None:
    """Remove torchaudio's extensions where they cannot be loaded for want of CUDA."""
    failure = import_failure()
    if not failure:
        return
    import torch

    if torch.version.cuda is None and any(name in failure for name in CUDA_LIBRARIES):
        spec = importlib.util.find_spec("torchaudio")
        assert spec is not None and spec.origin is not None
        for extension in Path(spec.origin).parent.joinpath("lib").glob("*.so"):
            extension.unlink()
        failure = import_failure()
    if failure:
        sys.exit(f"torchaudio cannot be imported: {failure.splitlines()[-1]}")


if __name__ == "__main__":
    main()
