"""How a command may end, and what a person sees then."""

from __future__ import annotations

import errno
import os
import sqlite3
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

from protocol.errors import KinflowError

INTERRUPTED = 130
BROKEN_PIPE = 141
UNEXPECTED = 1


def guarded(command: Callable[[], object], debug: bool = False) -> int:
    """Run `command` and return its exit status. What a person may meet is told in two lines, without a traceback."""
    try:
        returned = command()
    except KeyboardInterrupt:
        return INTERRUPTED
    except KinflowError as error:
        _tell(f"{error.code}: {error.cause_text}", f"What to do: {error.advice_text}")
        if _wants_traceback(debug):
            traceback.print_exc()
        return error.exit_status
    except BrokenPipeError:
        # The reader went away (`kinflow ... | head`): nothing to tell, and nothing left to flush to.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    except Exception as error:
        known = _known(error)
        if known is None:
            return _other(error, debug)
        _tell(f"{known.code}: {known.cause_text}", f"What to do: {known.advice_text}")
        if _wants_traceback(debug):
            traceback.print_exc()
        return known.exit_status
    return returned if isinstance(returned, int) and not isinstance(returned, bool) else 0


def _known(error: Exception) -> KinflowError | None:
    """A full disk, in our words: it may come from anywhere."""
    from node.errors import DiskFull  # noqa: PLC0415 (only a fault pays for it)

    if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL:
        return DiskFull(detail=str(error))
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return DiskFull(detail=error.filename or error.strerror)
    return None


def _other(error: Exception, debug: bool) -> int:
    if type(error).__name__ == "Abort":
        # Typer's name for Ctrl-C and for a question that was answered with no.
        return INTERRUPTED
    if hasattr(error, "show") and hasattr(error, "exit_code"):
        error.show()
        return int(error.exit_code)
    if _wants_traceback(debug):
        traceback.print_exc()
    else:
        from node.redaction import redact_text  # noqa: PLC0415 (only a fault pays for it)

        what = redact_text(f"{type(error).__name__}: {error}")[:300]
        _tell(f"Kinflow stopped on a fault of its own: {what}", f"What to do: report it with {_keep(error)}.")
    return UNEXPECTED


def _wants_traceback(debug: bool) -> bool:
    return debug or os.environ.get("KINFLOW_DEBUG", "") not in ("", "0")


def _keep(error: Exception) -> Path | str:
    """Write the traceback to the log folder, without secrets, and tell where."""
    from node.home import find_home  # noqa: PLC0415 (only a fault pays for it)
    from node.redaction import redact_text  # noqa: PLC0415

    path = find_home() / "log" / "faults.log"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8") as log:
            log.write(redact_text("".join(traceback.format_exception(error))) + "\n")
    except OSError:
        return "what `kinflow --debug ...` prints"
    return path


def _tell(*lines: str) -> None:
    """What an error says may come from the other side of a wire."""
    from node.printable import printable  # noqa: PLC0415 (only a fault pays for it)

    print(*map(printable, lines), sep="\n", file=sys.stderr)
