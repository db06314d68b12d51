"""Options, declared once: name, type, default, help, and who uses them.

run.sh, the scripts in ``local/`` and the documentation read these declarations; the check
of a value and the sentence that refuses it are those of its kind. Free of everything but
the standard library.
"""

import argparse
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any


@dataclass(frozen=True)
class Kind:
    """What an option's text may be.

    Attributes:
        read: Function from the text to the value; raises ValueError for another text.
        wanted: What the text has to be, after "takes".
    """

    read: Callable[[str], Any]
    wanted: str


def _read_whole(text: str, least: int = 0) -> int:
    if not (text.isascii() and text.isdecimal()) or int(text) < least:
        raise ValueError
    return int(text)


def _read_float(text: str, is_inside: Callable[[float], bool]) -> float:
    value = float(text)
    if not is_inside(value):
        raise ValueError
    return value


def _read_truth(text: str) -> bool:
    return {"true": True, "false": False}[text]


def _read_numbers(text: str) -> tuple[int, ...]:
    return tuple(sorted({_read_whole(word) for word in text.split()}))


TEXT = Kind(str, "a text")
WORDS = Kind(lambda text: tuple(text.split()), "words separated by spaces")
TRUTH = Kind(_read_truth, "true or false")
WHOLE = Kind(_read_whole, "a whole number from 0 on")
POSITIVE = Kind(lambda text: _read_whole(text, 1), "a whole number from 1 on")
NUMBERS = Kind(
    _read_numbers, "whole numbers from 0 on, separated by spaces, such as '42 43'"
)
SHARE = Kind(
    lambda text: _read_float(text, lambda value: 0 < value <= 1),
    "a share above 0 and at most 1, such as 0.2",
)
PORTION = Kind(
    lambda text: _read_float(text, lambda value: 0 <= value <= 1),
    "a share from 0 to 1, such as 0.05",
)
LEVEL = Kind(
    lambda text: _read_float(text, lambda value: 0 < value < 1),
    "a level between 0 and 1, such as 0.95",
)


def one_of(*choices: str) -> Kind:
    """Return the kind of an option that takes one of some words."""

    def read(text: str) -> str:
        if text not in choices:
            raise ValueError
        return text

    return Kind(read, " or ".join([", ".join(choices[:-1]), choices[-1]]))


@dataclass(frozen=True)
class Option:
    """One option.

    Attributes:
        name: Name after ``--``, with underscores.
        help: Noun phrase or verb; ``{default}`` is not repeated in it.
        kind: What its text may be.
        default: Default as text; empty where leaving it out means something of its own,
            which the help says.
        stages: Stages of run.sh that use it, 1 to 6; empty for the flow of run.sh.
        group: Heading in run.sh's help.
        shapes_result: Whether a result may depend on it, so that the command kept with
            an experiment names it.
    """

    name: str
    help: str
    kind: Kind = TEXT
    default: str = ""
    stages: tuple[int, ...] = ()
    group: str = "Experiment"
    shapes_result: bool = True

    def read(self, text: str) -> Any:
        """Return the value of a text.

        Returns:
            The value; None for an empty text where the default is empty, too.

        Raises:
            ValueError: The text is of another kind; the message is a sentence.
        """
        if not text.strip() and not self.default and self.kind is not WORDS:
            return None
        try:
            return self.kind.read(text)
        except (ValueError, KeyError):
            raise ValueError(
                f"--{self.name} takes {self.kind.wanted}, not '{text}'."
            ) from None

    def with_default(self, default: str) -> "Option":
        """Return the same option with another default."""
        return replace(self, default=default)


def add_options(parser: argparse._ActionsContainer, options: Iterable[Option]) -> None:
    """Add declared options to a parser of argparse.

    Args:
        parser: Parser or group to add to.
        options: Declarations.
    """
    for option in options:
        parser.add_argument(
            f"--{option.name}",
            type=_argparse_type(option),
            # Not as text: argparse would read that as well.
            default=option.read(option.default),
            metavar="TEXT" if option.kind is TEXT else option.name.upper(),
            help=option.help.replace("%", "%%")
            + (f" (default: {option.default})" if option.default else ""),
        )


def _argparse_type(option: Option) -> Callable[[str], Any]:
    def read(text: str) -> Any:
        try:
            return option.read(text)
        except ValueError as error:
            wanted = str(error).removeprefix(f"--{option.name} ").removesuffix(".")
            raise argparse.ArgumentTypeError(wanted) from None

    return read
