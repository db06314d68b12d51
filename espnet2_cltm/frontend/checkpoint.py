"""Reading an encoder's checkpoint once per process.

A checkpoint is named by a hub id (``utter-project/mHuBERT-147``), by a local directory
written by ``save_pretrained``, by the name of one that comes with the package
(``hubert-small``), or by a YAML file or mapping of its configuration's fields for a
small one with random weights. It is of one of the families of :mod:`.families`.
Experiments build thousands of models from one checkpoint: it is read, or drawn, the
first time and copied in memory afterwards.
"""

import copy
import json
import logging
import socket
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies

import huggingface_hub
import librosa
import numpy as np
import torch
from huggingface_hub import try_to_load_from_cache
from transformers import (
    AutoModel,
    PretrainedConfig,
    SeamlessM4TFeatureExtractor,
    Wav2Vec2FeatureExtractor,
)
from transformers.models.auto.configuration_auto import CONFIG_MAPPING
from transformers.utils import logging as transformers_logging

from espnet2_cltm.corpus.audio import SAMPLE_RATE
from espnet2_cltm.errors import UserError, foreign
from espnet2_cltm.files import YAML_ENDINGS, is_git_lfs_pointer, read_mapping
from espnet2_cltm.frontend.convolutions import convolution_of
from espnet2_cltm.frontend.families import (
    FAMILIES,
    MEL_BANDS,
    Encoder,
    check_family,
    has_convolutions,
    windows,
)

SHIPPED = ("hubert-small",)
"""Encoders that come with the package: directories of ``espnet2_cltm.data`` in Hugging
Face's layout, with a model card."""

LOWEST, HIGHEST = 60.0, 7400.0
"""Centre of the first and the last band of a filterbank, in Hz."""

_PATIENCE_SECONDS = 10.0

_stands_in = False

_MOST_HELD = 4
"""Encoders held in memory at once."""

# Fields that transformers reads from an encoder's config.json and does not declare in
# every family.
_UNDECLARED = ("adapter_attn_dim", "apply_spec_augment")

# The only parameter that published checkpoints may lack: it is used for masking in
# pretraining alone.
_MAY_BE_MISSING = {"masked_spec_embed"}

# What transformers computes attention with, whatever a config.json asks for, or else
# "eager": others need packages, or fetch code from the hub.
_ATTENTION = "sdpa"

_PROBABILITIES = (
    *("layerdrop", "mask_time_prob", "mask_feature_prob", "hidden_dropout"),
    *("activation_dropout", "attention_dropout", "feat_proj_dropout"),
)


@dataclass(frozen=True)
class EncoderCheckpoint:
    """An encoder and how it wants its input.

    Attributes:
        model: Encoder in float32, in evaluation mode; every call of
            :func:`load_encoder` returns a copy.
        normalize_waveform: Whether each waveform is brought to zero mean and unit
            variance, the feature extractor's ``do_normalize``; of no meaning where
            the encoder takes log-mel features.
    """

    model: Encoder
    normalize_waveform: bool


def locate_encoder(name: str) -> str:
    """Return the directory of an encoder that comes with the package.

    Args:
        name: Its name; anything else (a hub id, another directory) is returned as it
            is. A directory of one's own that has such a name is ``./<name>``.
    """
    return str(files("espnet2_cltm.data") / name) if name in SHIPPED else name


def load_encoder(
    model: str | Mapping[str, Any], config_overrides: Mapping[str, Any] | None = None
) -> EncoderCheckpoint:
    """Return a fresh copy of an encoder.

    No random number is drawn from the process's generators, so that what is built
    next does not depend on where the encoder came from.

    Args:
        model: Hub id, local directory, ``hubert-small``, or for random weights a
            YAML file or mapping of configuration fields, ``model_type`` (default
            ``hubert``) among them, with ``init_seed`` (int, default 0),
            ``init_filterbank`` (bool, default false: see :func:`start_as_filterbank`)
            and ``normalize_waveform`` (bool, default true) beside them.
        config_overrides: Configuration fields that replace the checkpoint's, such as
            ``{"layerdrop": 0.0}``.

    Raises:
        UserError: The checkpoint is not available, is of no known family, lacks
            weights, or asks for what no training can do.
    """
    overrides = dict(config_overrides or {})
    if isinstance(model, str):
        model = locate_encoder(model)
        if is_stood_in_for(model):
            logging.warning("%s is not here; a random HuBERT stands in for it", model)
            model = {}
            # It may be of another family, which has them.
            for name in _unknown_fields(overrides, "hubert"):
                del overrides[name]
    source = dict(model) if isinstance(model, Mapping) else str(model)
    with foreign(
        "model in frontend_conf cannot be used",
        "name a directory, a hub id or a YAML file",
    ):
        key = json.dumps([source, overrides], sort_keys=True)
    pristine = _read_once(key)
    return EncoderCheckpoint(copy.deepcopy(pristine.model), pristine.normalize_waveform)


def load_hubert(model: str | Mapping[str, Any]) -> EncoderCheckpoint:
    """Return a fresh copy of a HuBERT, as :func:`load_encoder`.

    Raises:
        UserError: It is an encoder of another family; or see :func:`load_encoder`.
    """
    checkpoint = load_encoder(model)
    family = checkpoint.model.config.model_type
    if family != "hubert":
        raise UserError(
            f"{model} is a {FAMILIES[family]}, and pretraining takes HuBERTs: give one "
            "with --model."
        )
    return checkpoint


@contextmanager
def standing_in() -> Iterator[None]:
    """Let a random HuBERT of the usual size stand in for encoders that are not here.

    Within the block, hub ids that this machine has not downloaded are not asked for.
    """
    global _stands_in
    _stands_in = True
    try:
        yield
    finally:
        _stands_in = False


def is_stood_in_for(model: str) -> bool:
    """Return whether a model is on the hub alone, within :func:`standing_in`."""
    if not _stands_in or Path(model).exists() or model.endswith(YAML_ENDINGS):
        return False
    with foreign(f"{model!r} cannot be a hub id", "correct it"):
        return not isinstance(try_to_load_from_cache(model, "config.json"), str)


@lru_cache(maxsize=1)
def hub_is_reachable() -> bool:
    """Return whether the hub answers, or may, through a proxy.

    Without a network its client tries each file for half a minute.
    """
    if getproxies():
        return True
    hub = urlsplit(huggingface_hub.constants.ENDPOINT)
    port = hub.port or {"http": 80}.get(hub.scheme, 443)
    try:
        socket.create_connection((hub.hostname or "", port), _PATIENCE_SECONDS).close()
    except OSError:
        return False
    return True


def describe_encoder(
    config: PretrainedConfig, normalize_waveform: bool
) -> dict[str, Any]:
    """Describe an encoder so that :func:`load_encoder` builds one of the same shape.

    Args:
        config: The model's configuration.
        normalize_waveform: Whether its waveforms are normalised.

    Returns:
        A mapping for :func:`load_encoder`, of plain values; weights are not in it.
    """
    # Fields that every model of transformers has say nothing of this one.
    common = PretrainedConfig().to_dict().keys()
    known = {*type(config)().to_dict().keys() - common, *_UNDECLARED}
    return {
        "model_type": config.model_type,
        **{name: value for name, value in config.to_dict().items() if name in known},
        "normalize_waveform": normalize_waveform,
    }


@lru_cache(maxsize=_MOST_HELD)
def _read_once(key: str) -> EncoderCheckpoint:
    model, overrides = json.loads(key)
    if isinstance(model, dict):
        return _draw(model, overrides, source="model in frontend_conf")
    if model.endswith(YAML_ENDINGS):
        fields = read_mapping(model, "an encoder's configuration", "correct --model")
        return _draw(fields, overrides, source=model)
    return _read_pretrained(model, overrides)


def _draw(
    fields: dict[str, Any], overrides: Mapping[str, Any], source: str
) -> EncoderCheckpoint:
    model_type = check_family(
        fields.get("model_type", "hubert"), f"The encoder that {source} describes"
    )
    _check_overrides(overrides, model_type)
    fields = {**fields, **overrides}
    fields.pop("model_type", None)
    init_seed = fields.pop("init_seed", 0)
    init_filterbank = fields.pop("init_filterbank", False)
    normalize_waveform = fields.pop("normalize_waveform", True)
    title = FAMILIES[model_type]
    for name in _unknown_fields(fields, model_type):
        raise UserError(
            f"{source} names {name!r}, which is not a field of a {title} "
            "configuration: remove it."
        )
    with foreign(f"{source} does not describe a {title}", "correct it"):
        config = CONFIG_MAPPING[model_type](**fields)
        _check_fields(config)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(init_seed)
            model = AutoModel.from_config(
                config, attn_implementation=_attention_of(config)
            )
        if init_filterbank:
            start_as_filterbank(model)
    return EncoderCheckpoint(model.float().eval(), bool(normalize_waveform))


def _unknown_fields(names: Iterable[str], model_type: str) -> list[str]:
    known = {*CONFIG_MAPPING[model_type]().to_dict(), *_UNDECLARED}
    return sorted(set(names) - known)


def _check_overrides(overrides: Mapping[str, Any], model_type: str) -> None:
    for name in _unknown_fields(overrides, model_type):
        raise UserError(
            f"{FAMILIES[model_type]} has no configuration field {name!r}: correct "
            "config_overrides in frontend_conf."
        )


def _attention_of(config: PretrainedConfig) -> str:
    model_class: Any = AutoModel._model_mapping[type(config)]
    return _ATTENTION if model_class._supports_sdpa else "eager"


def start_as_filterbank(encoder: Encoder) -> None:
    """Set the first convolution's weights to band-pass filters, in place.

    A network that has to find out first that speech has a spectrum spends its first
    thousands of steps on it. Band-pass filters on the mel scale, as in SincNet
    (arXiv:1808.00158) and LEAF (arXiv:2101.08596), save these steps; the weights are
    trained as all others. Each band has a cosine and a sine. Bands are evenly spaced
    on the mel scale, their width is that of hearing (the equivalent rectangular
    bandwidth of Glasberg and Moore, 1990) or what the kernel's length allows, and
    higher bands are amplified, since speech has less power there.

    Args:
        encoder: Encoder whose first convolution has an even number of channels.

    Raises:
        UserError: The number is odd, or there are no convolutions.
    """
    if not has_convolutions(encoder.config):
        raise UserError(
            "init_filterbank needs convolutions over the waveform, and this encoder "
            "takes log-mel features: remove it."
        )
    conv = convolution_of(encoder.feature_extractor.conv_layers[0])
    channels, _, taps = conv.weight.shape
    if channels % 2:
        raise UserError(
            f"init_filterbank needs an even number in conv_dim, not {channels}: a "
            "band has a cosine and a sine."
        )
    hertz = librosa.mel_frequencies(
        n_mels=channels // 2, fmin=LOWEST, fmax=HIGHEST, htk=True
    )
    bandwidth = 24.7 * (4.37 * hertz / 1000 + 1)
    seconds = (np.arange(taps) - (taps - 1) / 2) / SAMPLE_RATE
    # 0.6: a Gaussian of this deviation has about that equivalent bandwidth.
    envelope = np.exp(-0.5 * (1.2 * np.pi * np.outer(bandwidth, seconds)) ** 2)
    envelope *= np.hanning(taps + 2)[1:-1]
    phase = 2 * np.pi * np.outer(hertz, seconds)
    filters = np.concatenate([envelope * np.cos(phase), envelope * np.sin(phase)])
    filters /= np.linalg.norm(filters, axis=1, keepdims=True)
    filters *= np.tile(1 + hertz / 500, 2)[:, None]
    with torch.no_grad():
        conv.weight.copy_(torch.from_numpy(filters).unsqueeze(1))


def _check_fields(config: PretrainedConfig) -> None:
    """Refuse fields that build a model with which no training makes sense.

    Raises:
        ValueError: A field is out of its range.
        UserError: The model has more than an encoder's layers.
    """
    if getattr(config, "add_adapter", False):
        raise UserError(
            "The encoder has transformers' adapter on top, which leaves fewer frames "
            "(add_adapter in its configuration): set config_overrides: {add_adapter: "
            "false} in frontend_conf to use the layers below it."
        )
    if not has_convolutions(config) and config.feature_projection_input_dim % MEL_BANDS:
        raise ValueError(
            f"feature_projection_input_dim must be a multiple of {MEL_BANDS}"
        )
    for name in _PROBABILITIES:
        if not 0 <= getattr(config, name) < 1:
            raise ValueError(f"{name} must be at least 0 and below 1")
    least = {"num_hidden_layers": 1, "mask_time_length": 1, "mask_feature_length": 1}
    for name, lowest in least.items():
        if getattr(config, name) < lowest:
            raise ValueError(f"{name} must be {lowest} or more")
    if config.mask_feature_prob and config.mask_feature_length > config.hidden_size:
        raise ValueError("mask_feature_length must not exceed hidden_size")


def _read_pretrained(model: str, overrides: Mapping[str, Any]) -> EncoderCheckpoint:
    with quiet(), foreign(*unreadable(model)):
        encoder, report = _load_weights(model, overrides)
    missing = sorted(set(report["missing_keys"]) - _MAY_BE_MISSING)
    if missing:
        raise UserError(
            f"{model} lacks {len(missing)} of its weights, {missing[0]} first: "
            "give a complete checkpoint."
        )
    if report["mismatched_keys"]:
        raise UserError(
            f"{model} holds weights whose shapes do not fit its config.json, "
            f"{min(report['mismatched_keys'])[0]} first: give a checkpoint saved with "
            "its own configuration, or correct config_overrides."
        )
    for name, value in encoder.state_dict().items():
        if not value.isfinite().all():
            raise UserError(
                f"{model} holds weights that are not finite, {name} first: it is "
                "damaged or its training diverged; give another."
            )
    logging.info("Read the encoder %s", model)
    normalize_waveform = _reads_normalize_waveform(model, encoder.config)
    return EncoderCheckpoint(encoder.eval(), normalize_waveform)


@contextmanager
def quiet() -> Iterator[None]:
    """Silence transformers, whose warnings and progress say nothing of use here."""
    verbosity = transformers_logging.get_verbosity()
    shows_progress = transformers_logging.is_progress_bar_enabled()
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        transformers_logging.set_verbosity(verbosity)
        if shows_progress:
            transformers_logging.enable_progress_bar()


def refuse_pointers(model: str) -> None:
    """Refuse a directory that holds Git LFS pointers.

    Raises:
        UserError: It does.
    """
    directory = Path(model)
    for path in sorted(directory.iterdir()) if directory.is_dir() else ():
        if is_git_lfs_pointer(path):
            raise UserError(
                f"{path} is a Git LFS pointer, not the file itself: run git lfs pull "
                "in the repository that it comes from."
            )


def _load_weights(model: str, overrides: Mapping[str, Any]) -> Any:
    """Return an encoder, and transformers' report on its weights."""
    refuse_pointers(model)
    is_local = Path(model).exists() or not hub_is_reachable()
    fields, _ = PretrainedConfig.get_config_dict(model, local_files_only=is_local)
    if not fields:
        raise OSError("config.json is missing or empty")
    model_type = check_family(fields.get("model_type"), model)
    _check_overrides(overrides, model_type)
    if fields.get("quantization_config"):
        raise UserError(
            f"{model} is quantised (quantization_config in its config.json) and cannot "
            "be trained: give the checkpoint that it was made from."
        )
    config = CONFIG_MAPPING[model_type].from_pretrained(
        model, local_files_only=is_local, **overrides
    )
    _check_fields(config)
    with torch.random.fork_rng(devices=[]):
        return AutoModel.from_pretrained(
            model,
            config=config,
            dtype=torch.float32,
            attn_implementation=_attention_of(config),
            local_files_only=is_local,
            ignore_mismatched_sizes=True,
            output_loading_info=True,
        )


def unreadable(model: str) -> tuple[str, str]:
    """Return what a model is that cannot be read, and what to do."""
    if Path(model).is_dir():
        return (
            f"The directory {model} does not hold a complete encoder",
            "it needs config.json, preprocessor_config.json and model.safetensors as "
            "save_pretrained writes them; download or copy it again",
        )
    return (
        f"The encoder {model!r} is not a local directory and is not available from the "
        "hub",
        "connect this machine to the network once, or download the model elsewhere and "
        "give its directory with --model",
    )


def _reads_normalize_waveform(model: str, config: PretrainedConfig) -> bool:
    takes_waveforms = has_convolutions(config)
    wanted: Any = SeamlessM4TFeatureExtractor
    if takes_waveforms:
        wanted = Wav2Vec2FeatureExtractor
    with foreign(
        f"{model} has no preprocessor_config.json that can be read, which tells how "
        "its waveforms are normalised",
        f"copy it from the model's page, or save a {wanted.__name__} there",
    ):
        fields, _ = wanted.get_feature_extractor_dict(
            model, local_files_only=Path(model).exists() or not hub_is_reachable()
        )
        extractor = wanted.from_dict(fields)
    kind = fields.get("feature_extractor_type", wanted.__name__)
    if takes_waveforms:
        told, found = "do_normalize", extractor.do_normalize
        is_right = isinstance(found, bool)
    else:
        told, found = (
            "num_mel_bins and stride",
            (extractor.num_mel_bins, extractor.stride),
        )
        is_right = found == (MEL_BANDS, windows(config)[-1][1])
    if kind != wanted.__name__ or not is_right:
        raise UserError(
            f"{model}/preprocessor_config.json describes a {kind} with {told}: "
            f"{found}, not a {wanted.__name__} that fits the encoder: give the one "
            "that it was trained with."
        )
    if extractor.sampling_rate != SAMPLE_RATE:
        raise UserError(
            f"{model} was trained on {extractor.sampling_rate} Hz audio; the audio "
            f"store holds {SAMPLE_RATE} Hz: give an encoder of that rate."
        )
    return takes_waveforms and extractor.do_normalize
