"""Words to the service manager: sd_notify(3) in a few lines."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import MutableMapping
from dataclasses import dataclass

SOCKET, WATCHDOG_US, WATCHDOG_PID = "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"


@dataclass(frozen=True)
class Manager:
    """The service manager that started this process. watchdog_s: within which it wants to hear WATCHDOG=1, or None."""

    address: str
    watchdog_s: float | None

    def tell(self, *lines: str) -> None:
        """Send READY=1, STOPPING=1, WATCHDOG=1 or STATUS=…; a manager that is gone is no reason to stop."""
        # A leading @ stands for a name outside the file system.
        address = "\0" + self.address[1:] if self.address.startswith("@") else self.address
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.sendto("\n".join(lines).encode(), address)


def find_manager(environment: MutableMapping[str, str] = os.environ) -> Manager | None:
    """Who started us, or None without one. What names it is taken out of `environment`: mosquitto, started by us, would
    answer for us."""
    address = environment.pop(SOCKET, "")
    watchdog, pid = environment.pop(WATCHDOG_US, ""), environment.pop(WATCHDOG_PID, "")
    if not address.startswith(("/", "@")):
        return None
    ours = watchdog.isdecimal() and pid in ("", str(os.getpid()))
    return Manager(address, int(watchdog) / 1e6 if ours and int(watchdog) > 0 else None)
