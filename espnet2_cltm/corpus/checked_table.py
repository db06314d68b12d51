"""A table of a data directory with all that is wrong with it alone.

Unlike :func:`espnet2_cltm.corpus.datadir.read_table` it goes on after the first fault.
"""

import itertools
from codecs import BOM_UTF8
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

_BLOCK = 1 << 20
_SHORT = 24  # characters of a value that others may well share, such as a speaker's id


@dataclass(frozen=True)
class Problem:
    """Something wrong in a data directory.

    Attributes:
        path: File, or directory where a file is missing.
        line: Line number from 1, or None where no single line is to blame.
        sentence: What is wrong.
    """

    path: Path
    line: int | None
    sentence: str

    def __str__(self) -> str:
        place = self.path if self.line is None else f"{self.path}:{self.line}"
        return f"{place}: {self.sentence}"


class CheckedTable:
    """A file's values by key, in its order, and what is wrong with the file alone.

    Args:
        path: File.
        in_order: Whether its lines must be in order.
        words: Ids and short values that other tables have, each held once.

    Attributes:
        values: What follows the key.
        problems: Faults of bytes, order, ids and values.
    """

    def __init__(
        self, path: Path, in_order: bool = False, words: dict[str, str] | None = None
    ):
        self._path = path
        self._in_order = in_order
        self._words = {} if words is None else words
        self.values: dict[str, str] = {}
        self.problems: list[Problem] = []
        # Numbers of the lines that gave no entry.
        self._passed_over: set[int] = set()
        self._previous = ""
        repeated: list[tuple[int, str]] = []
        first = 1
        try:
            with path.open("rb") as file:
                while content := file.read(_BLOCK) + file.readline():
                    n_lines = content.count(b"\n")
                    if not content.endswith(b"\n"):
                        self._report(
                            first + n_lines,
                            "the last line does not end with a line feed.",
                        )
                    if first == 1 and content.startswith(BOM_UTF8):
                        content = content.removeprefix(BOM_UTF8)
                        self._report(1, "the file begins with a byte order mark.")
                    self._check_characters(content, first)
                    repeated += self._read(content, first)
                    first += n_lines
                if not file.tell():
                    self._report(None, "the file is empty.")
        except OSError as error:
            self._report(None, f"cannot be read ({error.strerror}).")
            return
        for number, key in repeated:
            self._report(
                number, f"{key} appears twice, first in line {self.line(key)}."
            )
        self.problems.sort(key=lambda problem: problem.line or 0)

    def line(self, key: str) -> int:
        """Return the number of the line of ``key``."""
        return self._lines[key]

    @cached_property
    def _lines(self) -> dict[str, int]:
        # Needed for problems alone, so that a valid table of a million lines is cheap.
        numbers = (n for n in itertools.count(1) if n not in self._passed_over)
        return dict(zip(self.values, numbers, strict=False))

    def _report(self, line: int | None, sentence: str) -> None:
        self.problems.append(Problem(self._path, line, sentence))

    def _check_characters(self, content: bytes, first: int) -> None:
        """Check that no line holds NUL, tab, CR, or something that is not UTF-8."""
        named = {b"\0": "NUL", b"\t": "tab", b"\r": "CR"}
        found = {byte: name for byte, name in named.items() if byte in content}
        if not found and _utf8_fault(content) is None:
            return
        for number, line in enumerate(content.split(b"\n"), start=first):
            for character, name in found.items():
                if character in line:
                    self._report(number, f"the line holds a {name} character.")
            if fault := _utf8_fault(line):
                self._report(number, f"the line is not UTF-8 ({fault}).")

    def _read(self, content: bytes, first: int) -> list[tuple[int, str]]:
        """Read lines, and return the ids that were there before."""
        # What is reported need not be stumbled over again.
        text = content.decode("utf-8", errors="replace")
        text = text.replace("\t", " ").replace("\r", "").replace("\0", "")
        repeated: list[tuple[int, str]] = []
        previous = self._previous
        share = self._words.setdefault
        for number, line in enumerate(text.removesuffix("\n").split("\n"), start=first):
            key, _, value = line.partition(" ")
            if not key or key in self.values:
                if key:
                    repeated.append((number, key))
                else:
                    self._report(number, "the line has no id in front.")
                self._passed_over.add(number)
                continue
            # Code points sort as their UTF-8 bytes do: the C locale's order.
            if self._in_order and key < previous:
                self._report(
                    number, f"{key} is not in the C locale's order after {previous}."
                )
            previous = key
            value = value.strip()
            self.values[share(key, key)] = (
                share(value, value) if len(value) < _SHORT else value
            )
            if not value and self._path.name != "text":
                self._report(number, f"{key} has no value.")
        self._previous = previous
        return repeated


def _utf8_fault(content: bytes) -> str | None:
    try:
        content.decode("utf-8")
    except UnicodeDecodeError as error:
        return error.reason
    return None
