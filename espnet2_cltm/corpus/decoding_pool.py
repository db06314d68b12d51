"""The processes that decode audio: started when needed, gone when the program is.

Fresh interpreters (``spawn``), so that it does not matter what the calling process
has imported or which threads it runs. A script that uses this needs the usual
``if __name__ == "__main__":`` around its work.
"""

import multiprocessing
import multiprocessing.connection
import os
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from typing import Any

from espnet2_cltm.corpus.pipes import end_running
from espnet2_cltm.errors import UserError
from espnet2_cltm.files import cannot_write


class DecodingPool:
    """A number of processes; a context manager that ends them.

    >>> with DecodingPool(nj=4) as pool:  # doctest: +SKIP
    ...     pool.run([(decode_chunk, utterances, ark, marker)], lambda index: None)

    Args:
        nj: Number of processes.
        apart: Whether a single process is another than the caller's. Then a crash in
            it is one sentence, and what libraries print stays off the terminal.
    """

    def __init__(self, nj: int, apart: bool = True):
        self._nj = nj
        self._apart = apart or nj > 1
        self._executor: ProcessPoolExecutor | None = None

    def __enter__(self) -> "DecodingPool":
        return self

    def __exit__(self, *exception: object) -> None:
        self._stop()

    def run(
        self, calls: Sequence[tuple[Any, ...]], on_done: Callable[[int], object]
    ) -> list[Any]:
        """Make all calls, several at a time; return what they return, in their order.

        When one raises, those that run are waited for and the others dropped.

        Args:
            calls: Function and arguments, all of them picklable.
            on_done: Is given the index of each call as it returns, in any order.

        Raises:
            UserError: A process was killed. What a call raises is passed on.
        """
        if not self._apart:
            results = []
            for index, (function, *arguments) in enumerate(calls):
                results.append(function(*arguments))
                on_done(index)
            return results
        if self._executor is None:
            try:
                self._executor = ProcessPoolExecutor(
                    self._nj,
                    mp_context=multiprocessing.get_context("spawn"),
                    initializer=_prepare_process,
                )
            except OSError as error:  # semaphores are files there
                raise cannot_write("/dev/shm", error) from error
        try:
            indices = {
                self._executor.submit(*call): index for index, call in enumerate(calls)
            }
            for future in as_completed(indices):
                future.result()
                on_done(indices[future])
            return [future.result() for future in indices]
        except BrokenProcessPool:
            self._stop()
            raise UserError(
                "A decoding process was killed, most likely because memory ran out: "
                f"run the same command again with --nj below {self._nj}; what is "
                "finished is kept."
            ) from None
        except BaseException:
            self._stop()
            raise

    def _stop(self) -> None:
        if self._executor is not None:
            self._executor.shutdown(cancel_futures=True)
            self._executor = None


def _prepare_process() -> None:
    # Ctrl-C reaches every process of the terminal; the parent decides what happens.
    # A handler, not SIG_IGN, which the commands of a wav.scp would inherit: they have
    # a session of their own, and end with it.
    signal.signal(signal.SIGINT, lambda number, frame: end_running())
    threading.Thread(target=_end_with_parent, daemon=True).start()
    # libsndfile's MP3 decoder writes pages of warnings about damaged files to
    # descriptor 2; Python keeps the real one.
    sys.stderr = os.fdopen(os.dup(2), "w", buffering=1)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    os.close(nowhere)


def _end_with_parent() -> None:
    """End this process when the parent is gone, even killed with -9."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        multiprocessing.connection.wait([parent.sentinel])
        end_running()
        os._exit(1)
