"""The model card of a pretrained HuBERT, written from the files of its experiment.

Facts only: data and targets from the targets' directories, training from ESPnet's
``config.yaml`` and ``train.log``, figures from ``probe.tsv`` where there is one. What
people should know besides (limits, licence) is in ``conf/model_card.md``, a template
with ``{names}`` that are filled in here.
"""

import json
import re
from dataclasses import dataclass
from pathlib import Path

import yaml

from espnet2_cltm.corpus.audio import SAMPLE_RATE
from espnet2_cltm.corpus.datadir import read_table
from espnet2_cltm.errors import UserError
from espnet2_cltm.files import write_text


@dataclass(frozen=True)
class CardFacts:
    """What is not in the experiment's files.

    Attributes:
        title: Of the card.
        commit: Of the source code that trained.
        parameters: Number of the encoder's weights.
        command: That made the experiment.
    """

    title: str
    commit: str
    parameters: int
    command: str


def write_card(exp: Path, template: Path, facts: CardFacts) -> Path:
    """Write ``<exp>/hf/README.md``.

    Raises:
        UserError: Something of the experiment is missing, or the template asks for
            what is not known.
    """
    text = _read(template)
    values = {
        **vars(facts),
        "data": _describe_data(exp),
        "targets": _describe_targets(exp),
        "training": _describe_training(exp),
        "probe": _describe_probe(exp / "probe.tsv"),
    }
    try:
        card = text.format(**values)
    except (KeyError, ValueError, IndexError) as error:
        raise UserError(
            f"{template} has a placeholder that is not known ({error}): known are "
            f"{', '.join(sorted(values))}."
        ) from error
    path = exp / "hf" / "README.md"
    write_text(path, card)
    return path


def _describe_data(exp: Path) -> str:
    settings = _read_settings(exp / "second_targets")
    lines = []
    for split in ("train", "dev"):
        lengths = read_table(exp / "second_targets" / split / "utt2num_samples")
        hours = sum(map(int, lengths.values())) / SAMPLE_RATE / 3600
        lines.append(f"{split} {hours:.2f} hours in {len(lengths)} utterances")
    langs = settings["langs"]
    return f"{len(langs)} languages ({' '.join(langs)}); {', '.join(lines)}."


def _describe_targets(exp: Path) -> str:
    lines = []
    for name in ("first_targets", "second_targets"):
        directory = exp / name
        settings = _read_settings(directory)
        what = {
            "mfcc": "MFCC with differences",
            "layer": f"layer {settings['layer']} of the first model",
        }[settings["features"]]
        lines.append(
            f"* {settings['num_clusters']} clusters of {what}, k-means on "
            f"{settings['fit_frames']} frames, seed {settings['seed']}"
        )
    weights = _read_config(exp / "second").get("model_conf") or {}
    if weights.get("summary_weight"):
        lines.append(
            "* what a crop sounds like as a whole (mean and deviation over time of its "
            "spectrum, periodicity at 16 pitches), to be told from the mean over its "
            f"frames: weight {weights['summary_weight']}"
        )
    if weights.get("contrast_weight"):
        lines.append(
            "* the speaker: the means of crops of two utterances of one speaker are to "
            "be more alike than those of two speakers: weight "
            f"{weights['contrast_weight']}"
        )
    return "\n".join(lines)


def _describe_training(exp: Path) -> str:
    lines = []
    for name in ("first", "second"):
        config = _read_config(exp / name)
        rate = config["scheduler_conf"].get("max_lr", config["optim_conf"]["lr"])
        steps = config["max_epoch"] * config["num_iters_per_epoch"]
        pairs = bool((config["model_conf"] or {}).get("contrast_weight"))
        lines.append(
            f"* {name}, from {_first_name(config)}: {steps} steps of "
            f"{config['batch_size']} {'pairs of ' if pairs else ''}crops of "
            f"{config['crop_seconds']} s, learning rate up to {rate}, "
            f"seed {config['seed']}; "
            f"{_last_validation(exp / name / 'train.log')}"
        )
    return "\n".join(lines)


def _read_config(directory: Path) -> dict:
    return yaml.safe_load(_read(directory / "config.yaml"))


def _first_name(config: dict) -> str:
    """Name what a training began with, without the place where it was made."""
    path = Path(config["frontend_conf"]["model"])
    return "the first model" if path.parts[-2:] == ("first", "hf") else f"`{path}`"


def _last_validation(log: Path) -> str:
    found = re.findall(r"\[valid\] (.*?), time=", _read(log))
    if not found:
        raise UserError(f"{log} holds no whole epoch: run the training's stage again.")
    return f"validation at its end: {found[-1]}"


def _describe_probe(path: Path) -> str:
    if not path.exists():
        return "Not probed yet: run stage 8."
    header, *rows = (line.split("\t") for line in _read(path).splitlines())
    measures = [name for name in header[2:] if not name.endswith("_sd")]
    lines = [
        "| " + " | ".join([*header[:2], *measures]) + " |",
        "|---" * (2 + len(measures)) + "|",
    ]
    for row in rows:
        value = dict(zip(header, row, strict=True))
        cells = [
            f"{float(value[name]):.3f} ({float(value[f'{name}_sd']):.3f})"
            for name in measures
        ]
        lines.append(
            "| " + " | ".join([value["corpus"], value["features"], *cells]) + " |"
        )
    return "\n".join(lines)


def _read_settings(directory: Path) -> dict:
    return json.loads(_read(directory / "settings.json"))


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise UserError(
            f"{path} cannot be read ({error.strerror}): run the stage that makes it."
        ) from error
