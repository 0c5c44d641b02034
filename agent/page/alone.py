"""`kinflow calibrate`: the page for one source, without an agent."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from pathlib import Path

from agent.lookout import Lookout
from agent.page.server import PageServer
from agent.settings import CameraSettings
from node.clock import SystemClock

_TURN_S = 0.25


def serve_calibration(
    settings: CameraSettings, home: Path, port: int, tell: Callable[[str], None], stop: threading.Event | None = None
) -> None:
    """Serve until `stop`, Ctrl-C or SIGTERM; tell is called once with the address."""
    stopping = stop or threading.Event()
    if stop is None:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stopping.set())
    arrived = threading.Condition()
    lookout = Lookout(settings, home, SystemClock(), arrived)
    page = PageServer(lambda: [lookout.camera_view()], home, port)
    page.start()
    lookout.watchdog.start()
    tell(page.entry)
    try:
        while not stopping.is_set():
            with arrived:
                frame = lookout.newest.take()
                if frame is None:
                    arrived.wait(_TURN_S)
                    frame = lookout.newest.take()
            if frame is not None:
                lookout.look(frame)
            lookout.watchdog.check()
    finally:
        lookout.watchdog.stop()
        page.stop()
