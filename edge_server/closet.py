"""What a server in a closet needs beyond its work: backups by themselves, its UPS, its disk, the note of a restore."""

from __future__ import annotations

import shlex
import sqlite3
import subprocess
import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import structlog

from edge_server.backup.restore import NOTE, Note
from edge_server.backup.schedule import Schedule
from edge_server.errors import BackupFailed, StoreRestored
from edge_server.store.writer import Submit
from node.clock import Clock
from node.config.schema import Backup, Power
from node.errors import BatteryLow, OnBattery, UpsSilent
from node.power.policy import Effect, Limits, Reading
from node.power.sources import open_source
from node.power.watch import PowerWatch
from protocol.errors import KinflowError

RESTORED = "restored"

Raise = Callable[[str, KinflowError, bool], object]

log = structlog.get_logger("edge.closet")


class Closet:
    """end: asks the edge server to stop, from any thread. after_end() is for when it has stopped."""

    def __init__(  # noqa: PLR0917 (what it stands between)
        self,
        home: Path,
        edge: str,
        backup: Backup,
        power: Power,
        clock: Clock,
        alarm: Raise,
        submit: Submit,
    ) -> None:
        self._home, self._power, self._clock = home, power, clock
        self._alarm, self._submit = alarm, submit
        self.end = threading.Event()
        self._schedule = Schedule(home, edge, backup, clock, self._backup_failed)
        self._watch: PowerWatch | None = None
        if power.source:
            limits = Limits(power.low_percent, round(power.low_after_s * 1000))
            source = open_source(power.source, power.on_battery)
            self._watch = PowerWatch(source, limits, clock, self._mains)

    def start(self) -> None:
        self._tell_of_restore()
        self._schedule.start()
        if self._watch is not None:
            self._watch.start()

    def stop(self) -> None:
        self._schedule.stop()
        if self._watch is not None:
            self._watch.stop()

    def after_end(self) -> None:
        """Everything is on the disk: only now the machine may go."""
        if not (self.end.is_set() and self._power.shutdown_command):
            return
        log.warning("the battery is low; shutting the machine down", command=self._power.shutdown_command)
        try:
            subprocess.run(shlex.split(self._power.shutdown_command), check=True, timeout=30)
        except (OSError, ValueError, subprocess.SubprocessError) as error:
            log.error("the machine could not be shut down", detail=str(error))

    def _mains(self, effect: Effect, reading: Reading | None, fault: UpsSilent | None) -> None:
        known = reading is not None and reading.charge_percent is not None
        charge = f"{reading.charge_percent:g} %" if reading is not None and known else "charge unknown"
        match effect:
            case "on-battery" | "mains-back":
                self._alarm("power-battery", OnBattery(charge=charge), effect == "on-battery")
            case "silent" | "heard":
                error = fault or UpsSilent(source=self._power.source, detail="no longer")
                self._alarm("power-ups-silent", error, effect == "silent")
            case "shut-down":
                log.error(str(BatteryLow(charge=charge)))
                self._alarm("power-low", BatteryLow(charge=charge), True)
                self.end.set()

    def _backup_failed(self, fault: BackupFailed | None) -> None:
        self._alarm("backup-failed", fault or BackupFailed(path="", detail="no longer"), fault is not None)

    def _tell_of_restore(self) -> None:
        """Numbers that the lost store had acknowledged and this one lacks are reported as gaps where their device
        goes on counting. Of a run that began and ended in between nothing here knows: so the period itself is told."""
        path = self._home / NOTE
        try:
            note = msgspec.json.decode(path.read_bytes(), type=Note)
        except (OSError, msgspec.MsgspecError):
            return
        since, until = (
            datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
            for at_ms in (note.made_ms, note.restored_ms)
        )
        self._alarm("store-restored", StoreRestored(since=since, until=until), True)
        done = self._submit(lambda store: _keep(store, note))
        done.add_done_callback(lambda kept: _forget(path) if kept.exception() is None else None)


def _keep(store: sqlite3.Connection, note: Note) -> None:
    text = msgspec.json.encode(note).decode()
    store.execute("INSERT OR REPLACE INTO settings VALUES (?, ?)", (RESTORED, text))


def _forget(path: Path) -> None:
    with suppress(OSError):
        path.unlink(missing_ok=True)
