"""What all runs of an experiment have in common: ``experiment.yaml``.

Languages and seeds may be added to an experiment; everything here may not change,
or runs that can't be compared would stand in one matrix.
"""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import yaml

from espnet2_cltm.errors import UserError
from espnet2_cltm.files import write_text


@dataclass(frozen=True)
class Settings:
    """Settings of an experiment.

    Attributes:
        corpus: Name of the corpus.
        dumpdir: Where the audio store is.
        budget: N, utterances (gender: per class) of a single run.
        zero_shot: Whether single runs are tested on every language.
        test_batch_bins: Most samples in a test batch; the last bits of a
            prediction depend on it.
        train_config: ESPnet training configuration by task, encoder included.
    """

    corpus: str
    dumpdir: str
    budget: int
    zero_shot: bool = True
    test_batch_bins: int = 480_000
    train_config: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def tasks(self) -> list[str]:
        """Name the tasks, sorted."""
        return sorted(self.train_config)

    def split_dir(self, lang: str, split: str) -> Path:
        """Give a split's directory in the audio store."""
        return Path(self.dumpdir) / self.corpus / lang / split


def write_settings(path: Path, settings: Settings) -> None:
    """Write settings as YAML."""
    write_text(path, yaml.safe_dump(asdict(settings), sort_keys=False))


def read_settings(path: Path) -> Settings:
    """Read settings.

    Raises:
        UserError: The file is missing or damaged.
    """
    try:
        return Settings(**yaml.safe_load(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise UserError(
            f"{path} cannot be read ({error.strerror}): run stage 3 first."
        ) from error
    except (TypeError, yaml.YAMLError) as error:
        raise UserError(
            f"{path} is damaged ({error}): restore it, or delete the experiment and "
            "run stage 3 again."
        ) from error


def check_unchanged(path: Path, settings: Settings) -> None:
    """Refuse settings that differ from those of an existing experiment.

    A task may be added; the settings of a task that is there may not change.

    Args:
        path: The experiment's ``experiment.yaml``; nothing is checked where it is
            missing.
        settings: What was asked for now.

    Raises:
        UserError: Something differs; every difference is shown.
    """
    if not path.exists():
        return
    before = asdict(read_settings(path))
    now = asdict(settings)
    for side, other in ((before, now), (now, before)):
        side["train_config"] = {
            task: config
            for task, config in side["train_config"].items()
            if task in other["train_config"]
        }
    changes = list(_differences(before, now))
    if changes:
        raise UserError(
            f"{path} was made with other settings ({'; '.join(changes)}): give the "
            "new ones a --tag of their own, or delete the old experiment."
        )


def read_train_config(path: Path, model: str | None) -> dict[str, Any]:
    """Read a training configuration and put the encoder into it.

    An encoder that is a YAML file of a small random one is taken in whole, so that
    the experiment does not change when that file does.

    Args:
        path: YAML file of ESPnet options.
        model: Hub id, directory or YAML file that replaces the configuration's
            ``frontend_conf.model``, or None to keep it.

    Raises:
        UserError: A file is missing or is no mapping.
    """
    config = _read_mapping(path, "a training configuration of ESPnet")
    if config.get("frontend", "hubert") != "hubert":
        if model is not None:
            raise UserError(
                f"{path} uses the frontend {config['frontend']}, which takes no "
                "encoder: leave --model out."
            )
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
    return config


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


def _differences(before: Any, now: Any, name: str = "") -> Iterator[str]:
    if isinstance(before, Mapping) and isinstance(now, Mapping):
        for key in sorted({*before, *now}, key=str):
            below = f"{name}.{key}" if name else str(key)
            yield from _differences(before.get(key), now.get(key), below)
    elif before != now:
        yield f"{name}: {before} before, {now} now"
