"""Reading training configurations, with what ``run.sh`` replaces in them."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from espnet2_cltm.errors import UserError


def read_train_configs(
    paths: Mapping[str, Path], model: str | None = None, freeze: str | None = None
) -> dict[str, dict[str, Any]]:
    """Read each task's training configuration and put the encoder into it.

    Args:
        paths: YAML file by task.
        model: The encoder of every task whose frontend is ``hubert``, or None to
            keep what each configuration names.
        freeze: What of it is not trained, as :func:`read_train_config` takes it.

    Raises:
        UserError: A file can't be used, or an option is of use to no task.
    """
    configs = {
        task: read_train_config(path, model, freeze) for task, path in paths.items()
    }
    others = {task for task in configs if frontend_of(configs[task]) != "hubert"}
    for option, value in (("--model", model), ("--freeze", freeze)):
        if value is None:
            continue
        if others == configs.keys():
            raise UserError(
                f"{option} {value} is of no use: the frontend of "
                f"{' and '.join(str(paths[task]) for task in sorted(others))} is not "
                f"hubert; leave {option} out."
            )
        for task in sorted(others):
            logging.info(
                "%s does not apply to %s: the frontend of %s is %s",
                option,
                task,
                paths[task],
                frontend_of(configs[task]),
            )
    return configs


def frontend_of(config: Mapping[str, Any]) -> str | None:
    """Name a training configuration's frontend; None where there is none."""
    return config.get("frontend", "hubert")


def read_train_config(
    path: Path, model: str | None = None, freeze: str | None = None
) -> dict[str, Any]:
    """Read a training configuration and put the encoder into it.

    An encoder that is a YAML file of a small random one is taken in whole, so that
    the experiment does not change when that file does.

    Args:
        path: YAML file of ESPnet options.
        model: Hub id, directory or YAML file that replaces the configuration's
            ``frontend_conf.model``, or None to keep it; of no effect where the
            frontend is not ``hubert``.
        freeze: ``none``, ``cnn``, ``all`` or a number of transformer layers that
            replaces what the configuration freezes, or None to keep that. What is
            frozen is computed once for each utterance.

    Raises:
        UserError: A file is missing or is not a mapping, or ``freeze`` is unknown.
    """
    config = _read_mapping(path, "a training configuration of ESPnet")
    if frontend_of(config) != "hubert":
        return config
    frontend_conf = config.setdefault("frontend_conf", {})
    if not isinstance(frontend_conf, dict):
        raise UserError(
            f"frontend_conf in {path} must hold 'name: value' lines: write them below "
            "it, indented."
        )
    encoder = model if model is not None else frontend_conf.get("model")
    if encoder is None:
        raise UserError(f"{path} names no encoder: set frontend_conf.model or --model.")
    if isinstance(encoder, str) and encoder.endswith((".yaml", ".yml")):
        encoder = _read_mapping(Path(encoder), "a HuBERT configuration")
    frontend_conf["model"] = encoder
    if freeze is not None:
        frontend_conf.update(_freezing_options(freeze))
    return config


def _freezing_options(freeze: str) -> dict[str, Any]:
    is_number = freeze.isdecimal()
    if not is_number and freeze not in ("none", "cnn", "all"):
        raise UserError(
            f"--freeze {freeze} is unknown: give none, cnn, all or a number of "
            "transformer layers."
        )
    n_layers = int(freeze) if is_number else 0
    return {
        "freeze": "none" if is_number else freeze,
        "freeze_layers": n_layers,
        "reuse_frozen": n_layers > 0 or freeze in ("cnn", "all"),
    }


def _read_mapping(path: Path, what: str) -> dict[str, Any]:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(
            f"{path}, {what}, cannot be read ({error.strerror}): correct its path."
        ) from error
    except yaml.YAMLError as error:
        place = getattr(error, "problem_mark", None)
        where = f", line {place.line + 1}," if place else ""
        raise UserError(
            f"{path}{where} is not valid YAML "
            f"({getattr(error, 'problem', None) or 'unreadable'}): correct it."
        ) from error
    if not isinstance(content, dict):
        raise UserError(f"{path} must be {what}, 'name: value' lines.")
    return content
