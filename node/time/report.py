"""What was last found out about the time, for every process of this boot."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec

from node.time.choose import Source
from node.trust.keys import write_whole
from node.trust.known_time import since_boot_ms, this_boot

FILE = "time-source.json"


class Report(msgspec.Struct, frozen=True):
    """offset_ms: of the true time, after a step. stepped_ms: by how much the clock was stepped in this boot, 0: not."""

    boot: str
    source: Source
    offset_ms: int
    error_ms: int | None
    since_boot_ms: int
    stepped_ms: int = 0


def keep(home: Path, report: Report) -> None:
    write_whole(home / FILE, msgspec.json.encode(report))


def load(home: Path, boot: Callable[[], str] = this_boot) -> Report | None:
    """The one of this boot, None where there is none: after a restart of the machine everything is open again."""
    try:
        report = msgspec.json.decode((home / FILE).read_bytes(), type=Report)
    except (OSError, msgspec.MsgspecError):
        return None
    return report if report.boot and report.boot == boot() else None


def age_ms(report: Report, now_ms: Callable[[], int] = since_boot_ms) -> int:
    return max(0, now_ms() - report.since_boot_ms)
