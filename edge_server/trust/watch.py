"""What changed in the authority, whoever changed it, is given effect: the broker is told, and people are."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from edge_server.errors import DeviceNotAsked
from edge_server.store.rows import LogEntry
from edge_server.trust.trust import EdgeTrust
from node.identity import Identity
from node.trust.records import AuditRow
from protocol.ids import DeviceId
from protocol.messages import Alarm

EVERY_S = 0.5
SERVER_EVERY = 600
AUDIT_BATCH = 200
SEEN = "seen"
# A device asks how it stands now and then; after these it is told to ask at once.
NUDGES = frozenset({"renamed", "moving"})

log = structlog.get_logger("edge.trust")


@dataclass(frozen=True)
class Broker:
    """What the watch may ask of our broker: read again who may come in, and end one device's connection."""

    reload: Callable[[], None]
    kick: Callable[[DeviceId], None]


class TrustWatch:
    """Looks twice a second, on a thread of its own, so that what another process wrote holds within a second.

    apply() may be called from any thread, for a change that must hold before it is answered.
    """

    def __init__(  # noqa: PLR0917 (what it watches, and whom it tells)
        self,
        trust: EdgeTrust,
        broker: Broker,
        identity: Identity,
        log_entry: Callable[[LogEntry], None],
        report: Callable[[Alarm], None],
        nudge: Callable[[DeviceId], None],
    ) -> None:
        self._trust, self._broker, self._identity = trust, broker, identity
        self._log_entry, self._report, self._nudge = log_entry, report, nudge
        self._applied = -1
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="trust-watch", daemon=True)
        self._failing = False

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()

    def apply(self) -> None:
        """Make the broker hold to the records as they are now. Raises what reloading the broker raises."""
        with self._lock:
            records = self._trust.records
            revision = records.revision
            if revision == self._applied:
                return
            self._broker.reload()
            rows = records.run("SELECT DISTINCT device FROM certificates WHERE revoked_ms > 0 AND put_out = 0")
            for (device,) in rows:
                self._broker.kick(DeviceId(device))
            if rows:
                records.run("UPDATE certificates SET put_out = 1 WHERE revoked_ms > 0 AND put_out = 0")
            self._applied = revision

    def _run(self) -> None:
        rounds = 0
        while not self._stopping.wait(EVERY_S):
            rounds += 1
            try:
                self.apply()
                self._tell()
                if rounds % SERVER_EVERY == 0 and self._trust.renew_server():
                    self._broker.reload()
                    log.info("this server's own certificate was renewed")
                self._failing = False
            except Exception as error:
                if not self._failing:
                    log.error("what changed in the authority has no effect yet; tried again", detail=str(error)[:300])
                self._failing = True

    def _tell(self) -> None:
        rows = self._trust.records.all(AuditRow, "audit", order="id", limit=AUDIT_BATCH, told=0)
        for row in rows:
            who = f" ({row.actor})" if row.actor not in {"edge", "root"} else ""
            where = f" from {row.address}" if row.address else ""
            self._log_entry(
                LogEntry(
                    at_ms=row.at_ms,
                    kind=f"trust-{row.kind}",
                    severity=row.severity,
                    device=row.device,
                    subject=row.device,
                    text=f"{row.text}{where}{who}"[:500],
                )
            )
            if row.alarm:
                self._report(self._alarm(row))
            if row.kind in NUDGES:
                # One that is away hears of it the next time it asks.
                with contextlib.suppress(DeviceNotAsked):
                    self._nudge(DeviceId(row.device))
            self._trust.records.run("UPDATE audit SET told = 1 WHERE id = ?", row.id)

    def _alarm(self, row: AuditRow) -> Alarm:
        """Raised by what happened, and cleared by a person who says that it was seen."""
        over = row.kind == SEEN
        return Alarm(
            **self._identity.accounted(),
            alarm=row.alarm,
            subject=self._identity.device,
            severity="critical",
            active=not over,
            text=("Over: " if over else "") + row.text[:480],
            code=row.text.partition(":")[0] if row.text.startswith("KF") else None,
        )
