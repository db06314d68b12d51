#!/usr/bin/env python3
"""The short name of label_train for gender identification: --classes is 'f m'."""

import argparse

from espnet2_cltm.bin.command_line import entry_point
from espnet2_cltm.label.espnet_task import LabelEspnetTask
from espnet2_cltm.registry import find_task
from espnet2_cltm.tasks.command import run_training


def get_parser() -> argparse.ArgumentParser:
    """Return the options of label_train, the classes filled in."""
    parser = LabelEspnetTask.get_parser()
    classes = find_task("gender").default_options()["classes"]
    parser.set_defaults(classes=" ".join(classes))
    return parser


main = entry_point(lambda cmd: run_training(LabelEspnetTask, cmd, get_parser()))

if __name__ == "__main__":
    main()
