"""The time as gpsd tells it: JSON lines over local TCP, of which TPV holds it."""

from __future__ import annotations

import socket
import time
from dataclasses import dataclass
from datetime import datetime

import msgspec

from node.errors import GpsSilent

PORT = 2947
WATCH = b'?WATCH={"enable":true,"json":true};\n'
LIMIT_BYTES = 16_384
FIX_2D = 2


class _Report(msgspec.Struct):
    """mode: 0 and 1 no fix, 2 and 3 a fix. ept: the error that it estimates, in seconds."""

    kind: str = msgspec.field(name="class", default="")
    mode: int = 0
    time: str = ""
    ept: float | None = None


_decode = msgspec.json.Decoder(_Report).decode


@dataclass(frozen=True)
class Fix:
    utc_ms: int
    error_ms: int


def parse(line: bytes) -> Fix | None:
    """None for a report of another kind, without a fix, or that can't be read."""
    try:
        report = _decode(line)
        if report.kind != "TPV" or report.mode < FIX_2D:
            return None
        at = datetime.fromisoformat(report.time)
        if at.tzinfo is None:
            return None
        utc_ms = round(at.timestamp() * 1000)
        # Reports come up to a second after the second that they tell of.
        return Fix(utc_ms, 1_000 + round(min(60.0, max(0.0, report.ept or 0.0)) * 1000))
    except (msgspec.MsgspecError, UnicodeDecodeError, ValueError, OverflowError):
        return None


def read(host: str, port: int, within_s: float) -> tuple[Fix, int]:
    """A fix, and our monotonic clock in milliseconds when it came. Raises GpsSilent (KF172)."""
    where, deadline = f"gpsd://{host}:{port}", time.monotonic() + within_s
    detail = "it sees no satellites yet"
    try:
        with socket.create_connection((host, port), within_s) as line, line.makefile("rb") as said:
            line.sendall(WATCH)
            while (left_s := deadline - time.monotonic()) > 0:
                line.settimeout(left_s)
                report = said.readline(LIMIT_BYTES)
                if not report:
                    detail = "it ended the connection"
                    break
                fix = parse(report)
                if fix is not None:
                    return fix, time.monotonic_ns() // 1_000_000
    except TimeoutError:
        pass
    except OSError as error:
        detail = error.strerror or str(error)
    raise GpsSilent(source=where, detail=detail)
