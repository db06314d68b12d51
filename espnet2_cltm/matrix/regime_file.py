"""Reading ``regime.json``; :mod:`espnet2_cltm.matrix.regime_summary` describes it."""

import json
from pathlib import Path
from typing import Any

from espnet2_cltm.errors import UserError

NEEDED = (
    "languages",
    "by_n",
    "smoothed",
    "settings",
    "metric_label",
    "suggested_n",
    "conclusion",
    "advice",
    "notes",
)


def read_regime(path: Path, task: str) -> dict[str, Any]:
    """Read what a search for the dynamic regime found.

    Args:
        path: ``regime.json``.
        task: It has to be of.

    Raises:
        UserError: It cannot be read, is no such file, or is of another task.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(
            f"{path} cannot be read ({error.strerror}): correct the path, or leave "
            "--regime out."
        ) from error
    except ValueError as error:  # no JSON, or no UTF-8
        raise UserError(
            f"{path} is damaged ({error}): find the regime again, or leave "
            "--regime out."
        ) from error
    if not isinstance(content, dict) or any(name not in content for name in NEEDED):
        raise UserError(
            f"{path} is not what find_regime writes: give a regime.json, or leave "
            "--regime out."
        )
    if content.get("task") != task:
        raise UserError(
            f"{path} is of task {content.get('task')}, the matrix of {task}: give the "
            f"regime.json of {task}, or leave --regime out."
        )
    return content
