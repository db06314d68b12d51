"""Processes in which espeak-ng speaks prompts into files, each as if it were the first.

The library keeps state from one utterance to the next (phases of its oscillators,
positions in its flutter and noise tables, its random numbers, which it seeds from
the clock), so that the same prompt sounds different the second time. Therefore
:func:`speak_files` starts worker processes, and a worker loads the library once and
forks for every utterance (about a millisecond). Workers are programs of their own, not
forks of the caller, whose threads and memory they must not inherit. They read one JSON
object a line on standard input, answer one a line on standard output, and end with
their input, however their caller ended.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import traceback
import wave
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from espnet2_cltm.corpus.espeak import SAMPLE_RATE, Prompt, Synthesiser
from espnet2_cltm.corpus.phones import ctm_lines
from espnet2_cltm.errors import UserError
from espnet2_cltm.files import replacing, write_text


def speak_files(jobs: dict[Path, Prompt], nj: int) -> Generator[Path, None, None]:
    """Speak prompts into WAV files, 16-bit mono at 22.05 kHz.

    Beside each lies a ``.ctm`` of the same name with the times of its phones. A file
    appears under its name only when it is whole, the WAV file last, and its bytes
    depend on nothing but its prompt and the version of espeak-ng.

    Args:
        jobs: Prompts by the file that each goes to.
        nj: Number of processes.

    Yields:
        Each file when it is there, in the order given.

    Raises:
        UserError: espeak-ng is missing or broken, or a file cannot be written.
    """
    nj = max(1, min(nj, len(jobs)))
    with ExitStack() as stack:
        idle: SimpleQueue[_Worker] = SimpleQueue()
        for _ in range(nj):
            idle.put(stack.enter_context(_Worker()))

        def speak(path: Path, prompt: Prompt) -> Path:
            worker = idle.get()
            try:
                worker.speak(path, prompt)
            finally:
                idle.put(worker)
            return path

        executor = ThreadPoolExecutor(max_workers=nj)
        stack.callback(executor.shutdown, cancel_futures=True)
        futures = [executor.submit(speak, *job) for job in jobs.items()]
        for future in futures:
            yield future.result()


def worker_environment() -> dict[str, str]:
    """Return an environment in which a worker finds the packages of its caller."""
    return os.environ | {
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        "PYTHONSAFEPATH": "1",  # not what lies in the working directory
    }


class _Worker:
    """A worker process, seen from its caller."""

    def __enter__(self) -> "_Worker":
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            env=worker_environment(),
        )
        return self

    def __exit__(self, *_: object) -> None:
        # Its prompt, if any, takes some milliseconds; then it sees the end.
        self._process.communicate()

    def speak(self, path: Path, prompt: Prompt) -> None:
        job = asdict(prompt) | {"path": str(path.absolute())}
        process = self._process
        assert process.stdin and process.stdout
        try:
            print(json.dumps(job), file=process.stdin, flush=True)
            answer = process.stdout.readline()
        except BrokenPipeError:
            answer = ""
        if not answer:
            raise UserError(_broken_off(process.wait(), path))
        problem = json.loads(answer)
        if problem:
            raise (UserError if problem["user"] else RuntimeError)(problem["message"])


def _broken_off(status: int, path: Path | str) -> str:
    return (
        f"espeak-ng was stopped (status {status}) while it spoke {path}: run the same "
        "command again, it goes on from there."
    )


def main() -> None:
    """Speak prompts until standard input ends."""
    # Ctrl-C reaches the whole process group; the caller is the one to react.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    problem: dict[str, Any] | None = None
    with ExitStack() as stack:
        try:
            place = stack.enter_context(tempfile.TemporaryDirectory(prefix="espeak-"))
            synthesiser = Synthesiser(Path(place))
        except UserError as error:
            problem = {"user": True, "message": str(error)}
        except OSError as error:
            message = (
                f"espeak-ng needs a temporary directory, which cannot be made ({error})"
                ": free some space or set TMPDIR to another place."
            )
            problem = {"user": True, "message": message}
        for line in sys.stdin:
            answer = problem or _in_a_fork(synthesiser, json.loads(line))
            print(json.dumps(answer), flush=True)
        os.chdir("/")


def _in_a_fork(synthesiser: Synthesiser, job: dict[str, Any]) -> dict[str, Any] | None:
    """Speak one prompt in a child process; return its problem, if it has one."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        try:
            path = Path(job.pop("path"))
            speech = synthesiser.speak(Prompt(**job))
            write_text(path.with_suffix(".ctm"), ctm_lines(path.stem, speech.phones))
            _write_wav(path, speech.samples)
            problem = None
        except UserError as error:
            problem = {"user": True, "message": str(error)}
        except BaseException:
            problem = {"user": False, "message": traceback.format_exc()}
        with os.fdopen(writer, "w", encoding="utf-8") as pipe:
            json.dump(problem, pipe)
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, encoding="utf-8") as pipe:
        answer = pipe.read()
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if not answer:
        return {"user": True, "message": _broken_off(status, job["path"])}
    return json.loads(answer)


def _write_wav(path: Path, samples: bytes) -> None:
    with replacing(path) as temporary, wave.open(str(temporary), "wb") as audio:
        audio.setnchannels(1)
        audio.setsampwidth(2)
        audio.setframerate(SAMPLE_RATE)
        audio.writeframes(samples)


if __name__ == "__main__":
    main()
