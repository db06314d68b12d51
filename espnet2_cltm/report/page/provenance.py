"""How an experiment was made, as far as the files beside its results tell.

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
from espnet2_cltm.matrix.scores import ResultsSource

# Whose versions may change a number.
STATISTICS_PACKAGES = ("numpy", "scipy")
PACKAGES = ("espnet", "torch", "torchaudio", "transformers", *STATISTICS_PACKAGES)


@dataclass(frozen=True)
class Provenance:
    """Where results come from.

    Attributes:
        command: The command line that makes them; empty where not known.
        settings: Of the experiment; empty where not known.
        train_config: ESPnet training configuration of the task, encoder included.
        versions: Of the software and the results file, by name.
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
        """Name the HuBERT of the training configuration; empty where there is none."""
        config = self.train_config
        if not config or config.get("frontend", "hubert") != "hubert":
            return ""
        model = (config.get("frontend_conf") or {}).get("model", "")
        return model if isinstance(model, str) else "a small HuBERT with random weights"


def read_provenance(results: Path, source: ResultsSource) -> Provenance:
    """Read what lies beside a results file.

    Args:
        results: The file.
        source: What it was read as.

    Raises:
        UserError: ``experiment.yaml`` or ``command.txt`` is there and can't be read.
    """
    settings = _settings(results.parent / "experiment.yaml")
    train_config = settings.pop("train_config", {}).get(source.task) or {}
    command = _text(results.parent / "command.txt").strip()
    versions = _versions(source, made_here=bool(settings))
    return Provenance(command, settings, train_config, versions)


def _settings(path: Path) -> dict[str, Any]:
    if not path.exists():
        return {}
    try:
        content = yaml.safe_load(_text(path))
    except (yaml.YAMLError, ValueError) as error:  # a date that is none, for instance
        raise _damaged(path, " ".join(str(error).split())) from error
    if not isinstance(content, dict):
        raise _damaged(path, "it holds no settings")
    configs = content.get("train_config", {})
    if not isinstance(configs, dict):
        raise _damaged(path, "train_config is no mapping of tasks")
    for task, config in configs.items():
        if not isinstance(config, dict | NoneType):
            raise _damaged(path, f"train_config of {task} is no mapping")
        if not isinstance((config or {}).get("frontend_conf"), dict | NoneType):
            raise _damaged(path, f"frontend_conf of {task} is no mapping")
    return content


def _damaged(path: Path, reason: str) -> UserError:
    return UserError(f"{path} is damaged ({reason}): restore it, or run stage 3 again.")


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8"
        raise UserError(f"{path} cannot be read ({reason}): restore it.") from error


def _versions(source: ResultsSource, made_here: bool) -> tuple[tuple[str, str], ...]:
    """List versions; those of the training only of results that were made here."""
    found = [("espnet2_cltm", __version__), ("Python", platform.python_version())]
    for name in PACKAGES if made_here else STATISTICS_PACKAGES:
        try:
            found.append((name, version(name)))
        except PackageNotFoundError:
            continue
    return (*found, (source.file, f"SHA-256 {source.sha256}"))
