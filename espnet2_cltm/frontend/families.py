"""The families of speech encoders that the frontend takes, and what differs in them.

They are relatives of wav2vec 2.0: something turns a waveform into frames, a projection
leads into a transformer. What is told apart here is told by the configuration or by a
module's presence, so that a further relative needs a line in :data:`FAMILIES` and, if
any, its peculiarity:

* w2v-BERT takes log-mel features (:mod:`.log_mel`) where the others have convolutions,
  has no positional convolution, and adds relative positions in every layer;
* data2vec stacks positional convolutions;
* WavLM's layers share a bias of relative positions, and its attention reads weights
  past the modules that hold them (:mod:`.attention`);
* the layer norm of the transformer stands in front of the first layer or behind the
  last, or there is none.
"""

from typing import Any, TypeAlias

from espnet2_cltm.errors import UserError

Encoder: TypeAlias = Any
"""A model of transformers; its modules are looked up by their names."""

NAMES = ("ssl", "hubert")
"""Names of the frontend in ESPnet's options: its own, and that of old configurations"""

WITH_MODEL = (*NAMES, "audio_llm")
"""Frontends whose ``frontend_conf`` names a pretrained ``model``."""

FAMILIES = {
    "hubert": "HuBERT",
    "wav2vec2": "wav2vec 2.0 or XLS-R",
    "wavlm": "WavLM",
    "wav2vec2-bert": "w2v-BERT",
    "data2vec-audio": "data2vec-audio",
    "unispeech": "UniSpeech",
    "unispeech-sat": "UniSpeech-SAT",
}
"""What people call an encoder, by transformers' ``model_type``."""

LINEAR_LAYERS = {
    "q_proj": "linear_q",
    "k_proj": "linear_k",
    "v_proj": "linear_v",
    "out_proj": "linear_out",
}
"""What w2v-BERT calls the linear layers of attention."""

MEL_BANDS = 80
_MEL_WINDOW, _MEL_SHIFT = 400, 160  # samples


def check_family(model_type: Any, source: str) -> str:
    """Return the name of an encoder's family, if the frontend takes it.

    Args:
        model_type: transformers' name of the family.
        source: What names the encoder, for the message.

    Raises:
        UserError: It is of another.
    """
    if model_type not in tuple(FAMILIES):
        *others, last = FAMILIES.values()
        raise UserError(
            f"{source} is a {model_type or 'model of unknown type'}, not a speech "
            f"encoder of a known family: give a {', '.join(others)} or {last}."
        )
    return model_type


def has_convolutions(config: Any) -> bool:
    """Return whether an encoder convolves waveforms; else it takes log-mel features."""
    return hasattr(config, "conv_kernel")


def windows(config: Any) -> list[tuple[int, int]]:
    """Return kernel and stride of what makes frames of samples, step by step.

    Args:
        config: An encoder's configuration.
    """
    if has_convolutions(config):
        return list(zip(config.conv_kernel, config.conv_stride, strict=True))
    stacked = config.feature_projection_input_dim // MEL_BANDS
    return [(_MEL_WINDOW, _MEL_SHIFT), (stacked, stacked)]


def norm_of_transformer(encoder: Encoder, behind: bool) -> Any:
    """Return the transformer's own layer norm.

    Args:
        encoder: The encoder.
        behind: Whether to ask for a norm behind the last layer, not before the first.

    Returns:
        The module; None where there is none at that place.
    """
    is_behind = getattr(encoder.config, "do_stable_layer_norm", False)
    return getattr(encoder.encoder, "layer_norm", None) if is_behind == behind else None


def receptive_field(config: Any) -> int:
    """Return the number of samples that make one frame."""
    n_samples = 1
    for kernel, stride in reversed(windows(config)):
        n_samples = (n_samples - 1) * stride + kernel
    return n_samples
