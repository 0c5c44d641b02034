"""The health file: what a tier's process says of itself, for the gate that decides whether a new version stays.

One file for each tier, `$KINFLOW_HOME/health/<tier>.json`: agent and edge server may share a home. It is renamed into
place and not synced: after a power cut nobody wants an old one. A card wears out with each write, so it is written once
a minute, and every second while a version is on trial or when something in it changes.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from node.clock import Clock

FOLDER = "health"
ON_TRIAL_MS = 1_000
OTHERWISE_MS = 60_000
# An older word says nothing about what ran before an update.
RECENT_S = 3_600.0


class HealthReport(Struct, frozen=True, kw_only=True):
    """boot: this run of the process. machine_boot: the kernel's, since at_mono_ms counts from it. answer: whether a
    model gave one; None where no model runs."""

    tier: Annotated[str, Meta(pattern=r"^[a-z]{1,16}\Z")]
    version: str
    boot: str
    machine_boot: str
    at_mono_ms: int
    link_up: bool
    cameras: dict[str, str] = {}
    answer: bool | None = None


class HealthFile:
    """One tier's process calls `tell` as often as it likes, from one thread. A disk that refuses ends nothing."""

    def __init__(self, home: Path, tier: str, version: str, boot: str, clock: Clock) -> None:
        self._path = home / FOLDER / f"{tier}.json"
        self._journal = home / "update" / "state.json"
        self._tier, self._version, self._boot, self._clock = tier, version, boot, clock
        self._machine = machine_boot()
        self._said: tuple[object, ...] = ()
        self._said_ms: int | None = None
        self._stamp, self._trial = 0, False

    def tell(self, link_up: bool, cameras: Mapping[str, str] | None = None, answer: bool | None = None) -> None:
        now_ms = self._clock.monotonic_ms()
        content = (link_up, tuple(sorted((cameras or {}).items())), answer)
        pause_ms = ON_TRIAL_MS if self._on_trial() else OTHERWISE_MS
        if self._said_ms is not None and content == self._said and now_ms - self._said_ms < pause_ms:
            return
        if self._said_ms is not None and now_ms - self._said_ms < ON_TRIAL_MS:
            return
        self._said, self._said_ms = content, now_ms
        report = HealthReport(
            tier=self._tier,
            version=self._version,
            boot=self._boot,
            machine_boot=self._machine,
            at_mono_ms=now_ms,
            link_up=link_up,
            cameras=dict(cameras or {}),
            answer=answer,
        )
        with contextlib.suppress(OSError):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            part = self._path.with_name(f".{self._path.name}.part")
            part.write_bytes(msgspec.json.encode(report))
            part.replace(self._path)

    def _on_trial(self) -> bool:
        """Looked up again only when the journal has changed."""
        try:
            stamp = self._journal.stat().st_mtime_ns
            if stamp != self._stamp:
                self._trial = json.loads(self._journal.read_bytes()).get("phase") == "trial"
                self._stamp = stamp
        except (OSError, ValueError, AttributeError):
            self._trial = False
        return self._trial


def read_reports(home: Path, *, this_boot: bool) -> dict[str, HealthReport]:
    """Each tier's newest word. this_boot: leave out what an earlier boot of this machine left behind."""
    found = {}
    for path in sorted((home / FOLDER).glob("*.json")):
        with contextlib.suppress(OSError, msgspec.DecodeError, UnicodeDecodeError):
            report = msgspec.json.decode(path.read_bytes(), type=HealthReport)
            if not this_boot or report.machine_boot == machine_boot():
                found[report.tier] = report
    return found


def is_recent(home: Path, tier: str, wall_s: float | None = None) -> bool:
    """Whether a tier spoke within the last hour (a clock that was set back since then is no reason to doubt it)."""
    try:
        written_s = (home / FOLDER / f"{tier}.json").stat().st_mtime
    except OSError:
        return False
    return (time.time() if wall_s is None else wall_s) - written_s < RECENT_S


def machine_boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    except OSError:
        return ""


def running_version() -> str:
    """The version that this process runs from: its folder's name where it is installed, else the package's."""
    folder = Path(sys.prefix)
    if folder.parent.name == "versions":
        return folder.name
    from importlib.metadata import PackageNotFoundError, version  # noqa: PLC0415 (only outside of an installation)

    try:
        return version("kinflow")
    except PackageNotFoundError:
        return os.environ.get("KINFLOW_VERSION", "0")
