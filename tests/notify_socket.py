"""A service manager's notify socket, and what was said to it."""

from __future__ import annotations

import os
import socket
import threading
from pathlib import Path
from types import TracebackType


class NotifySocket:
    """Listens as systemd does; `heard` has each line in the order of its coming."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.heard: list[str] = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        self._thread = threading.Thread(target=self._listen, daemon=True)

    def environment(self, watchdog_s: float) -> dict[str, str]:
        """For a child: its process id is not known before it is there, as with systemd's own WATCHDOG_PID left out."""
        return {**os.environ, "NOTIFY_SOCKET": str(self.path), "WATCHDOG_USEC": str(int(watchdog_s * 1e6))}

    def count(self, line: str) -> int:
        return self.heard.count(line)

    def __enter__(self) -> NotifySocket:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as last:
            last.sendto(b"", str(self.path))
        self._thread.join()
        self._socket.close()

    def _listen(self) -> None:
        while said := self._socket.recv(4096):
            self.heard += said.decode().splitlines()
