"""How results were made, as far as the files beside them tell.

Stage 3 leaves ``experiment.yaml`` (the settings of all runs) and ``command.txt`` (the
command that makes the experiment) in the directory that stage 5 writes ``results.tsv``
to. Results from elsewhere have neither.
"""

import platform
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import NoneType
from typing import Any

import yaml

from espnet2_cltm import __version__
from espnet2_cltm.errors import UserError
from espnet2_cltm.files import read_mapping, read_text
from espnet2_cltm.matrix.scores import ResultsSource

# A number may change with the version of one of these.
STATISTICS_PACKAGES = ("numpy", "scipy")
PACKAGES = ("espnet", "torch", "torchaudio", "transformers", *STATISTICS_PACKAGES)
REMEDY = "restore it, or run stage 3 again"


@dataclass(frozen=True)
class Provenance:
    """Where results come from.

    Attributes:
        command: Command line that makes them; empty where not known.
        settings: Settings of the experiment; empty where not known.
        train_config: ESPnet training configuration of the task, encoder included.
        versions: Versions of the software and the results file, by name.
    """

    command: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    train_config: Mapping[str, Any] = field(default_factory=dict)
    versions: tuple[tuple[str, str], ...] = ()

    @property
    def configuration(self) -> str:
        """All settings as YAML; empty where not known."""
        if not self.settings:
            return ""
        content = {**self.settings, "train_config": dict(self.train_config)}
        return yaml.safe_dump(content, sort_keys=False, allow_unicode=True)

    @property
    def encoder(self) -> str:
        """Name the encoder of the training configuration; empty where there is none."""
        model = (self.train_config.get("frontend_conf") or {}).get("model", "")
        if isinstance(model, str):
            return model
        return "a small encoder with random weights"


def read_provenance(results: Path, source: ResultsSource) -> Provenance:
    """Read what lies beside a results file.

    Args:
        results: The file.
        source: What was read from it.

    Raises:
        UserError: ``experiment.yaml`` or ``command.txt`` is damaged.
    """
    settings = _settings(results.parent / "experiment.yaml")
    train_config = settings.pop("train_config", {}).get(source.task) or {}
    path = results.parent / "command.txt"
    command = read_text(path, REMEDY).strip() if path.exists() else ""
    versions = _versions(source, made_here=bool(settings))
    return Provenance(command, settings, train_config, versions)


def strategy_order(results: Path) -> tuple[str, ...]:
    """Return the names of an experiment's strategies in their order, if there are any.

    Args:
        results: The results file.

    Raises:
        UserError: ``experiment.yaml`` beside it is damaged.
    """
    return tuple(_settings(results.parent / "experiment.yaml").get("strategies") or ())


def _settings(path: Path) -> dict[str, Any]:
    if not path.exists():
        return {}
    try:
        content = read_mapping(path, "the settings of an experiment", REMEDY)
    except ValueError as error:  # such as a date that does not exist
        raise UserError(f"{path} is damaged ({error}): {REMEDY}.") from error
    configs = content.get("train_config", {})
    if not isinstance(configs, dict):
        raise UserError(f"{path}: train_config is not a mapping of tasks: {REMEDY}.")
    for task, config in configs.items():
        if not isinstance(config, dict | NoneType) or not isinstance(
            (config or {}).get("frontend_conf"), dict | NoneType
        ):
            raise UserError(
                f"{path}: train_config or frontend_conf of {task} is not a mapping: "
                f"{REMEDY}."
            )
    return content


def _versions(source: ResultsSource, made_here: bool) -> tuple[tuple[str, str], ...]:
    """List versions; those of the training only of results that were made here."""
    found = [("espnet2_cltm", __version__), ("Python", platform.python_version())]
    for name in PACKAGES if made_here else STATISTICS_PACKAGES:
        try:
            found.append((name, version(name)))
        except PackageNotFoundError:
            continue
    return (*found, (source.file, f"SHA-256 {source.sha256}"))
