"""Building a trained model from the two files that every training leaves."""

import argparse
import pickle
from pathlib import Path

import torch
import yaml
from espnet2.tasks.abs_task import AbsTask
from espnet2.train.abs_espnet_model import AbsESPnetModel

from espnet2_cltm.errors import UserError
from espnet2_cltm.strategies.strategy import strategy_of


def load_model(
    task: type[AbsTask], train_config: Path | str, model_file: Path | str
) -> AbsESPnetModel:
    """Build a trained model.

    Unlike ESPnet's own loading, weights that are missing or left over are an error.

    Args:
        task: The task, whose ``train_command`` wrote the files.
        train_config: The training's ``config.yaml``.
        model_file: Weights, for instance ``latest.pth``.

    Returns:
        The model on the CPU.

    Raises:
        UserError: A file is missing, or the weights do not fit the configuration.
    """
    for path in (train_config, model_file):
        if not Path(path).is_file():
            raise UserError(
                f"{path} is missing: give the config.yaml and the weights that "
                f"{task.train_command} wrote."
            )
    # A strategy is younger than other parts.
    parts = {choices.name for choices in task.class_choices_list} - {"strategy"}
    config = _read_yaml(train_config)
    if not isinstance(config, dict) or not parts <= config.keys():
        raise UserError(
            f"{train_config} is not the config.yaml that {task.train_command} wrote "
            "beside the weights: give that file."
        )
    # Options that are younger than the training have their defaults.
    defaults = vars(task.get_parser().parse_args([]))
    model = task.build_model(argparse.Namespace(**{**defaults, **config}))
    stored = strategy_of(model).to_store(model)
    state = model.state_dict() if stored is not None else {}
    built = {name: state[name] for name in state.keys() - set(stored or ())}
    try:
        trained = torch.load(model_file, map_location="cpu", weights_only=True)
        model.load_state_dict({**built, **trained})
    except (RuntimeError, TypeError, EOFError, pickle.UnpicklingError) as error:
        reason = (str(error).splitlines() or ["the file is cut off"])[-1].strip()
        raise UserError(
            f"{model_file} does not hold the weights of the model in {train_config} "
            f"({reason}): give the two files of one training."
        ) from error
    return model


def _read_yaml(path: Path | str) -> object:
    try:
        return yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError):
        return None
