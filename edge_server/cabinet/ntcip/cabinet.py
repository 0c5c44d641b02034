"""A controller that speaks NTCIP 1202, behind the port of a cabinet.

It is written to only while a lease is held, the controller fits the site file, its backup timer is set, nobody else
writes to it, and no pre-empt but ours runs. Each write is one message with all control objects, and is repeated within
half of the backup time: that timer is the controller's own lease.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from edge_server.cabinet.ntcip import objects
from edge_server.cabinet.ntcip.controls import NONE, controls
from edge_server.cabinet.ntcip.numbers import Numbers
from edge_server.cabinet.ntcip.objects import Oid
from edge_server.cabinet.ntcip.snmp import Snmp, Value
from edge_server.cabinet.ntcip.survey import backup_fault, survey
from edge_server.cabinet.port import Reading, Wish
from edge_server.errors import CabinetBackupUnusable, CabinetMismatch
from node.clock import Clock
from protocol.cabinet import Cabinet as Described
from protocol.ids import PhaseId
from protocol.messages.heartbeat import Aspect
from protocol.site import Intersection

# Of the backup time: when to write again. The rest of its half is for a message that is lost and comes again.
WRITE_AGAIN_SHARE = 0.3
WRITE_LATEST_SHARE = 0.5
# So many looks in a row that do not show what was written: it is acknowledged and not kept.
IGNORED_LOOKS = 4
# How long one that ignored what was written is left alone.
LEFT_ALONE_MS = 30_000
PREEMPTS_MOST = 8
MANUAL = 5
# Whoever commands a vehicle's lease, as a signal command names it.
PREEMPTION = "preemption"

_STATUS = (
    objects.REDS, objects.YELLOWS, objects.GREENS, objects.PED_CLEARS, objects.WALKS, objects.VEH_CALLS,
    objects.PED_CALLS,
)  # fmt: skip
# The device itself takes force-offs back, so they say nothing of who wrote them.
_KEPT = (objects.PHASE_OMIT, objects.HOLD, objects.VEH_CALL)


@dataclass(frozen=True)
class _Status:
    """One reading, by phases of the controller."""

    columns: Mapping[int, frozenset[int]]
    got: Mapping[Oid, Value]

    def number(self, oid: Oid) -> int | None:
        value = self.got.get(oid)
        return value if isinstance(value, int) else None


class NtcipCabinet:
    """snmp: reaches the controller. Nothing is read before the first look()."""

    def __init__(self, intersection: Intersection, described: Described, snmp: Snmp, clock: Clock) -> None:
        self._intersection = intersection
        self._described = described
        self._numbers = Numbers.of(intersection, described)
        self._groups = self._numbers.groups
        self._snmp = snmp
        self._clock = clock
        # By the vehicles of their stages: a walk of a stage may be over while it goes on.
        self._preempts = {
            frozenset(self._numbers.vehicles.keys() & intersection.stage(stage).phases): number
            for stage, number in described.preempts
        }
        self._surveyed = False
        self._misfit: str | None = None
        self._count = 0
        self._up_cs = -1
        self._backup_s = 0
        self._written: dict[Oid, int] = {}
        self._written_ms = 0
        self._unkept = 0
        self._alone_until_ms: int | None = None

    def look(self) -> Reading:
        status = self._read()
        up_cs = status.number(objects.SYS_UP_TIME) or 0
        if not self._surveyed or up_cs < self._up_cs:
            self._survey()
        self._up_cs = up_cs
        self._backup_s = status.number(objects.UNIT_BACKUP_TIME) or 0
        aspects, senseless = self._aspects(status)
        flash = self._flash(status) or senseless
        calls = {one for one, number in self._numbers.vehicles.items() if number in status.columns[objects.VEH_CALLS]}
        calls |= {one for one, number in self._numbers.walks.items() if number in status.columns[objects.PED_CALLS]}
        waiting = frozenset(one for one in calls if aspects[one] not in ("green", "walk"))
        control = objects.CONTROL_STATUS.get(status.number(objects.UNIT_CONTROL_STATUS) or 0, "?")
        return Reading(aspects, waiting, flash, self._unfit(status) if flash is None else None, control)

    def serve(self, wish: Wish, reading: Reading) -> None:
        values = controls(self._numbers, wish.phases, reading.serving).values(self._groups)
        if self._described.pattern:
            values[objects.SYSTEM_PATTERN_CONTROL] = self._described.pattern
        vehicles = frozenset(self._numbers.vehicles.keys() & wish.phases)
        wanted = self._preempts.get(vehicles) if wish.deciding == PREEMPTION else None
        values |= {objects.preempt_control(one): int(one == wanted) for one in self._preempts.values()}
        now_ms = self._clock.monotonic_ms()
        if any(self._written.values()) and now_ms - self._written_ms > WRITE_LATEST_SHARE * self._backup_s * 1000:
            late_s = (now_ms - self._written_ms) / 1000
            raise CabinetBackupUnusable(
                address=self._described.address,
                seconds=self._backup_s,
                detail=f"the last write is {late_s:g} s ago, and has to be within half of it",
            )
        if values != self._written or now_ms - self._written_ms >= WRITE_AGAIN_SHARE * self._backup_s * 1000:
            self._write(values, now_ms)

    def let_go(self) -> None:
        if not any(self._written.values()):
            return
        values = NONE.values(self._groups) | dict.fromkeys(self._written, 0)
        self._write(values, self._clock.monotonic_ms())
        self._written = {}

    def close(self) -> None:
        self._snmp.close()

    def _write(self, values: dict[Oid, int], now_ms: int) -> None:
        # Remembered first: of a message without an answer nobody knows whether it came.
        self._written, self._written_ms = values, now_ms
        self._snmp.set(values)

    def _survey(self) -> None:
        self._misfit = survey(self._snmp, self._intersection, self._described).fault
        got = self._snmp.get([objects.MAX_PREEMPTS]).get(objects.MAX_PREEMPTS)
        self._count = min(got, PREEMPTS_MOST) if isinstance(got, int) else 0
        self._surveyed = True
        self._written = {}

    def _read(self) -> _Status:
        wanted = [objects.status(column, group) for group in self._groups for column in _STATUS]
        kept = [objects.control(column, group) for group in self._groups for column in _KEPT]
        wanted += [
            objects.UNIT_FLASH_STATUS, objects.UNIT_CONTROL_STATUS, objects.UNIT_BACKUP_TIME, objects.SYS_UP_TIME,
            objects.SYSTEM_PATTERN_CONTROL, *kept,
        ]  # fmt: skip
        wanted += [objects.preempt_state(number) for number in range(1, self._count + 1)]
        got = self._snmp.get(wanted)
        columns: dict[int, frozenset[int]] = {}
        for column in _STATUS:
            bits = {group: got.get(objects.status(column, group)) for group in self._groups}
            numbers = {group: value for group, value in bits.items() if isinstance(value, int)}
            if len(numbers) != len(bits):
                detail = "it has no phaseStatusGroupTable for all of its phases, or this user may not see it"
                raise CabinetMismatch(intersection=self._intersection.id, detail=detail)
            columns[column] = objects.phases_in(numbers)
        return _Status(columns, got)

    def _aspects(self, status: _Status) -> tuple[dict[PhaseId, Aspect], str | None]:
        """What each phase shows, and what makes no sense of it: then it counts as red."""
        heads: dict[int, Aspect] = {objects.REDS: "red", objects.YELLOWS: "yellow", objects.GREENS: "green"}
        aspects: dict[PhaseId, Aspect] = {}
        senseless = None
        for phase, number in self._numbers.vehicles.items():
            lit = [aspect for column, aspect in heads.items() if number in status.columns[column]]
            if len(lit) != 1:
                senseless = f"phase {number} shows {' and '.join(lit) or 'nothing'}"
            aspects[phase] = lit[0] if len(lit) == 1 else "red"
        for phase, number in self._numbers.walks.items():
            walks, clears = (number in status.columns[column] for column in (objects.WALKS, objects.PED_CLEARS))
            if walks and clears:
                senseless = f"phase {number} shows walk and pedestrian clearance"
            aspects[phase] = "walk" if walks else "pedestrian-clearance" if clears else "red"
        return aspects, senseless

    @staticmethod
    def _flash(status: _Status) -> str | None:
        flash = status.number(objects.UNIT_FLASH_STATUS)
        if flash in (objects.NOT_FLASH, None):
            return None
        return f"unitFlashStatus {objects.FLASH_STATUS.get(flash or 0, flash)}"

    def _unfit(self, status: _Status) -> str | None:
        """Why it is not to be written to now."""
        if self._misfit is not None:
            return self._misfit
        backup = backup_fault(status.got.get(objects.UNIT_BACKUP_TIME), self._described.backup_most_s)
        if backup is not None:
            return backup
        if status.number(objects.UNIT_CONTROL_STATUS) == MANUAL:
            return "somebody works it by hand (unitControlStatus manual)"
        return self._preempted(status) or self._kept(status)

    def _preempted(self, status: _Status) -> str | None:
        for number in range(1, self._count + 1):
            state = status.number(objects.preempt_state(number))
            if state in (objects.PREEMPT_NOT_ACTIVE, objects.PREEMPT_CALLED, None):
                continue
            name = objects.PREEMPT_STATE.get(state or 0, str(state))
            ours = self._written.get(objects.preempt_control(number)) or name == "exitStarted"
            if not ours or number not in self._preempts.values():
                return f"pre-empt {number} runs in it ({name})"
        return None

    def _kept(self, status: _Status) -> str | None:
        """Is what stands in it what was written? Zeros mean that it let go; anything else that somebody else writes."""
        now_ms = self._clock.monotonic_ms()
        if self._alone_until_ms is not None and now_ms < self._alone_until_ms:
            return "it acknowledges what is written and does not keep it"
        self._alone_until_ms = None
        ours = [objects.control(column, group) for group in self._groups for column in _KEPT]
        ours.append(objects.SYSTEM_PATTERN_CONTROL)
        stands = {oid: status.number(oid) or 0 for oid in ours}
        wrote = {oid: self._written.get(oid, 0) for oid in ours}
        if stands == wrote:
            self._unkept = 0
            return None
        if any(stands.values()):
            self._written = {}
            return "calls, holds or a pattern stand in it that were not written by this gateway"
        self._written = {}
        self._unkept += 1
        if self._unkept < IGNORED_LOOKS:
            return None
        self._unkept = 0
        self._alone_until_ms = now_ms + LEFT_ALONE_MS
        return "it acknowledges what is written and does not keep it"
