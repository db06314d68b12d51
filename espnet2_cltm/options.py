"""Options, each declared once: name, kind, default, help, and who uses it.

run.sh, the scripts in ``local/`` and the documentation read these declarations. An
option's kind checks its value and words the refusal of a wrong one.
"""

import argparse
import difflib
import math
import re
import shlex
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from espnet2_cltm.budget import Seconds, read_budget
from espnet2_cltm.errors import UserError
from espnet2_cltm.files import shipped


@dataclass(frozen=True)
class Kind:
    """What an option's text may be.

    Attributes:
        read: Function from the text to the value; raises ValueError for a wrong text.
        wanted: What the text has to be, to follow "takes" in a message.
        empty: Value of an option without default that is left out.
        may_be_empty: Whether an empty text is another way to leave the option out.
    """

    read: Callable[[str], Any]
    wanted: str
    empty: Any = None
    may_be_empty: bool = True


def _read_whole(text: str, least: int = 0, most: float = math.inf) -> int:
    if not (text.isascii() and text.isdecimal()) or not least <= int(text) <= most:
        raise ValueError
    return int(text)


def _read_truth(text: str) -> bool:
    return {"true": True, "false": False}[text]


def _read_numbers(text: str) -> tuple[int, ...]:
    return tuple(sorted(distinct(_read_whole(word) for word in text.split())))


def _read_seeds(text: str) -> tuple[int, ...]:
    seeds: list[int] = []
    for word in text.split():
        first, dash, last = word.partition("-")
        begin = _read_whole(first, 0, MAX_SEED)
        most = min(begin + _MOST_IN_A_RANGE, MAX_SEED)
        end = _read_whole(last, begin, most) if dash else begin
        seeds += range(begin, end + 1)
    return tuple(sorted(distinct(seeds)))


def _read_amount(text: str) -> int:
    amount = read_budget(text)
    if amount < 1:
        raise ValueError
    return amount


def _read_amounts(text: str) -> tuple[int, ...]:
    amounts = distinct(read_budget(word) for word in text.split())
    if len({isinstance(amount, Seconds) for amount in amounts}) > 1:
        raise ValueError
    return tuple(sorted(amounts))


def distinct(values: Iterable[Any]) -> list[Any]:
    """Return the values; raise ValueError where one is there twice."""
    values = list(values)
    if len({*values}) < len(values):
        raise ValueError
    return values


def _read_matching(pattern: str, most: int) -> Callable[[str], str]:
    def read(text: str) -> str:
        if not re.fullmatch(pattern, text) or len(text.encode()) > most:
            raise ValueError
        return text

    return read


MAX_SEED = 2**31 - 1
"""Largest seed of a training, to which the number of the epoch is added."""
_MOST_IN_A_RANGE = 9999  # seeds, so that a slip of the finger does not fill the memory

TEXT = Kind(str, "a text")
CONF_FILE = Kind(lambda text: str(shipped(text)), "the path of a file")
NAME = Kind(
    _read_matching(r"\w[\w.+-]*", 150),
    "a name of letters, digits, '_', '.', '+' and '-', the first a letter, digit or "
    "'_', at most 150 bytes",
    may_be_empty=False,
)
DIRECTORY = Kind(
    # Nothing that cannot be seen, nor looks like an option.
    _read_matching(r"(?!-)[^\x00-\x1f\x7f]*\S", 2000),
    "a directory, whose name has no control character and does not begin with '-' "
    "(write ./-name)",
    may_be_empty=False,
)
WORDS = Kind(lambda text: tuple(text.split()), "words separated by spaces", ())
TRUTH = Kind(_read_truth, "true or false")
WHOLE = Kind(_read_whole, "a whole number, at least 0")
POSITIVE = Kind(lambda text: _read_whole(text, 1), "a whole number, at least 1")
NUMBERS = Kind(
    _read_numbers, "whole numbers separated by spaces, each once, such as '1 2 4'"
)
AMOUNT = Kind(
    _read_amount,
    "a whole number, at least 1, of utterances such as 100 or of seconds such as 120s",
)
AMOUNTS = Kind(
    _read_amounts,
    "whole numbers separated by spaces, each once, of utterances such as '4 8' or all "
    "of seconds such as '30s 60s'",
)
SEEDS = Kind(
    _read_seeds,
    f"whole numbers from 0 to {MAX_SEED} separated by spaces, each once, such as "
    "'42 43', or from one to another, such as 42-51",
)
SEED = Kind(
    lambda text: _read_whole(text, 0, MAX_SEED), f"a whole number from 0 to {MAX_SEED}"
)
DRAWS = Kind(
    lambda text: _read_whole(text, 1, 100_000), "a whole number from 1 to 100000"
)


def number(is_inside: Callable[[float], bool], wanted: str) -> Kind:
    """Return the kind of an option that takes a number within limits."""

    def read(text: str) -> float:
        value = float(text)
        if not is_inside(value):
            raise ValueError
        return value

    return Kind(read, wanted)


def above_zero(wanted: str) -> Kind:
    """Return the kind of an option that takes a finite number above 0."""
    return number(lambda value: 0 < value < math.inf, wanted)


def from_zero(wanted: str) -> Kind:
    """Return the kind of an option that takes a finite number from 0 on."""
    return number(lambda value: 0 <= value < math.inf, wanted)


SHARE = number(
    lambda value: 0 < value <= 1, "a share above 0 and at most 1, such as 0.2"
)
PORTION = number(lambda value: 0 <= value <= 1, "a share from 0 to 1, such as 0.05")
LEVEL = number(lambda value: 0 < value < 1, "a level between 0 and 1, such as 0.95")
SECONDS = above_zero("a number of seconds above 0, such as 30")


def stage_up_to(last: int) -> Kind:
    """Return the kind of an option that takes a stage's number."""
    return Kind(lambda text: _read_whole(text, 1, last), f"a stage, from 1 to {last}")


def one_of(*choices: str) -> Kind:
    """Return the kind of an option that takes one of the words given."""

    def read(text: str) -> str:
        if text not in choices:
            raise ValueError
        return text

    return Kind(read, " or ".join([", ".join(choices[:-1]), choices[-1]]))


def some_of(*choices: str) -> Kind:
    """Return the kind of an option that takes some of the words given, each once."""

    def read(text: str) -> tuple[str, ...]:
        words = distinct(text.split())
        if not words or not {*words} <= {*choices}:
            raise ValueError
        return tuple(words)

    return Kind(read, f"one or more of {', '.join(choices)}, each once", ())


def each_once(kind: Kind, wanted: str) -> Kind:
    """Return the kind of an option that takes several values of a kind, sorted."""
    return Kind(
        lambda text: tuple(sorted(distinct(kind.read(word) for word in text.split()))),
        wanted,
    )


@dataclass(frozen=True)
class Option:
    """One option.

    Attributes:
        name: Name after ``--``, with underscores.
        help: Help text, a noun phrase or starting with a verb, without the default.
        kind: What its text may be.
        default: Default as text; empty where leaving the option out has a meaning of
            its own, which the help explains.
        stages: Stages of run.sh that use it, 1 to 6; empty for run.sh itself.
        group: Heading in run.sh's help.
        shapes_result: Whether results may depend on it, so that the command recorded
            with an experiment includes it.
    """

    name: str
    help: str
    kind: Kind = TEXT
    default: str = ""
    stages: tuple[int, ...] = ()
    group: str = "Experiment"
    shapes_result: bool = True

    def read(self, text: str) -> Any:
        """Return the value of a text; None if the text and the default are empty.

        Raises:
            ValueError: The text is of another kind; the message is a sentence.
        """
        if not text.strip() and not self.default:
            return self.kind.empty
        try:
            return self.kind.read(text)
        except (ValueError, KeyError):
            raise self._refuse(text) from None

    def read_given(self, text: str) -> Any:
        """Return the value of a text that a person has written.

        Raises:
            ValueError: The text is of another kind, or is empty where that says
                nothing.
        """
        if not text.strip() and not self.kind.may_be_empty:
            raise self._refuse(text)
        return self.read(text)

    def _refuse(self, text: str) -> ValueError:
        shown = text if len(text) <= 80 else f"{text[:80]}..."
        return ValueError(f"--{self.name} takes {self.kind.wanted}, not '{shown}'.")


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
            # As a value, since argparse would convert a text.
            default=option.read(option.default),
            metavar="TEXT" if option.kind is TEXT else option.name.upper(),
            help=_with_default(option).replace("%", "%%"),
        )


def _argparse_type(option: Option) -> Callable[[str], Any]:
    def read(text: str) -> Any:
        try:
            return option.read_given(text)
        except ValueError as error:
            wanted = str(error).removeprefix(f"--{option.name} ").removesuffix(".")
            raise argparse.ArgumentTypeError(wanted) from None

    return read


def parse(arguments: Sequence[str], options: Mapping[str, Option]) -> dict[str, str]:
    """Read ``--name value`` and ``--name=value``, ``-`` and ``_`` in names alike.

    Args:
        arguments: Arguments of run.sh; the last of several with one name wins.
        options: Known options by name.

    Returns:
        Texts by name, defaults filled in.

    Raises:
        UserError: An argument is not an option, or an option lacks its value or has a
            wrong one.
    """
    texts = {name: option.default for name, option in options.items()}
    words = list(arguments)
    while words:
        word = words.pop(0)
        if not word.startswith("--") or word == "--":
            raise UserError(
                f"'{word}' is not expected here: every option is written --name value, "
                "and a value with spaces is put in quotes; --help lists the options."
            )
        name, equals, value = word[2:].partition("=")
        name = name.replace("-", "_")
        if name not in options:
            near = difflib.get_close_matches(name, options, 1)
            hint = f"did you mean --{near[0]}? " if near else ""
            raise UserError(f"--{name} is not an option: {hint}--help lists them all.")
        if not equals:
            if not words or _name(words[0]) in options:
                raise UserError(
                    f"--{name} needs a value: it takes {options[name].kind.wanted}."
                )
            value = words.pop(0)
        texts[name] = value
        try:
            options[name].read_given(value)
        except ValueError as error:
            raise UserError(str(error)) from None
    return texts


def _name(word: str) -> str | None:
    if not word.startswith("--"):
        return None
    return word[2:].partition("=")[0].replace("-", "_")


def as_asked(texts: Mapping[str, str], options: Mapping[str, Option]) -> list[str]:
    """Return the words of a command that asks for these results.

    Args:
        texts: Texts by name.
        options: Known options by name. Those with their default, and those that no
            result depends on, are left out.
    """
    words = []
    for name, text in texts.items():
        if options[name].shapes_result and text != options[name].default:
            words += [f"--{name}", quoted(text)]
    return words


def quoted(text: str) -> str:
    """Quote a text as a person would."""
    is_plain = re.fullmatch(r"[\w./:+ -]+", text) and " " in text
    return f'"{text}"' if is_plain else shlex.quote(text)


def read_values(
    texts: Mapping[str, str], options: Mapping[str, Option]
) -> dict[str, Any]:
    """Return the options' values from their texts, by name.

    Raises:
        UserError: A text is of another kind.
    """
    values = {}
    for name, text in texts.items():
        try:
            values[name] = options[name].read(text)
        except ValueError as error:
            raise UserError(str(error)) from None
    return values


def check_stages(values: Mapping[str, Any]) -> None:
    """Refuse a first stage behind the last.

    Raises:
        UserError: Nothing would be done.
    """
    if values["stage"] > values["stop_stage"]:
        raise UserError(
            f"--stage {values['stage']} is behind --stop_stage {values['stop_stage']}, "
            "and nothing would be done: give a first stage that is not behind the last."
        )


def help_lines(options: Sequence[Option], groups: Sequence[str]) -> list[str]:
    """Return the lines of a help text: every option with its default, by group."""
    lines = []
    for group in groups:
        lines += ["", group]
        for option in (o for o in options if o.group == group):
            lines += _help_lines(option)
    return lines


def _help_lines(option: Option) -> list[str]:
    return textwrap.wrap(
        _with_default(option),
        88,
        initial_indent=f"  --{option.name}  ".ljust(26),
        subsequent_indent=" " * 26,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _with_default(option: Option) -> str:
    return option.help + (f" (default: {option.default})" if option.default else "")
