"""Whether an experiment's encoder is still the one that it was begun with.

``experiment.yaml`` names a pretrained encoder by its directory or hub id, and what is
there can change under the same name. ``encoders.json`` holds, by that name, what was
there when the first run was made: a digest of a directory's files, or the commit of a
repository. An encoder that ``experiment.yaml`` describes in whole needs neither.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

from huggingface_hub import try_to_load_from_cache
from huggingface_hub.errors import HFValidationError

from espnet2_cltm.errors import UserError
from espnet2_cltm.experiment.layout import ExperimentDir
from espnet2_cltm.files import write_text
from espnet2_cltm.frontend.checkpoint import locate_encoder

_CONFIGURATION = ("config.json", "preprocessor_config.json")
_WEIGHTS = ("*.safetensors", "*.bin")


def check_encoder(directory: ExperimentDir, model: Any) -> None:
    """Refuse an encoder that is another than the experiment's; note a first one.

    Args:
        directory: The experiment.
        model: ``frontend_conf.model`` of a task, once the encoder was read.

    Raises:
        UserError: It has changed, or ``encoders.json`` is damaged.
    """
    identity = encoder_identity(model)
    if identity is None:
        return
    known = read_encoders(directory)
    if str(model) not in known:
        known = {**known, str(model): identity}
        text = json.dumps(dict(sorted(known.items())), indent=1)
        write_text(directory.encoders, f"{text}\n")
    elif known[str(model)] != identity:
        raise UserError(
            f"The encoder {model} is another than the one that {directory.root} was "
            f"begun with ({known[str(model)][:20]} then, {identity[:20]} now): restore "
            "it, or give the experiment a new --tag."
        )


def encoder_identity(model: Any) -> str | None:
    """Tell which encoder is there.

    Args:
        model: A directory, a hub id, one that comes with the package, or fields of a
            random one.

    Returns:
        ``blake2b:`` and a digest of a directory's files, ``commit:`` and the commit of
        a repository in this machine's cache, None for anything else.
    """
    if not isinstance(model, str):
        return None
    directory = Path(locate_encoder(model))
    if directory.is_dir():
        return f"blake2b:{_digest(directory)}"
    try:
        config = try_to_load_from_cache(model, _CONFIGURATION[0])
    except HFValidationError:
        return None
    # <cache>/models--<id>/snapshots/<commit>/config.json
    return f"commit:{Path(config).parent.name}" if isinstance(config, str) else None


def read_encoders(directory: ExperimentDir) -> dict[str, str]:
    """Read what :func:`check_encoder` has noted.

    Raises:
        UserError: The file is damaged.
    """
    try:
        known = json.loads(directory.encoders.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise UserError(
            f"{directory.encoders} is damaged ({error}): delete it if the encoder is "
            "still the one that the experiment was begun with."
        ) from error
    return dict(known)


def _digest(directory: Path) -> str:
    digest = hashlib.blake2b(digest_size=16)
    files = [directory / name for name in _CONFIGURATION]
    files += [path for pattern in _WEIGHTS for path in directory.glob(pattern)]
    for path in sorted(path for path in files if path.is_file()):
        digest.update(f"{path.name} {path.stat().st_size}\n".encode())
        with path.open("rb") as content:
            while block := content.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()
