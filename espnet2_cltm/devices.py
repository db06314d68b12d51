"""Whether this machine has the GPUs that are asked for."""

import os
import subprocess
import sys

from espnet2_cltm.errors import UserError


def check_gpus(ngpu: int) -> None:
    """Check that there are as many GPUs as asked for; without torch in this process.

    Raises:
        UserError: ``ngpu`` asks for more GPUs than PyTorch sees.
    """
    if ngpu == 0:
        return
    asked = "import torch; print(torch.__version__, torch.cuda.device_count())"
    answer = subprocess.run(
        [sys.executable, "-c", asked], capture_output=True, text=True, check=False
    ).stdout.split()
    version, seen = answer[-2:] if len(answer) >= 2 else ("", "0")
    if ngpu > int(seen):
        visible = os.environ.get("CUDA_VISIBLE_DEVICES")
        why = "" if visible is None else f", CUDA_VISIBLE_DEVICES is '{visible}'"
        raise UserError(
            f"--ngpu {ngpu} asks for more GPUs than PyTorch {version} sees here "
            f"({seen}{why}): lower it, or install a PyTorch build for this GPU."
        )
