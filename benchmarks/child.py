"""A process that a bench started, and ends."""

from __future__ import annotations

import signal
import subprocess

PATIENCE_S = 10.0


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
