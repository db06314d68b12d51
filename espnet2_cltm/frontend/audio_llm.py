"""An audio language model as an ESPnet frontend: one vector for each utterance.

The vector is the mean of what the language model is given for the audio, its *input
embeddings* (the output of the audio encoder and the connector), or of the language
model's last hidden states there. No text is put beside the audio. The model is frozen
and is no part of the network: one is held in memory for all trainings of a process, a
kept model does not hold it, and what it gives for an utterance is kept, too
(:mod:`.frozen_states`).

transformers' models have ``get_audio_features`` for this; those that have not, such as
Qwen2-Audio, are run until their language model is called.
"""

import inspect
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from espnet2.asr.frontend.abs_frontend import AbsFrontend
from torch import nn
from transformers import AutoFeatureExtractor, AutoModel

from espnet2_cltm.corpus.audio import SAMPLE_RATE
from espnet2_cltm.errors import UserError, foreign, require_known
from espnet2_cltm.frontend.batches import in_full_scale
from espnet2_cltm.frontend.checkpoint import (
    hub_is_reachable,
    is_stood_in_for,
    quiet,
    refuse_pointers,
    unreadable,
)
from espnet2_cltm.frontend.frozen_states import FrozenStates

SOURCES = ("inputs", "last")


class AudioLlmFrontend(AbsFrontend):
    """The mean embedding of an utterance in an audio language model.

    Args:
        model: Hub id or local directory of a model of transformers, with its feature
            extractor, such as ``Qwen/Qwen2-Audio-7B`` or ``mistralai/Voxtral-Mini-3B``.
        source: ``inputs``: the mean over what the language model is given;
            ``last``: over its last hidden states.
        seconds: Length of the beginning of an utterance that is heard; None for all
            that the model's feature extractor takes, often 30 s.

    Raises:
        UserError: An option is out of range, or the model is not available or does not
            turn audio into input embeddings.
    """

    ignores_padding = True

    def __init__(
        self, model: str, source: str = "inputs", seconds: float | None = None
    ):
        super().__init__()
        require_known("source", source, SOURCES, "in frontend_conf")
        if seconds is not None and not seconds >= 0.1:
            raise UserError(
                f"seconds: {seconds} in frontend_conf must be 0.1 or more, or null."
            )
        if not isinstance(model, str):
            raise UserError(
                "frontend: audio_llm takes the hub id or the directory of an audio "
                "language model: give one with --model."
            )
        self.source = source
        self.seconds = seconds
        self.model = model
        # Not a module, so that its weights are neither trained nor kept.
        self.llm = _read_once(model, source == "last")
        self._kept = FrozenStates([])

    def output_size(self) -> int:
        """Return the size of a vector."""
        return self.llm.size

    def forward(
        self, input: torch.Tensor, input_lengths: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Embed a batch of waveforms.

        Args:
            input: (batch, samples) float waveforms at 16 kHz, zero-padded at the end.
            input_lengths: (batch,) numbers of valid samples.

        Returns:
            (batch, 1, size) float32 vectors, and (batch,) ones.
        """
        most = None if self.seconds is None else round(self.seconds * SAMPLE_RATE)
        rows = zip(in_full_scale(input).unbind(0), input_lengths.tolist(), strict=True)
        vectors = [self._vector(row[:length][:most]) for row, length in rows]
        return torch.stack(vectors).unsqueeze(1), torch.ones_like(input_lengths)

    def _vector(self, waveform: torch.Tensor) -> torch.Tensor:
        def make() -> tuple[torch.Tensor]:
            return (self.llm.embed(waveform, self.source),)

        (vector,) = self._kept.get(waveform, f"{self.source} of {self.model}", make)
        return vector


@dataclass(frozen=True)
class AudioLlm:
    """An audio language model with its feature extractor.

    Attributes:
        model: transformers' model, without the head that predicts tokens.
        extractor: Its feature extractor.
        size: Size of its embeddings.
    """

    model: Any
    extractor: Any
    size: int

    def embed(self, waveform: torch.Tensor, source: str) -> torch.Tensor:
        """Return the (size,) float32 vector of a (samples,) waveform in [-1, 1].

        Raises:
            UserError: The model does not take the waveform.
        """
        # A prediction's tensors could not be trained on later.
        with (
            torch.inference_mode(False),
            torch.no_grad(),
            torch.autocast(waveform.device.type, enabled=False),
            foreign(
                f"An utterance of {len(waveform)} samples cannot be embedded by this "
                "audio language model",
                "leave it out, or give another model",
            ),
        ):
            self.model.to(waveform.device)
            states = self._input_embeddings(waveform.detach().cpu().numpy())
            if source == "last":
                llm = language_model_of(self.model)
                states = llm(inputs_embeds=states[None]).last_hidden_state[0]
            return states.float().mean(dim=0)

    def _input_embeddings(self, waveform: Any) -> torch.Tensor:
        """Return (positions, size) embeddings."""
        inputs = self.extractor(
            waveform,
            sampling_rate=SAMPLE_RATE,
            return_tensors="pt",
            return_attention_mask=True,
        ).to(self.model.device, self.model.dtype)
        function = getattr(self.model, "get_audio_features", None)
        if function is None:
            return _until_language_model(self.model, inputs)
        made = function(**_named_as_in(function, inputs))
        for name in ("pooler_output", "last_hidden_state"):
            value = getattr(made, name, None)
            made = made if value is None else value
        if isinstance(made, list | tuple):
            made = torch.cat([*made])
        return made.reshape(-1, made.shape[-1])


def _named_as_in(function: Any, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a function takes of a feature extractor's output, by its names.

    Raises:
        ValueError: It needs something else.
    """
    given = dict(inputs)
    masks = [name for name in given if name.endswith("mask")]
    named = {}
    for name, parameter in inspect.signature(function).parameters.items():
        if name in given:
            named[name] = given[name]
        elif name.endswith("mask") and masks:  # each model has its own name for it
            named[name] = given[masks[0]]
        elif parameter.default is parameter.empty and parameter.kind not in (
            parameter.VAR_KEYWORD,
            parameter.VAR_POSITIONAL,
        ):
            raise ValueError(f"it needs {name} beside the audio")
    return named


class _Reached(Exception):
    """The language model was called."""


def _until_language_model(model: Any, inputs: Mapping[str, Any]) -> torch.Tensor:
    """Return what a model gives its language model in place of one audio token."""
    audio = model.config.audio_token_id
    # A model that goes on to generate has one token, and hears nothing: two are given.
    special = (audio, model.config.get_text_config().pad_token_id)
    text = next(token for token in range(3) if token not in special)
    ids = torch.tensor([[audio, text]], device=model.device)
    given: list[torch.Tensor] = []

    def stop(_: nn.Module, __: tuple, arguments: dict[str, Any]) -> None:
        given.append(arguments["inputs_embeds"])
        raise _Reached

    handle = language_model_of(model).register_forward_pre_hook(stop, with_kwargs=True)
    others = _named_as_in(model.forward, inputs) | {
        "input_ids": ids,
        "attention_mask": torch.ones_like(ids),
    }
    try:
        with quiet():  # that it is given the token once, not once for each position
            model(**others)
    except _Reached:
        pass
    finally:
        handle.remove()
    return given[0][0, :-1]


def language_model_of(model: Any) -> Any:
    """Return the language model within an audio language model."""
    return getattr(model, "language_model", None) or model.get_decoder()


@lru_cache(maxsize=1)
def _read_once(name: str, needs_language_model: bool) -> AudioLlm:
    if is_stood_in_for(name):
        return AudioLlm(None, None, 1024)
    what, remedy = unreadable(name)
    with quiet(), foreign(what, remedy):
        refuse_pointers(name)
        is_local = Path(name).exists() or not hub_is_reachable()
        extractor = AutoFeatureExtractor.from_pretrained(
            name, local_files_only=is_local, trust_remote_code=False
        )
        with torch.random.fork_rng(devices=[]):
            model, report = AutoModel.from_pretrained(
                name,
                dtype="auto",
                local_files_only=is_local,
                trust_remote_code=False,
                output_loading_info=True,
            )
    has_features = hasattr(model, "get_audio_features")
    if not has_features and not hasattr(model.config, "audio_token_id"):
        raise UserError(
            f"{name} is a {model.config.model_type}, which gives a language model no "
            "audio: give an audio language model, or choose frontend: ssl."
        )
    if report["missing_keys"]:
        raise UserError(
            f"{name} lacks {len(report['missing_keys'])} of its weights, "
            f"{min(report['missing_keys'])} first: give a complete checkpoint."
        )
    if extractor.sampling_rate != SAMPLE_RATE:
        raise UserError(
            f"{name} was trained on {extractor.sampling_rate} Hz audio; the audio "
            f"store holds {SAMPLE_RATE} Hz: give a model of that rate."
        )
    model.eval().requires_grad_(False)
    if has_features and not needs_language_model and hasattr(model, "language_model"):
        model.language_model = nn.Identity()  # most of the weights
    noise = 0.1 * torch.randn(SAMPLE_RATE, generator=torch.Generator().manual_seed(0))
    source = SOURCES[needs_language_model]
    vector = AudioLlm(model, extractor, 0).embed(noise, source)
    if not vector.isfinite().all():
        raise UserError(
            f"{name} gives embeddings that are not finite: its weights are damaged; "
            "download it again."
        )
    logging.info("Read the audio language model %s", name)
    return AudioLlm(model, extractor, len(vector))
