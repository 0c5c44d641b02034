"""`kinflow NAME ...`: find the part that NAME belongs to, import it, and hand over. Nothing else is imported, so that
`kinflow --help` and a mistyped name answer at once."""

from __future__ import annotations

import atexit
import importlib
import importlib.util
import logging
import os
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from difflib import get_close_matches
from importlib.metadata import version
from typing import Any

from kinflow.mounts import MOUNTS, Mount
from kinflow.outcome import UNEXPECTED, guarded

USAGE_ERROR = 2
# Before NumPy is imported. Our matrices are small: a second thread of its BLAS would spin rather than work, and take a
# core from its neighbour.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command and exit with its status: 0, a KinflowError's number, 2 for a wrong call, 130 after Ctrl-C.
    arguments: None for those of this process, which then is this command's alone."""
    if arguments is not None:
        sys.exit(run(list(arguments)))
    status = UNEXPECTED
    # Registered first, called last: after every other farewell.
    atexit.register(lambda: leave(status))
    status = run(sys.argv[1:])
    sys.exit(status)


def run(arguments: list[str]) -> int:
    debug = False
    while arguments and arguments[0].startswith("-"):
        option = arguments.pop(0)
        if option == "--debug":
            debug = True
        elif option in ("--help", "-h"):
            print(overview())
            return 0
        elif option == "--version":
            print(f"kinflow {version('kinflow')}")
            return 0
        else:
            return _refuse(f"kinflow has no option {option!r}.")
    if not arguments:
        print(overview())
        return 0
    name, *rest = arguments
    mount = available().get(name)
    if mount is None:
        near = get_close_matches(name, available(), n=1)
        return _refuse(f"kinflow has no command {name!r}." + (f" Did you mean {near[0]!r}?" if near else ""))
    return guarded(lambda: _call(name, mount, rest), debug)


def leave(status: int) -> None:
    """End this process now if daemon threads are left. Python would end each where it comes back from a library, by
    unwinding its stack; C++ code, such as OpenCV's that reads a camera, answers that with abort()."""
    if not any(one.daemon for one in threading.enumerate()):
        return
    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):  # a reader that went away
            stream.flush()
    os._exit(status)


def available() -> dict[str, Mount]:
    """The mounts whose module is installed."""
    return {name: mount for name, mount in MOUNTS.items() if _exists(mount.module)}


def overview() -> str:
    lines = [f"  {name:<16}{mount.summary}" for name, mount in available().items()]
    return "\n".join(
        [
            "Usage: kinflow [--debug] COMMAND ...",
            "",
            *lines,
            "",
            "`kinflow COMMAND --help` tells more; `kinflow --version` tells the version.",
        ]
    )


def _exists(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False


def _call(name: str, mount: Mount, arguments: list[str]) -> object:
    if mount.libraries:
        _guard(mount.libraries)
    import typer.main  # noqa: PLC0415 (a tenth of a second that --help need not pay)

    target = getattr(importlib.import_module(mount.module), mount.attribute)
    if isinstance(target, typer.Typer):
        # get_command would take a group of one command for that command.
        command: Any = typer.main.get_group(target)
    else:
        single = typer.Typer(add_completion=False)
        single.command()(target)
        command = typer.main.get_command(single)
    return command.main(args=arguments, prog_name=f"kinflow {name}", standalone_mode=False)


def _guard(libraries: Sequence[str]) -> None:
    """A library that was built for another processor would end this process without a word."""
    from node.hardware.guard import ensure_loads  # noqa: PLC0415 (only commands that load such a library need it)
    from node.home import find_home  # noqa: PLC0415

    ensure_loads(libraries, home=find_home())


def _refuse(text: str) -> int:
    print(f"{text}\n`kinflow --help` lists what there is.", file=sys.stderr)
    return USAGE_ERROR
