"""``metrics.json``: what a run gives, and the sign that it is done.

Its fields: ``run``; ``utterances`` trained on; ``test``, by test language the metrics
and ``n_test``; ``checkpoints``, by test language the epoch and what chose it;
``validation``, every epoch's statistics; ``train_seconds``, ``test_seconds``;
``versions``; and ``added_tests``, a list, where tests were added later with the kept
model: their ``languages`` and ``versions``.
"""

import json
from pathlib import Path
from typing import Any

from espnet2_cltm.errors import UserError
from espnet2_cltm.files import write_text


def read_metrics(path: Path) -> dict[str, Any] | None:
    """Read a run's ``metrics.json``.

    Returns:
        Its content, of which ``test`` is a mapping; None where there is no file.

    Raises:
        UserError: The file is damaged.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(content["test"], dict):
            raise TypeError("test is no mapping")
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError) as error:
        raise is_damaged(path, error) from error
    return content


def write_metrics(path: Path, content: dict[str, Any]) -> None:
    """Write a run's ``metrics.json``, whole or not at all."""
    write_text(path, json.dumps(content, indent=1) + "\n")


def is_damaged(path: Path, error: Exception) -> UserError:
    """Make the sentence for a ``metrics.json`` that can't be used."""
    return UserError(
        f"{path} is damaged ({error}): delete {path.parent} and run stage 4 again."
    )
