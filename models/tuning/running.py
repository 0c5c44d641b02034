"""Starts the workers, passes their events on, and turns their errors back into ours."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

import models.errors as _errors
from models.errors import WorkerLost
from models.tuning.events import Event
from node.child import dying_with_parent
from protocol.errors import catalogue

__all__ = ["run_worker"]
# How Python ends that is interrupted before anything of ours could hear of it: within its own start, or after.
INTERRUPTED = (1, -signal.SIGINT)
_ROOT = Path(_errors.__file__).resolve().parents[1]


def run_worker(verb: str, folder: Path, hear: Callable[[Event], None], more: Sequence[str] = ()) -> bool:
    """True when it ran to its end, False when it stopped because this process was asked to (Ctrl-C). Raises what the
    worker told, and WorkerLost (KF375) when it ended without a word."""
    command = [sys.executable, "-m", "models.tuning.worker", verb, str(folder), *more]
    paths = [str(_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    # A group of its own: the terminal's Ctrl-C reaches this process alone, which passes it on once.
    with subprocess.Popen(
        dying_with_parent(command, "INT"),
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        start_new_session=True,
    ) as process:
        last: Event | None = None
        asked = False
        while True:
            try:
                line = process.stdout.readline() if process.stdout else b""
                if not line:
                    break
                last = msgspec.json.decode(line, type=Event)
                if last.event != "failed":
                    hear(last)
            except KeyboardInterrupt:
                asked = True
                process.send_signal(signal.SIGINT)
        status = process.wait()
    if last is not None and last.event == "failed":
        raise _error(last)
    if asked and status in INTERRUPTED:
        return False
    if status != 0 or last is None:
        detail = f"by signal {-status}" if status < 0 else f"with status {status}"
        raise WorkerLost(detail=detail)
    return last.event != "stopped"


def _error(event: Event) -> Exception:
    if event.number:
        return catalogue()[event.number](**event.fields)
    number = int(event.fields.get("errno", "0"))
    if number:
        return OSError(number, os.strerror(number), event.fields.get("file"))
    return OSError(event.fields["text"])
