"""The one exception that is meant for the person at the terminal."""

import re
from collections.abc import Collection, Iterator
from contextlib import contextmanager

_MOST_TOLD = 200
"""Characters of another library's message that are passed on."""
_LONG_WORD = re.compile(r"(\S{120})\S{180,}")
_UNSEEN = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e]")


class UserError(Exception):
    """A mistake in the input that the user can correct.

    The message is one sentence that names the file, the line or id, what is
    wrong and what to do. Entry points print it without a trace and exit with
    status 1 (see :mod:`espnet2_cltm.bin.command_line`). What it quotes may be hostile:
    endless words are cut, and control characters, which a terminal obeys, are spelt.
    """

    def __init__(self, message: str):
        visible = _UNSEEN.sub(lambda found: ascii(found[0])[1:-1], message)
        super().__init__(_LONG_WORD.sub(r"\1...", visible))


@contextmanager
def foreign(what: str, remedy: str) -> Iterator[None]:
    """Turn any exception of the block into one sentence, for files from elsewhere.

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
        reason = reason_of(error)
        if isinstance(error, OSError) and str(error.filename) in what:
            reason = error.strerror or reason  # without the path again
        raise UserError(f"{what} ({reason}): {remedy}.") from error


def require_known(
    option: str, value: object, known: Collection[str], place: str = ""
) -> None:
    """Refuse an option's value that is not among those known.

    Args:
        option: Name of the option.
        value: Its value.
        known: Values that it may have.
        place: Where it stands, such as ``in frontend_conf``, for the message.

    Raises:
        UserError: It is not.
    """
    if value not in known:
        given = f"{option}: {value} {place}".strip()
        raise UserError(f"{given} is unknown: give one of {', '.join(known)}.")


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
