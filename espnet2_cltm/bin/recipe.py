"""Check run.sh's options and print, as bash assignments, what its stages need."""

import os
import sys
from collections.abc import Sequence

from espnet2_cltm.bin.command_line import run_command
from espnet2_cltm.experiment.recipe import help_text, resolve


def main(cmd: Sequence[str] | None = None) -> None:
    """Resolve the options of run.sh, which are all arguments."""
    arguments = list(sys.argv[1:] if cmd is None else cmd)
    sys.argv[0] = "run.sh"  # the name in front of a message
    if "--help" in arguments or "-h" in arguments:
        # run.sh stops there.
        print(f"cat <<'CLTM_HELP'\n{help_text()}CLTM_HELP\nexit 0")
        return
    run_command(lambda: print(resolve(arguments, os.environ).shell(), end=""))


if __name__ == "__main__":
    main()
