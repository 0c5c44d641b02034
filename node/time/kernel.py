"""Whether somebody keeps the system's clock right: the kernel's own word, by adjtimex, which asks and sets nothing."""

from __future__ import annotations

import ctypes
import time
from pathlib import Path

STA_UNSYNC = 0x40
# systemd-timesyncd makes it when it has set the clock; read where adjtimex is not allowed, as in our own units.
SYNCHRONIZED = Path("/run/systemd/timesync/synchronized")
# What is assumed where only that file tells.
FILE_ERROR_MS = 1_000


class _Timex(ctypes.Structure):
    _fields_ = (
        ("modes", ctypes.c_uint),
        *((name, ctypes.c_long) for name in ("offset", "freq", "maxerror", "esterror")),
        ("status", ctypes.c_int),
        *((name, ctypes.c_long) for name in ("constant", "precision", "tolerance", "sec", "usec", "tick")),
        *((name, ctypes.c_long) for name in ("ppsfreq", "jitter")),
        ("shift", ctypes.c_int),
        *((name, ctypes.c_long) for name in ("stabil", "jitcnt", "calcnt", "errcnt", "stbcnt")),
        ("tai", ctypes.c_int),
        # Reserved by the kernel, with room to spare.
        ("reserved", ctypes.c_int * 32),
    )


def ntp_error_ms(synchronized: Path = SYNCHRONIZED) -> int | None:
    """How far the clock may be off at most, as the kernel reckons; None while nobody keeps it right."""
    said = _Timex()
    try:
        asked = ctypes.CDLL(None, use_errno=True).adjtimex(ctypes.byref(said))
    except (OSError, AttributeError):
        asked = -1
    if asked >= 0:
        return None if said.status & STA_UNSYNC else max(1, round(said.maxerror / 1000))
    return FILE_ERROR_MS if synchronized.exists() else None


def set_system_clock(at_ms: int) -> None:
    """Raises PermissionError without CAP_SYS_TIME."""
    time.clock_settime(time.CLOCK_REALTIME, at_ms / 1000)
