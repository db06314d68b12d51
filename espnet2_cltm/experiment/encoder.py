"""An experiment's encoder: in its training configurations, and whether it changed.

Training configurations are read here, with what ``run.sh`` replaces in them. The
experiment then names a pretrained encoder by its directory or hub id, and the files can
change under the same name. ``encoders.json`` records, by that name, what was there when
the first run was made: a digest of a directory's files, or the commit of a repository.
An encoder that ``experiment.yaml`` describes in full needs neither.
"""

import hashlib
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from espnet2_cltm.errors import UserError
from espnet2_cltm.experiment.layout import ExperimentDir
from espnet2_cltm.files import YAML_ENDINGS, read_json, read_mapping, write_json
from espnet2_cltm.frontend.families import NAMES, WITH_MODEL

_CONFIGURATION = ("config.json", "preprocessor_config.json")
_WEIGHTS = ("*.safetensors", "*.bin")


def read_train_configs(
    paths: Mapping[str, Path], model: str | None = None, freeze: str | None = None
) -> dict[str, dict[str, Any]]:
    """Read each task's training configuration and put the encoder into it.

    Args:
        paths: YAML file by task.
        model: Encoder of every task whose frontend takes one; None to keep what each
            configuration names.
        freeze: Part of it to keep fixed, see :func:`read_train_config`.

    Raises:
        UserError: A file cannot be used, or an option applies to no task.
    """
    configs = {
        task: read_train_config(path, model, freeze) for task, path in paths.items()
    }
    if model is not None:
        check_applies(f"--model {model}", configs, paths, WITH_MODEL)
    if freeze is not None:
        check_applies(f"--freeze {freeze}", configs, paths)
    return configs


def check_applies(
    given: str,
    configs: Mapping[str, Mapping[str, Any]],
    sources: Mapping[str, object],
    takers: Sequence[str] = NAMES,
) -> None:
    """Refuse an option about the encoder where no task has such a frontend.

    Args:
        given: The option and its value.
        configs: Training configuration by task.
        sources: Where it stands, by task.
        takers: Names of the frontends that it is about.

    Raises:
        UserError: None of them has.
    """
    option = given.split()[0]
    others = {
        task: frontend_of(config)
        for task, config in sorted(configs.items())
        if frontend_of(config) not in takers
    }
    if len(others) == len(configs):
        raise UserError(
            f"{given} applies to no task: the frontend of "
            f"{' and '.join(str(sources[task]) for task in others)} is not "
            f"{takers[0]}; leave {option} out."
        )
    for task, frontend in others.items():
        logging.info(
            "%s does not apply to %s: the frontend of %s is %s",
            option,
            task,
            sources[task],
            frontend,
        )


def check_layers(configs: Mapping[str, Mapping[str, Any]]) -> None:
    """Refuse ``--layers true`` where no task has a frontend with layers.

    Args:
        configs: Training configuration by task.

    Raises:
        UserError: None has.
    """
    check_applies("--layers true", configs, {task: task for task in configs})


def frontend_of(config: Mapping[str, Any]) -> str | None:
    """Name a training configuration's frontend; None where there is none."""
    return config.get("frontend", NAMES[0])


def read_train_config(
    path: Path, model: str | None = None, freeze: str | None = None
) -> dict[str, Any]:
    """Read a training configuration and put the encoder into it.

    A YAML file of a small random encoder is copied into the configuration, so that the
    experiment does not change when that file does.

    Args:
        path: YAML file of ESPnet options.
        model: Hub id, directory or YAML file that replaces the configuration's
            ``frontend_conf.model``; None to keep it. It has no effect where the
            frontend takes no pretrained encoder.
        freeze: ``none``, ``cnn``, ``all`` or a number of transformer layers, which
            replaces what the configuration freezes; None to keep that. What is frozen
            is computed once for each utterance.

    Raises:
        UserError: A file is missing or is not a mapping.
    """
    config = read_mapping(path, "a training configuration of ESPnet")
    if frontend_of(config) not in WITH_MODEL:
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
    if isinstance(encoder, str) and encoder.endswith(YAML_ENDINGS):
        encoder = read_mapping(Path(encoder), "an encoder's configuration")
    frontend_conf["model"] = encoder
    if freeze is not None and frontend_of(config) in NAMES:
        frontend_conf.update(_freezing_options(freeze))
    return config


def check_encoder(directory: ExperimentDir, model: Any) -> None:
    """Record the experiment's encoder, or refuse one that has changed since.

    Args:
        directory: The experiment.
        model: ``frontend_conf.model`` of a task, after the encoder has been read.

    Raises:
        UserError: The encoder has changed, or ``encoders.json`` is damaged.
    """
    identity = encoder_identity(model)
    if identity is None:
        return
    known = read_encoders(directory)
    if str(model) not in known:
        known = {**known, str(model): identity}
        write_json(directory.encoders, dict(sorted(known.items())))
    elif known[str(model)] != identity:
        raise UserError(
            f"The encoder {model} has changed since {directory.root} was begun "
            f"({known[str(model)][:20]} then, {identity[:20]} now): restore it, or "
            "give the experiment a new --tag."
        )


def encoder_identity(model: Any) -> str | None:
    """Return what identifies the encoder that a name stands for now.

    Args:
        model: Directory, hub id, name of an encoder that comes with the package, or
            fields of a random one.

    Returns:
        ``blake2b:`` and a digest of a directory's files, ``commit:`` and the commit of
        a repository in this machine's cache, None for anything else.
    """
    if not isinstance(model, str):
        return None
    # Both take seconds to import, and a plan does without them.
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    from espnet2_cltm.frontend.checkpoint import locate_encoder

    directory = Path(locate_encoder(model))
    if directory.is_dir():
        return f"blake2b:{_digest(directory)}"
    try:
        config = try_to_load_from_cache(model, _CONFIGURATION[0])
    except HFValidationError:
        return None
    # <cache>/models--<id>/snapshots/<commit>/config.json
    return f"commit:{Path(config).parent.name}" if isinstance(config, str) else None


def read_encoders(directory: ExperimentDir) -> dict[str, str]:
    """Read what :func:`check_encoder` has recorded, by the encoder's name.

    Raises:
        UserError: The file is damaged.
    """
    if not directory.encoders.exists():
        return {}
    remedy = "delete it if the encoder has not changed since the experiment was begun"
    found = read_json(directory.encoders, remedy)
    if not isinstance(found, dict):
        raise UserError(f"{directory.encoders} is damaged: {remedy}.")
    return found


def _freezing_options(freeze: str) -> dict[str, Any]:
    is_number = freeze.isdecimal()
    n_layers = int(freeze) if is_number else 0
    return {
        "freeze": "none" if is_number else freeze,
        "freeze_layers": n_layers,
        "reuse_frozen": n_layers > 0 or freeze in ("cnn", "all"),
    }


def _digest(directory: Path) -> str:
    digest = hashlib.blake2b(digest_size=16)
    files = [directory / name for name in _CONFIGURATION]
    files += [path for pattern in _WEIGHTS for path in directory.glob(pattern)]
    for path in sorted(path for path in files if path.is_file()):
        digest.update(f"{path.name} {path.stat().st_size}\n".encode())
        with path.open("rb") as content:
            while block := content.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()
