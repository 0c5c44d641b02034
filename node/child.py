"""Child processes that can't outlive their parent."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence

TERMINATE_WITHIN_S = 2.0


def dying_with_parent(command: Sequence[str], signal: str = "KILL") -> list[str]:
    """`command`, changed so that the kernel sends it `signal` when its parent ends, even by kill -9.

    Linux counts the parent's *thread*: start such a child from a thread that lives as long as the child should. Where
    setpriv (util-linux) is missing, the command is returned as it is.
    """
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", signal, "--", *command] if setpriv else list(command)


def end(process: subprocess.Popen[bytes]) -> None:
    """Ask a child to end, make it end when it does not, and close its output."""
    process.terminate()
    try:
        process.wait(timeout=TERMINATE_WITHIN_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if process.stdout is not None:
        process.stdout.close()
