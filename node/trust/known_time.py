"""What time it is, as well as this machine can know: as its edge server said, counted on since; else its own clock.

The answer is kept beside the time since boot, so that every process of this boot knows it, and a clock that is set
meanwhile (by a person, by a bad battery) changes nothing.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

from node.trust.keys import write_whole

FILE = "time.json"
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def since_boot_ms() -> int:
    """Sleep included."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000


def this_boot() -> str:
    try:
        return _BOOT_ID.read_text("ascii").strip()
    except OSError:
        return ""


class KnownTime:
    """folder: where the answer is kept. Thread-safe: reading and writing are of one small file each."""

    def __init__(
        self,
        folder: Path,
        wall_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
        boot_ms: Callable[[], int] = since_boot_ms,
        boot: Callable[[], str] = this_boot,
    ) -> None:
        self._path = folder / FILE
        self._wall_ms, self._boot_ms, self._boot = wall_ms, boot_ms, boot

    def learn(self, edge_ms: int) -> None:
        """Only what an edge server has signed, or said inside a pinned connection, may come here."""
        said = {"boot": self._boot(), "edge_ms": edge_ms, "since_boot_ms": self._boot_ms()}
        write_whole(self._path, json.dumps(said).encode())

    def now_ms(self) -> int:
        """Milliseconds since 1970."""
        said_ms = self.said_ms()
        return self._wall_ms() if said_ms is None else said_ms

    def said_ms(self) -> int | None:
        """The edge server's time, None where it has said none since this machine started."""
        try:
            said = json.loads(self._path.read_bytes())
            if not said["boot"] or said["boot"] != self._boot():
                return None
            return int(said["edge_ms"]) + self._boot_ms() - int(said["since_boot_ms"])
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def offset_ms(self) -> int | None:
        """How much later the edge server's time is than this machine's clock; None where it is not known."""
        said_ms = self.said_ms()
        return None if said_ms is None else said_ms - self._wall_ms()
