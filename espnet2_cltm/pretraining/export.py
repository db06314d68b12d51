"""From a training's weights to a checkpoint in Hugging Face's layout.

Writes what :func:`espnet2_cltm.frontend.checkpoint.load_hubert` and transformers'
``from_pretrained`` read: ``config.json``, ``preprocessor_config.json`` and
``model.safetensors``, last, so that a directory that has it is complete.
"""

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers import HubertConfig, HubertModel, Wav2Vec2FeatureExtractor

from espnet2_cltm.corpus.audio import SAMPLE_RATE
from espnet2_cltm.errors import UserError
from espnet2_cltm.files import replacing, write_text
from espnet2_cltm.frontend.checkpoint import load_hubert

PREFIX = "hubert.hubert."
"""Where the encoder's weights are in a :class:`.MaskedPredictionModel`'s."""

DTYPES = {"float16": torch.float16, "float32": torch.float32}


def export_hubert(
    weights: Path, model: str | Mapping[str, object], outdir: Path, dtype: str
) -> int:
    """Write the encoder of a pretraining.

    Args:
        weights: ESPnet's ``*.pth``.
        model: What the training began with: ``frontend_conf``'s ``model``.
        outdir: Directory; files of the same names are replaced.
        dtype: ``float16`` or ``float32``, of the file; it is read as float32.

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
    write_text(outdir / "config.json", _config_json(config, dtype))
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
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises what its file format happens to meet
        raise UserError(
            f"{path} cannot be read as weights ({str(error).splitlines()[0]}): give "
            "the *.pth of a training."
        ) from error
    return {
        name.removeprefix(PREFIX): value
        for name, value in state.items()
        if name.startswith(PREFIX)
    }


def _config_json(config: HubertConfig, dtype: str) -> str:
    # Written by transformers itself, then freed of where it was read from.
    with tempfile.TemporaryDirectory() as directory:
        config.save_pretrained(directory)
        fields = json.loads((Path(directory) / "config.json").read_text())
    fields.pop("_name_or_path", None)
    fields |= {"architectures": [HubertModel.__name__], "dtype": dtype}
    return json.dumps(fields, indent=2, sort_keys=True) + "\n"
