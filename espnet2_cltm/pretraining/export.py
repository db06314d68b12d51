"""From a training to a checkpoint in Hugging Face's layout, and its model card.

Writes what :func:`espnet2_cltm.frontend.checkpoint.load_hubert` and transformers'
``from_pretrained`` read: ``config.json``, ``preprocessor_config.json`` and, last,
``model.safetensors``: a directory that has it is complete. The card states facts of the
experiment, read from its files.
"""

import json
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from transformers import HubertConfig, HubertModel, Wav2Vec2FeatureExtractor

from espnet2_cltm.corpus.audio import SAMPLE_RATE
from espnet2_cltm.corpus.datadir import read_table
from espnet2_cltm.errors import UserError, foreign
from espnet2_cltm.files import read_json, read_mapping, read_text, replacing, write_text
from espnet2_cltm.frontend.checkpoint import load_hubert

PREFIX = "hubert.hubert."
"""Prefix of the encoder's weights in a :class:`.MaskedPredictionModel`'s state."""

DTYPES = {"float16": torch.float16, "float32": torch.float32}

_REMEDY = "run the stage that makes it"


def export_hubert(
    weights: Path, model: str | Mapping[str, object], outdir: Path, dtype: str
) -> int:
    """Write the encoder of a pretraining.

    Args:
        weights: ESPnet's ``*.pth``.
        model: ``model`` in ``frontend_conf``, the encoder that the training began with.
        outdir: Directory to write to; files of the same names are replaced.
        dtype: Precision of the file, ``float16`` or ``float32``; it is read as float32.

    Returns:
        Number of parameters.

    Raises:
        UserError: The weights cannot be read or are another model's, or overflow.
    """
    start = load_hubert(model)
    config = start.model.config
    state = _read_weights(weights)
    wanted = {name: value.shape for name, value in start.model.state_dict().items()}
    if {name: value.shape for name, value in state.items()} != wanted:
        raise UserError(
            f"{weights} does not hold the weights of the encoder {model}: give the "
            "model that the training began with."
        )
    state = {
        name: value.to(DTYPES[dtype]).contiguous() for name, value in state.items()
    }
    bad = [name for name, value in state.items() if not value.isfinite().all()]
    if bad:
        raise UserError(
            f"{weights} holds weights that are not finite in {dtype}, {bad[0]} first: "
            "train with a lower learning rate, or export with --dtype float32."
        )
    write_text(outdir / "config.json", _config_json(config))
    extractor = Wav2Vec2FeatureExtractor(
        sampling_rate=SAMPLE_RATE,
        do_normalize=start.normalize_waveform,
        # transformers' rule: with a group norm, padding must not be seen.
        return_attention_mask=config.feat_extract_norm == "layer",
    )
    write_text(outdir / "preprocessor_config.json", extractor.to_json_string())
    with replacing(outdir / "model.safetensors") as temporary:
        save_file(state, temporary, metadata={"format": "pt"})
    return sum(value.numel() for value in state.values())


def _read_weights(path: Path) -> dict[str, torch.Tensor]:
    with foreign(f"{path} cannot be read as weights", "give the *.pth of a training"):
        state = torch.load(path, map_location="cpu", weights_only=True)
    return {
        name.removeprefix(PREFIX): value
        for name, value in state.items()
        if name.startswith(PREFIX)
    }


def _config_json(config: HubertConfig) -> str:
    # Written by transformers itself, then freed of where it was read from.
    with tempfile.TemporaryDirectory() as directory:
        config.save_pretrained(directory)
        fields = json.loads((Path(directory) / "config.json").read_text())
    fields.pop("_name_or_path", None)
    # Whatever the file's precision: transformers computes in the one named here.
    fields |= {"architectures": [HubertModel.__name__], "dtype": "float32"}
    return json.dumps(fields, indent=2, sort_keys=True) + "\n"


def write_card(exp: Path, template: Path, parameters: int) -> Path:
    """Write the model card of a pretrained HuBERT, ``<exp>/hf/README.md``.

    It states facts only: what made it from ``commit.txt`` and ``command.txt``, data and
    targets from the targets' directories, training from
    ESPnet's ``config.yaml`` and ``train.log``, figures from ``probe.tsv`` where there
    is one. What people should know besides (limits, licence) is in the template.

    Args:
        exp: Experiment of the recipe.
        template: Text with ``{placeholders}``.
        parameters: Number of the encoder's weights.

    Returns:
        Path of the card.

    Raises:
        UserError: A file of the experiment is missing, or the template has an unknown
            placeholder.
    """
    text = read_text(template, "correct its path")
    made_by = {
        name: read_text(exp / f"{name}.txt", "run stage 7 of the recipe").strip()
        for name in ("commit", "command")
    }
    values = {
        **made_by,
        "title": exp.name,
        "parameters": parameters,
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
    weights = _read_config(exp / "second").get("model_conf") or {}
    table = "utt2num_samples"
    if weights.get("grounding_weight"):
        table += ".captions"
    lines = []
    for split in ("train", "dev"):
        lengths = read_table(exp / "second_targets" / split / table)
        hours = sum(map(int, lengths.values())) / SAMPLE_RATE / 3600
        lines.append(f"{split} {hours:.2f} hours in {len(lengths)} utterances")
    langs = settings["langs"]
    return f"{len(langs)} languages ({' '.join(langs)}); {', '.join(lines)}."


def _describe_targets(exp: Path) -> str:
    lines = []
    for directory in _list_made(exp, "first_targets", "second_targets"):
        settings = _read_settings(directory)
        what = {
            "mfcc": "MFCC with differences",
            "layer": f"layer {settings['layer']} of {_name_model(settings['model'])}",
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
    if weights.get("feature_weight"):
        lines.append(
            "* PanPhon's articulatory features of the phone that is spoken at a frame, "
            f"to be told from it: weight {weights['feature_weight']}"
        )
    if weights.get("grounding_weight"):
        picture_of = read_table(exp / "pictures" / "train" / "utt2picture")
        lines.append(
            f"* pictures: each of {len(picture_of)} captions in train is to find which "
            f"of {len({*picture_of.values()})} pictures it tells of, and each picture "
            f"its caption, among those of a batch: weight {weights['grounding_weight']}"
        )
    return "\n".join(lines)


def _describe_training(exp: Path) -> str:
    lines = []
    for directory in _list_made(exp, "first", "second"):
        config = _read_config(directory)
        rate = config["scheduler_conf"].get("max_lr", config["optim_conf"]["lr"])
        steps = config["max_epoch"] * config["num_iters_per_epoch"]
        model = _name_model(config["frontend_conf"]["model"])
        pairs = bool((config["model_conf"] or {}).get("contrast_weight"))
        lines.append(
            f"* {directory.name}, from {model}: {steps} steps of "
            f"{config['batch_size']} {'pairs of ' if pairs else ''}crops of "
            f"{config['crop_seconds']} s, learning rate up to {rate}, "
            f"seed {config['seed']}; "
            f"{_last_validation(directory / 'train.log')}"
        )
    return "\n".join(lines)


def _read_config(directory: Path) -> dict[str, Any]:
    return read_mapping(directory / "config.yaml", "ESPnet's configuration", _REMEDY)


def _list_made(exp: Path, first: str, second: str) -> list[Path]:
    """Return both directories, the first only where there was a first training."""
    return [
        exp / name
        for name in (first, second)
        if name == second or (exp / name).exists()
    ]


def _name_model(model: str) -> str:
    """Return a model's name, without the place it lies at if it is the first one."""
    path = Path(model)
    if path.parts[-2:] == ("first", "hf"):
        return "the first model"
    return f"`{path.name if path.is_dir() else model}`"


def _last_validation(log: Path) -> str:
    found = re.findall(r"\[valid\] (.*?), time=", read_text(log, _REMEDY))
    if not found:
        raise UserError(f"{log} holds no whole epoch: run the training's stage again.")
    return f"validation at its end: {found[-1]}"


def _describe_probe(path: Path) -> str:
    if not path.exists():
        return "Not probed yet: run stage 8."
    header, *rows = (line.split("\t") for line in read_text(path, _REMEDY).splitlines())
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


def _read_settings(directory: Path) -> dict[str, Any]:
    return read_json(directory / "settings.json", _REMEDY)
