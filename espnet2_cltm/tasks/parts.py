"""Building a task's parts as its configuration names them."""

import argparse
from typing import Any

from espnet2.train.class_choices import ClassChoices

from espnet2_cltm.errors import UserError


def build_part(choices: ClassChoices, args: argparse.Namespace, **inputs: Any) -> Any:
    """Build the part that the configuration names, with its ``_conf``.

    Args:
        choices: The kinds there are.
        args: The task's arguments.
        **inputs: What the part needs besides, such as ``input_size``.

    Returns:
        The part; None where it is optional and not named.

    Raises:
        UserError: There is no such part, or it takes no such option.
    """
    name = getattr(args, choices.name)
    conf = getattr(args, f"{choices.name}_conf")
    if name is None and choices.optional:
        return None
    if name not in choices.classes:
        raise UserError(
            f"{choices.name}: {name} is unknown: give one of "
            f"{', '.join(choices.classes)}."
        )
    try:
        return choices.classes[name](**inputs, **conf)
    except TypeError as error:
        raise UserError(
            f"{choices.name}: {name} cannot be built with {choices.name}_conf "
            f"({error}): correct it."
        ) from error
