"""Run Python with ``frontend: ssl`` in ESPnet's tasks: --python "cltm python"."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

START = Path(__file__).parents[1] / "python_start"


def main(cmd: Sequence[str] | None = None) -> None:
    """Become this Python, with its own arguments.

    Example::

        cltm python -m espnet2.bin.asr_train --config conf/train_asr_ssl.yaml
    """
    arguments = list(sys.argv[1:] if cmd is None else cmd)
    places = [str(START), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(places)}
    os.execve(sys.executable, [sys.executable, *arguments], environment)


if __name__ == "__main__":
    main()
