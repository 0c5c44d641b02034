"""A process that a bench started, and ends."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

PATIENCE_S = 10.0
STOPS = (signal.SIGINT, signal.SIGTERM)


def end(process: subprocess.Popen[bytes]) -> None:
    """In good order, else by force; nothing when it has ended."""
    if process.poll() is not None:
        return
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(PATIENCE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


@contextmanager
def running(
    command: Sequence[str], environment: Mapping[str, str], folder: Path | None = None, log: IO[bytes] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """A child that is ended afterwards. folder: where it runs. log: what takes all that it says; None where its output
    is read. A signal to stop that comes while it is being started waits until there is something to end. Of the main
    thread, as all that concerns signals."""
    came: list[int] = []
    handlers = {one: signal.signal(one, lambda number, _: came.append(number)) for one in STOPS}

    def answer_again() -> None:
        for number, handler in handlers.items():
            signal.signal(number, handler)

    try:
        process = subprocess.Popen(command, stdout=log or subprocess.PIPE, stderr=log, env=environment, cwd=folder)
    except BaseException:
        answer_again()
        raise
    try:
        answer_again()
        for number in came:
            signal.raise_signal(number)
        yield process
    finally:
        end(process)
        if process.stdout is not None:
            process.stdout.close()
