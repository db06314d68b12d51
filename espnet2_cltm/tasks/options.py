"""ESPnet's options, checked whether they come from a command line or from YAML.

ESPnet takes the values of a configuration as they are: ``max_epoch: 0`` trains nothing,
``init_param: a.pth`` is taken for five files, ``accum_grad: 2.5`` fails after an epoch.
Here each is brought to its option's type and choices, and numbers to what makes sense.
"""

import argparse
from collections.abc import Sequence
from typing import Any

from espnet2.utils.nested_dict_action import NestedDictAction

from espnet2_cltm.errors import UserError, foreign
from espnet2_cltm.files import read_mapping

_LOWEST = {
    **dict.fromkeys(("ngpu", "num_workers", "num_att_plot", "seed"), 0),
    **dict.fromkeys(("max_epoch", "accum_grad", "num_iters_per_epoch", "patience"), 1),
    **dict.fromkeys(("batch_size", "valid_batch_size", "min_batch_size"), 1),
    **dict.fromkeys(("batch_bins", "valid_batch_bins", "embedding_batch_bins"), 1),
    **dict.fromkeys(("log_interval", "fold_length", "input_size"), 1),
    **dict.fromkeys(("spk_num", "num_clusters"), 2),
}
_ABOVE_ZERO = ("grad_clip", "grad_clip_type", "crop_seconds")
_HIGHEST_SEED = 2**32 - 1  # of numpy; every epoch adds its number to the seed


def parse_options(
    parser: argparse.ArgumentParser,
    cmd: Sequence[str] | None,
    source: str | None = None,
) -> argparse.Namespace:
    """Parse a training's options and check their values.

    Args:
        parser: A task's parser, which reads ``--config`` too.
        cmd: Arguments; None for those of the command line.
        source: Where they come from, for messages; by default the configuration.

    Returns:
        ESPnet's arguments.

    Raises:
        UserError: The configuration cannot be read, or an option is unknown or has a
            value that it cannot have.
    """
    first = argparse.ArgumentParser(add_help=False)
    first.add_argument("--config")
    config = first.parse_known_args(cmd)[0].config
    source = source or config or "The command line"
    if config is not None:
        read_mapping(config, "a training configuration of ESPnet")

    def refuse(message: str) -> None:
        raise UserError(f"{source} is not a training configuration: {message}.")

    parser.error = refuse  # type: ignore[method-assign, assignment]
    actions = [a for a in parser._actions if a.default is not argparse.SUPPRESS]
    may_be_none = {
        action.dest
        for action in actions
        if action.default is None or None in list(action.choices or ())
    }
    with foreign(f"{source} is not a training configuration", "correct it"):
        args = parser.parse_args(cmd)
    for action in actions:
        name, value = action.dest, getattr(args, action.dest, None)
        if _takes_list(action) and isinstance(value, bool | int | float | str):
            value = [value]
            setattr(args, name, value)
        if isinstance(action, NestedDictAction):
            setattr(args, name, {} if value is None else value)
            if not isinstance(value, dict | None):
                refuse(f"{name} takes 'name: value' lines, not {value!r}")
        elif value is None:
            if name not in may_be_none and "none" not in _name_of(action):
                refuse(f"{name} has no value")
        else:
            try:
                _check_value(action, value)
            except (ValueError, TypeError) as error:
                refuse(f"{name} cannot be {value!r} ({error})")
    if args.train_dtype != "float32":
        refuse(
            f"train_dtype: {args.train_dtype} does not go with the encoder; for speed "
            "set model_conf: autocast: bfloat16"
        )
    if args.seed + args.max_epoch > _HIGHEST_SEED:
        refuse(f"seed and max_epoch must add up to {_HIGHEST_SEED} or less")
    return args


def _check_value(action: argparse.Action, value: Any) -> None:
    """Check an option's value, or all values of a list.

    Raises:
        ValueError: It is not of the type, not among the choices, or out of range.
    """
    is_one = action.nargs in (None, 0) and not _takes_list(action)
    if not is_one and not isinstance(value, list | tuple):
        raise ValueError("it takes a list")
    for one in [value] if is_one else value:
        if action.choices is not None and one not in action.choices:
            raise ValueError(f"give one of {', '.join(map(str, action.choices))}")
        if isinstance(one, bool | int | float | str):
            _check_type(action, one)
            _check_range(action.dest, one)
        elif is_one:
            raise ValueError("it takes one value")


def _check_type(action: argparse.Action, value: Any) -> None:
    name = _name_of(action)
    kind = {"int": "a whole number", "float": "a number", "str2bool": "true or false"}
    if name in ("str", "str_or_none"):
        if not isinstance(value, str):
            raise ValueError("it takes a text")
    elif callable(action.type):
        try:
            action.type(str(value))
        except (ValueError, TypeError) as error:
            takes = kind.get(name.partition("_")[0], str(error))
            raise ValueError(f"it takes {takes}") from error


def _check_range(name: str, value: Any) -> None:
    if value != value:
        raise ValueError("it is not a number")
    if name in _LOWEST and value < _LOWEST[name]:
        raise ValueError(f"it must be {_LOWEST[name]} or more")
    if name in _ABOVE_ZERO and value <= 0:
        raise ValueError("it must be above 0")


def _takes_list(action: argparse.Action) -> bool:
    return action.nargs in ("*", "+") or isinstance(action, argparse._AppendAction)


def _name_of(action: argparse.Action) -> str:
    return getattr(action.type, "__name__", "")
