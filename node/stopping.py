"""The signals that ask a process to end, and all that time allows for its good-byes."""

from __future__ import annotations

import signal
from collections.abc import Callable


def stop_signals() -> list[signal.Signals]:
    """Ctrl-C, a service manager, and a terminal or an SSH session that is closed. A process that was started with
    SIGHUP ignored (nohup) goes on ignoring it."""
    ignored = signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    return [signal.SIGTERM, signal.SIGINT, *([] if ignored else [signal.SIGHUP])]


def on_stop_signals(stop: Callable[[], object]) -> None:
    """Call `stop` for each of them; it must be safe in a signal handler."""
    for number in stop_signals():
        signal.signal(number, lambda *_: stop())
