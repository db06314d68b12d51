"""Options of the entry points that read results and name languages."""

import argparse
from pathlib import Path

from espnet2_cltm.matrix.metrics import METRICS


def add_results_options(parser: argparse.ArgumentParser, results: str) -> None:
    """Add which results are read, and where files are written.

    Args:
        parser: To add to.
        results: What kind of file is read, for the help text.
    """
    parser.add_argument("--results", type=Path, required=True, help=results)
    parser.add_argument(
        "--outdir", type=Path, required=True, help="where the files are written"
    )
    parser.add_argument(
        "--task", help="which task, where the file holds several (gender, speaker)"
    )
    parser.add_argument(
        "--metric",
        help="which metric (default: macro_f1, roc_auc or wer by task); known are "
        + ", ".join(METRICS),
    )
    parser.add_argument(
        "--languages_conf",
        type=Path,
        default=Path("conf/languages.yaml"),
        help="names and families of languages",
    )
