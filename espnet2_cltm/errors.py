"""The one exception that is meant for the person at the terminal."""


class UserError(Exception):
    """A mistake in the input that the user can correct.

    The message is one sentence that names the file, the line or id, what is
    wrong and what to do. Entry points print it without a trace and exit with
    status 1 (see :mod:`espnet2_cltm.bin.command_line`).
    """
