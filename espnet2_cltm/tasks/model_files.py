"""Trained models on disk: the two files that a training leaves, or one packed file.

A packed model is a zip of ``meta.yaml``, ``config.yaml`` (every option of the training)
and weights, one ``<n>epoch.pth`` for each checkpoint; ``espnet2.main_funcs.pack_funcs``
unpacks it too. Where several checkpoints were tested, ``checkpoints`` in ``meta.yaml``
tells which test took which. The encoder's architecture stands in ``config.yaml``, so
that neither the hub nor a file of the experiment is needed to build the model, unless
its strategy stores a part of the weights only.
"""

import argparse
import copy
import zipfile
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import espnet
import huggingface_hub
import torch
import yaml
from espnet2.main_funcs.pack_funcs import find_path_and_change_it_recursive
from espnet2.train.abs_espnet_model import AbsESPnetModel
from espnet2.utils.yaml_no_alias_safe_dump import yaml_no_alias_safe_dump

from espnet2_cltm.errors import UserError, foreign
from espnet2_cltm.files import parse_yaml, read_mapping, replacing
from espnet2_cltm.frontend.checkpoint import describe_encoder, hub_is_reachable
from espnet2_cltm.frontend.hubert import HubertFrontend
from espnet2_cltm.strategies.strategy import strategy_of
from espnet2_cltm.tasks.espnet import AbsTask

FILE_NAME = "model.zip"
_META = "meta.yaml"
_CONFIG = "config.yaml"
_STATISTICS = "feats_stats.npz"
_MOST_YAML_BYTES = 10_000_000


def load_model(
    task: type[AbsTask], train_config: Path | str, model_file: Path | str
) -> AbsESPnetModel:
    """Build a trained model.

    Unlike in ESPnet's own loading, weights that are missing or left over are an error,
    but for those that the model's strategy does not store.

    Args:
        task: ESPnet task whose ``train_command`` wrote the files.
        train_config: The training's ``config.yaml``.
        model_file: Weights, such as ``latest.pth``.

    Returns:
        The model on the CPU.

    Raises:
        UserError: A file is missing, or the weights do not fit the configuration.
    """
    for path in (train_config, model_file):
        if not Path(path).is_file():
            raise UserError(
                f"{path} is missing: give the config.yaml and the weights that "
                f"{task.train_command} wrote."
            )
    config = read_mapping(
        train_config, f"the config.yaml that {task.train_command} wrote"
    )
    # Trainings from before there were strategies do not name one.
    parts = {choices.name for choices in task.class_choices_list} - {"strategy"}
    if not parts <= config.keys():
        raise UserError(
            f"{train_config} is not the config.yaml that {task.train_command} wrote "
            "beside the weights: give that file."
        )
    # Options that are younger than the training have their defaults.
    defaults = vars(task.get_parser().parse_args([]))
    with foreign(
        f"{train_config} does not describe a model",
        f"give the config.yaml that {task.train_command} wrote beside the weights",
    ):
        model = task.build_model(argparse.Namespace(**{**defaults, **config}))
    stored = strategy_of(model).to_store(model)
    state = {} if stored is None else model.state_dict()
    built = {name: state[name] for name in state.keys() - set(stored or ())}
    with foreign(
        f"{model_file} does not hold the weights of the model in {train_config}",
        "give the two files of one training",
    ):
        trained = torch.load(model_file, map_location="cpu", weights_only=True)
        model.load_state_dict({**built, **trained})
        bad = [name for name, value in trained.items() if not value.isfinite().all()]
        if bad:
            raise ValueError(f"{bad[0]} is not finite")
    return model


@dataclass(frozen=True)
class PackedModel:
    """What a packed model says of itself; its weights are not read yet.

    Attributes:
        path: The file.
        task: Name of the task.
        run: Name of the run.
        languages: Languages that the model was trained on.
        checkpoints: By test language the ``file``, its ``epoch``, and the ``criterion``
            and ``value`` that chose the epoch, where something did.
    """

    path: Path
    task: str
    run: str
    languages: tuple[str, ...]
    checkpoints: Mapping[str, Mapping[str, Any]]

    def weights_for(self, language: str | None = None) -> str:
        """Return the file of the weights that were chosen for a language.

        Args:
            language: Test language; None where all take the same.

        Raises:
            UserError: The model was not tested on it, or None is ambiguous.
        """
        if language is not None and language in self.checkpoints:
            return self.checkpoints[language]["file"]
        files = {entry["file"] for entry in self.checkpoints.values()}
        if language is None and len(files) == 1:
            return files.pop()
        problem = f"was not tested on {language!r}"
        if language is None:
            problem = f"holds {len(files)} checkpoints, each chosen for a language"
        raise UserError(
            f"{self.path} {problem}: give one of {', '.join(sorted(self.checkpoints))} "
            "as language."
        )

    def extract(
        self, directory: Path | str, language: str | None = None
    ) -> dict[str, str]:
        """Write the two files that build the model.

        Args:
            directory: Directory to write them to.
            language: Test language whose checkpoint is taken; see :meth:`weights_for`.

        Returns:
            ``train_config`` and ``model_file``, arguments of :func:`.load_model`.

        Raises:
            UserError: The file is damaged; or see :meth:`weights_for`.
        """
        directory = Path(directory)
        weights = self.weights_for(language)
        train_config = directory / _CONFIG
        with _naming_damage(self.path), zipfile.ZipFile(self.path) as archive:
            config = _read_yaml(archive, _CONFIG, self.path)
            names = [weights]
            if _STATISTICS in archive.namelist():
                names.append(_STATISTICS)
            for name in names:
                # Whole, so that its checksum is verified.
                (directory / name).write_bytes(archive.read(name))
            config = find_path_and_change_it_recursive(
                config, _STATISTICS, str(directory / _STATISTICS)
            )
            train_config.write_text(yaml.safe_dump(config), encoding="utf-8")
        return {
            "train_config": str(train_config),
            "model_file": str(directory / weights),
        }


def pack_model(
    path: Path,
    model: AbsESPnetModel,
    args: argparse.Namespace,
    weights: Mapping[str, Mapping[str, torch.Tensor]],
    packed: PackedModel,
) -> None:
    """Pack a model, whole or not at all.

    Args:
        path: File to write, ending in ``.zip``.
        model: The model.
        args: ESPnet's arguments of its training.
        weights: States of the model by file name, such as ``2epoch.pth``.
        packed: What the file says of itself; its ``path`` is not used.
    """
    stored = strategy_of(model).to_store(model)
    config, statistics = _portable_config(model, args, keeps_encoder=stored is None)
    meta = {
        # ESPnet's own, with the names of its inference commands' options.
        "files": {"model_file": next(iter(weights))},
        "yaml_files": {"train_config": _CONFIG},
        "espnet": espnet.__version__,
        "torch": str(torch.__version__),
        "task": packed.task,
        "run": packed.run,
        "languages": list(packed.languages),
        "checkpoints": {name: dict(e) for name, e in packed.checkpoints.items()},
    }
    # Entries have no time of their own: equal contents are equal bytes.
    with replacing(path) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        for name, content in ((_META, meta), (_CONFIG, config)):
            text = yaml_no_alias_safe_dump(content, sort_keys=False)
            archive.writestr(zipfile.ZipInfo(name), text.encode())
        if statistics is not None:
            archive.writestr(
                zipfile.ZipInfo(_STATISTICS), Path(statistics).read_bytes()
            )
        for name, state in weights.items():
            on_cpu = {
                key: tensor.detach().cpu()
                for key, tensor in _of_model(model, state).items()
            }
            entry = zipfile.ZipInfo(name)
            with archive.open(entry, "w", force_zip64=True) as output:
                torch.save(on_cpu, output)


def stored_bytes(model: torch.nn.Module) -> int:
    """Return the bytes of the weights that :func:`pack_model` stores, uncompressed."""
    return sum(value.nbytes for value in _of_model(model, model.state_dict()).values())


def _of_model(
    model: torch.nn.Module, state: Mapping[str, torch.Tensor]
) -> Mapping[str, torch.Tensor]:
    """Return what its strategy stores of a model's state."""
    stored = strategy_of(model).to_store(model)
    return {k: v for k, v in state.items() if stored is None or k in stored}


def read_packed_model(path: Path | str) -> PackedModel:
    """Read what a packed model says of itself.

    Raises:
        UserError: The file is missing, damaged or not a packed model.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(
            f"{path} is missing: there is no such run, or its model was not kept; "
            "give another run, or keep models with --keep_models."
        )
    with _naming_damage(path), zipfile.ZipFile(path) as archive:
        names = set(archive.namelist())
        meta = _read_yaml(archive, _META, path) if _META in names else {}
    with foreign(
        f"{path} is not a model that an experiment has kept",
        f"give exp/<tag>/runs/<run> or its {FILE_NAME}",
    ):
        checkpoints = meta["checkpoints"]
        packed = PackedModel(
            path,
            str(meta["task"]),
            str(meta["run"]),
            tuple(map(str, meta["languages"])),
            {str(name): dict(checkpoints[name]) for name in checkpoints},
        )
        members = {str(entry["file"]) for entry in packed.checkpoints.values()}
        missing = {_CONFIG, *members} - names
        # A name with a directory in it would be written there.
        if missing or not members or any(Path(m).name != m for m in members):
            raise KeyError(min(missing or members or {"checkpoints"}))
    return packed


def find_packed_model(model_tag: Path | str) -> PackedModel:
    """Find a packed model.

    Args:
        model_tag: A run's directory, a packed model, or the id of a repository on
            the Hugging Face hub that holds one as ``model.zip``.

    Raises:
        UserError: It is not available.
    """
    path = Path(model_tag)
    if path.is_dir():
        path = path / FILE_NAME
    elif not path.exists() and path.suffix != ".zip":
        with foreign(
            f"{str(model_tag)!r} is not a directory of a run or a {FILE_NAME}, and is "
            "not available from the hub",
            "give exp/<tag>/runs/<run>, or the id of a repository that holds a "
            f"{FILE_NAME}",
        ):
            downloaded = huggingface_hub.hf_hub_download(
                str(model_tag), FILE_NAME, local_files_only=not hub_is_reachable()
            )
        path = Path(downloaded)
    return read_packed_model(path)


def _portable_config(
    model: AbsESPnetModel, args: argparse.Namespace, keeps_encoder: bool
) -> tuple[dict[str, Any], str | None]:
    """Return the training's options without what lies elsewhere, and statistics' file.

    An encoder whose weights are not kept is still named by its hub id or directory.
    """
    config = copy.deepcopy(vars(args))
    frontend = getattr(model, "frontend", None)
    if isinstance(frontend, HubertFrontend) and keeps_encoder:
        config["frontend_conf"]["model"] = describe_encoder(
            frontend.hubert.config, frontend.normalize_waveform
        )
    statistics = (config.get("normalize_conf") or {}).get("stats_file")
    if statistics is not None:
        config["normalize_conf"]["stats_file"] = _STATISTICS
    return config, statistics


def _naming_damage(path: Path) -> AbstractContextManager[None]:
    return foreign(
        f"{path} is damaged", "delete it, copy it again, or make its run again"
    )


def _read_yaml(archive: zipfile.ZipFile, name: str, path: Path) -> Any:
    if archive.getinfo(name).file_size > _MOST_YAML_BYTES:
        raise ValueError(f"{name} has more than {_MOST_YAML_BYTES} bytes")
    return parse_yaml(archive.read(name).decode(), f"{path}/{name}")
