"""The one exception that is meant for the person at the terminal."""

from collections.abc import Iterator
from contextlib import contextmanager

_MOST_TOLD = 200
"""Characters of another library's message that are passed on."""


class UserError(Exception):
    """A mistake in the input that the user can correct.

    The message is one sentence that names the file, the line or id, what is
    wrong and what to do. Entry points print it without a trace and exit with
    status 1 (see :mod:`espnet2_cltm.bin.command_line`).
    """


@contextmanager
def foreign(what: str, remedy: str) -> Iterator[None]:
    """Tell in one sentence whatever reading a file from elsewhere raises.

    What a library raises for a file that is damaged, hostile or of another kind is
    nowhere declared and changes with its version.

    Args:
        what: What cannot be used, such as "model.zip is damaged"; the reason follows.
        remedy: What to do.

    Raises:
        UserError: The block raised something.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        raise UserError(f"{what} ({reason_of(error)}): {remedy}.") from error


def reason_of(error: BaseException) -> str:
    """Return an exception's message in one line, short, without a full stop."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    if isinstance(error, KeyError):
        lines[0] = f"lacks {lines[0]}"
    line = lines[0].strip()
    if line.endswith(":") and len(lines) > 1:
        line = f"{line} {lines[1].strip()}"
    line = line.rstrip(".:")
    return line if len(line) <= _MOST_TOLD else f"{line[:_MOST_TOLD]} ..."
