"""Reading ``regime.json``; :mod:`espnet2_cltm.matrix.regime_summary` describes it."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

from espnet2_cltm.errors import UserError

# What a reader of the file relies on, and of which type it is. A table holds lists of
# one length.
TYPES: dict[str, type | tuple[type, ...]] = {
    "languages": dict,
    "by_n": dict,
    "smoothed": dict,
    "settings": dict,
    "metric_label": str,
    "suggested_n": (int, type(None)),
    "conclusion": str,
    "advice": list,
    "notes": list,
}
BY_N = ("n", "median", "n_languages", "n_reaching", "is_in_regime", "is_outlier")
SMOOTHED = ("n", "ci_min")
CURVE = ("n", "mean", "se", "n_seeds")


def read_regime(path: Path, task: str) -> dict[str, Any]:
    """Read what a search for the dynamic regime found.

    Args:
        path: ``regime.json``.
        task: It has to be of.

    Raises:
        UserError: It cannot be read, is no such file, or is of another task.
    """
    try:
        text = path.read_text(encoding="utf-8")
        content = json.loads(text, parse_constant=_refuse_constant)
    except OSError as error:
        raise UserError(
            f"{path} cannot be read ({error.strerror}): correct the path, or leave "
            "--regime out."
        ) from error
    except (ValueError, RecursionError) as error:  # no JSON, or no UTF-8
        raise UserError(
            f"{path} is damaged ({error}): find the regime again, or leave "
            "--regime out."
        ) from error
    if not isinstance(content, dict) or not content.keys() >= TYPES.keys():
        raise UserError(
            f"{path} is not what find_regime writes: give a regime.json, or leave "
            "--regime out."
        )
    wrong = _what_is_wrong(content)
    if wrong:
        raise UserError(
            f"{path} is damaged ({wrong}): find the regime again, or leave "
            "--regime out."
        )
    if content.get("task") != task:
        raise UserError(
            f"{path} is of task {content.get('task')}, the matrix of {task}: give the "
            f"regime.json of {task}, or leave --regime out."
        )
    return content


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


def _what_is_wrong(content: Mapping[str, Any]) -> str:
    """Name the first part that is not as find_regime writes it; empty if none."""
    for name, kind in TYPES.items():
        if not isinstance(content[name], kind):
            return f"{name} is of another type"
    for name in ("advice", "notes"):
        if not all(isinstance(line, str) for line in content[name]):
            return f"{name} is not all text"
    if not _is_number(content["settings"].get("threshold")):
        return "settings has no threshold"
    if not _is_table(content["by_n"], BY_N):
        return "by_n is no table"
    smoothed = content["smoothed"]
    if not _is_table(smoothed, SMOOTHED) or not _are_spans(smoothed.get("spans")):
        return "smoothed is no table with spans"
    for code, language in content["languages"].items():
        if not isinstance(language, dict) or not isinstance(language.get("name"), str):
            return f"language {code} has no name"
        if not _is_table(language.get("curve"), CURVE):
            return f"language {code} has no learning curve"
    return ""


def _is_table(content: Any, columns: tuple[str, ...]) -> bool:
    if not isinstance(content, dict):
        return False
    found = [content.get(column) for column in columns]
    if not all(isinstance(column, list) for column in found):
        return False
    if len({len(column) for column in found}) > 1:
        return False
    return all(value is None or _is_number(value) for x in found for value in x)


def _are_spans(content: Any) -> bool:
    return isinstance(content, list) and all(
        isinstance(span, list) and len(span) == 2 and all(map(_is_number, span))
        for span in content
    )


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float)
