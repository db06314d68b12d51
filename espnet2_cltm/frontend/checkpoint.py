"""Reading a HuBERT checkpoint once per process.

A checkpoint is named by a hub id (``utter-project/mHuBERT-147``), by a local
directory written by ``save_pretrained``, by the name of one that comes with the package
(:mod:`.shipped`), or by a YAML file or mapping of
``HubertConfig`` fields for a small one with random weights. Experiments build
thousands of models from one checkpoint: it is read, or drawn, the first time and
copied in memory afterwards.
"""

import copy
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import yaml
from huggingface_hub.errors import StrictDataclassError
from transformers import (
    HubertConfig,
    HubertModel,
    PretrainedConfig,
    Wav2Vec2FeatureExtractor,
)
from transformers.utils import logging as transformers_logging

from espnet2_cltm.corpus.audio import SAMPLE_RATE
from espnet2_cltm.errors import UserError
from espnet2_cltm.frontend.filterbank import start_as_filterbank
from espnet2_cltm.frontend.shipped import locate_encoder

# The only parameter that published checkpoints may lack: it is used for masking
# in pretraining alone.
_MAY_BE_MISSING = {"masked_spec_embed"}

# What transformers raises for fields of the wrong type or value.
_BAD_FIELDS = (ValueError, TypeError, KeyError, RuntimeError, StrictDataclassError)


@dataclass(frozen=True)
class HubertCheckpoint:
    """A HuBERT and how it wants its input.

    Attributes:
        model: Weights in float32, in evaluation mode. A copy of its own for every
            call of :func:`load_hubert`.
        normalize_waveform: Whether each waveform is brought to zero mean and unit
            variance, the feature extractor's ``do_normalize``.
    """

    model: HubertModel
    normalize_waveform: bool


_loaded: dict[str, HubertCheckpoint] = {}


def load_hubert(
    model: str | Mapping[str, Any], config_overrides: Mapping[str, Any] | None = None
) -> HubertCheckpoint:
    """Give a fresh copy of a HuBERT.

    No random number is drawn from the process's generators, so that what is built
    next does not depend on where the encoder came from.

    Args:
        model: Hub id, local directory, ``hubert-small``, or for random weights a
            YAML file or mapping of ``HubertConfig`` fields, with ``init_seed`` (int,
            default 0), ``init_filterbank`` (bool, default false: see
            :mod:`.filterbank`) and ``normalize_waveform`` (bool, default true) beside
            them.
        config_overrides: ``HubertConfig`` fields that replace the checkpoint's,
            for instance ``{"layerdrop": 0.0}``.

    Raises:
        UserError: The checkpoint can't be had, isn't a HuBERT, or lacks weights.
    """
    if isinstance(model, str):
        model = locate_encoder(model)
    overrides = dict(config_overrides or {})
    unknown = sorted(set(overrides) - set(HubertConfig().to_dict()))
    if unknown:
        raise UserError(
            f"HuBERT has no configuration field {unknown[0]!r}: correct "
            "config_overrides in frontend_conf."
        )
    key = json.dumps([_identity(model), overrides], sort_keys=True)
    if key not in _loaded:
        _loaded[key] = _read(model, overrides)
    pristine = _loaded[key]
    return HubertCheckpoint(copy.deepcopy(pristine.model), pristine.normalize_waveform)


def describe_hubert(config: HubertConfig, normalize_waveform: bool) -> dict[str, Any]:
    """Describe a HuBERT so that :func:`load_hubert` builds one of the same shape.

    Args:
        config: The model's configuration.
        normalize_waveform: How it wants its input.

    Returns:
        A mapping for :func:`load_hubert`, of plain values; weights are not in it.
    """
    # What every model of transformers has tells nothing of this one.
    common = PretrainedConfig().to_dict().keys()
    fields = {k: v for k, v in config.to_dict().items() if k not in common}
    known = HubertConfig().to_dict().keys()
    return {
        **{k: v for k, v in fields.items() if k in known},
        "normalize_waveform": normalize_waveform,
    }


def _identity(model: str | Mapping[str, Any]) -> Any:
    return dict(model) if isinstance(model, Mapping) else str(model)


def _read(
    model: str | Mapping[str, Any], overrides: Mapping[str, Any]
) -> HubertCheckpoint:
    if isinstance(model, Mapping):
        return _draw(dict(model), overrides, source="model in frontend_conf")
    if Path(model).suffix in {".yaml", ".yml"}:
        return _draw(_read_yaml(Path(model)), overrides, source=str(model))
    return _read_pretrained(str(model), overrides)


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        fields = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(
            f"The encoder's configuration {path} cannot be read ({error.strerror}): "
            "correct --model."
        ) from error
    except yaml.YAMLError as error:
        raise UserError(f"{path} is not valid YAML: {error}.") from error
    if not isinstance(fields, dict):
        raise UserError(
            f"{path} must hold 'field: value' lines of a HuBERT configuration."
        )
    return fields


def _draw(
    fields: dict[str, Any], overrides: Mapping[str, Any], source: str
) -> HubertCheckpoint:
    fields = {**fields, **overrides}
    init_seed = fields.pop("init_seed", 0)
    init_filterbank = fields.pop("init_filterbank", False)
    normalize_waveform = fields.pop("normalize_waveform", True)
    unknown = sorted(set(fields) - set(HubertConfig().to_dict()))
    if unknown:
        raise UserError(
            f"{source} names {unknown[0]!r}, which is no field of a HuBERT "
            "configuration: remove it."
        )
    try:
        config = HubertConfig(**fields)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(init_seed)
            model = HubertModel(config)
        if init_filterbank:
            start_as_filterbank(model)
    except _BAD_FIELDS as error:
        raise UserError(
            f"{source} does not describe a HuBERT ({error}): correct it."
        ) from error
    return HubertCheckpoint(model.float().eval(), bool(normalize_waveform))


def _read_pretrained(model: str, overrides: Mapping[str, Any]) -> HubertCheckpoint:
    is_local = Path(model).is_dir()
    verbosity = transformers_logging.get_verbosity()
    transformers_logging.set_verbosity_error()
    try:
        fields, _ = HubertConfig.get_config_dict(model)
        if not fields:
            raise OSError("config.json is missing or empty")
        if fields.get("model_type") != "hubert":
            raise UserError(
                f"{model} is a {fields.get('model_type', 'model of unknown type')}, "
                "not a HuBERT: give a HuBERT with --model."
            )
        config = HubertConfig.from_pretrained(model, **overrides)
        with torch.random.fork_rng(devices=[]):
            hubert, report = HubertModel.from_pretrained(
                model, config=config, dtype=torch.float32, output_loading_info=True
            )
    except (OSError, *_BAD_FIELDS) as error:
        if is_local:
            raise UserError(
                f"The directory {model} holds no complete HuBERT "
                f"({_first_line(error)}): it needs config.json, "
                "preprocessor_config.json and model.safetensors as save_pretrained "
                "writes them."
            ) from error
        raise UserError(
            f"The encoder {model!r} is no local directory and cannot be had from the "
            "hub: connect this machine to the network once, or download the model "
            "elsewhere and give its directory with --model."
        ) from error
    finally:
        transformers_logging.set_verbosity(verbosity)
    missing = sorted(set(report["missing_keys"]) - _MAY_BE_MISSING)
    if missing:
        raise UserError(
            f"{model} lacks {len(missing)} of a HuBERT's weights, {missing[0]} first: "
            "give a complete checkpoint."
        )
    if report["mismatched_keys"]:
        raise UserError(
            f"{model} holds weights whose shapes do not fit its config.json: give a "
            "checkpoint saved with its own configuration."
        )
    logging.info("Read the encoder %s", model)
    return HubertCheckpoint(hubert.eval(), _reads_normalize_waveform(model))


def _reads_normalize_waveform(model: str) -> bool:
    try:
        extractor = Wav2Vec2FeatureExtractor.from_pretrained(model)
    except (OSError, ValueError) as error:
        raise UserError(
            f"{model} has no preprocessor_config.json, which tells how its waveforms "
            "are normalised: copy it from the model's page, or save a "
            "Wav2Vec2FeatureExtractor there."
        ) from error
    if extractor.sampling_rate != SAMPLE_RATE:
        raise UserError(
            f"{model} was trained on {extractor.sampling_rate} Hz audio; the audio "
            f"store holds {SAMPLE_RATE} Hz: give a HuBERT of that rate."
        )
    return bool(extractor.do_normalize)


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0].rstrip(".") if str(error) else "no reason"
