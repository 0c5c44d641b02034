"""The objects of NTCIP 1202 that Kinflow uses (v02.19 sections 2.2 to 2.8; the same in v03), as OIDs.

Phases stand in groups of eight; within a group bit 0 is the first. A write to any of the control objects starts the
controller's backup timer anew; when it runs out, the controller sets all of them to zero and is on its own again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

Oid = tuple[int, ...]

# iso.org.dod.internet.private.enterprises.nema.transportation.devices.asc
ASC: Oid = (1, 3, 6, 1, 4, 1, 1206, 4, 2, 1)
GROUP = 8
GROUPS_MOST = 4

SYS_DESCR: Oid = (1, 3, 6, 1, 2, 1, 1, 1, 0)
SYS_UP_TIME: Oid = (1, 3, 6, 1, 2, 1, 1, 3, 0)

MAX_PHASES = (*ASC, 1, 1, 0)
MAX_PHASE_GROUPS = (*ASC, 1, 3, 0)
UNIT_BACKUP_TIME = (*ASC, 3, 3, 0)
UNIT_CONTROL_STATUS = (*ASC, 3, 5, 0)
UNIT_FLASH_STATUS = (*ASC, 3, 6, 0)
COORD_PATTERN_STATUS = (*ASC, 4, 10, 0)
SYSTEM_PATTERN_CONTROL = (*ASC, 4, 14, 0)
MAX_PREEMPTS = (*ASC, 6, 1, 0)

# Columns of phaseTable. Seconds, but yellow change and red clearance: tenths of a second.
PHASE_WALK, PHASE_PEDESTRIAN_CLEAR, PHASE_MINIMUM_GREEN = 2, 3, 4
PHASE_MAXIMUM_1, PHASE_YELLOW_CHANGE, PHASE_RED_CLEAR = 6, 8, 9
PHASE_OPTIONS, PHASE_RING, PHASE_CONCURRENCY = 21, 22, 23
PHASE_ENABLED = 1

# Columns of phaseStatusGroupTable.
REDS, YELLOWS, GREENS, DONT_WALKS, PED_CLEARS, WALKS = 2, 3, 4, 5, 6, 7
VEH_CALLS, PED_CALLS, PHASE_ONS, PHASE_NEXTS = 8, 9, 10, 11

# Columns of phaseControlGroupTable.
PHASE_OMIT, PED_OMIT, HOLD, FORCE_OFF, VEH_CALL, PED_CALL = 2, 3, 4, 5, 6, 7
CONTROLS = (PHASE_OMIT, PED_OMIT, HOLD, FORCE_OFF, VEH_CALL, PED_CALL)

STANDBY, FREE, FLASH = 0, 254, 255

CONTROL_STATUS = {
    1: "other", 2: "systemControl", 3: "systemStandby", 4: "backupMode", 5: "manual", 6: "timebase",
    7: "interconnect", 8: "interconnectBackup",
}  # fmt: skip
NOT_FLASH = 2
FLASH_STATUS = {
    1: "other", 2: "notFlash", 3: "automatic", 4: "localManual", 5: "faultMonitor", 6: "mmu", 7: "startup",
    8: "preempt",
}  # fmt: skip
# preemptState: what is neither of these is a pre-empt that runs.
PREEMPT_NOT_ACTIVE, PREEMPT_CALLED = 2, 3
PREEMPT_STATE = {
    1: "other", 2: "notActive", 3: "notActiveWithCall", 4: "entryStarted", 5: "trackService", 6: "dwell",
    7: "linkActive", 8: "exitStarted", 9: "maxPresence",
}  # fmt: skip


def phase_table(column: int, phase: int) -> Oid:
    return (*ASC, 1, 2, 1, column, phase)


def status(column: int, group: int) -> Oid:
    return (*ASC, 1, 4, 1, column, group)


def control(column: int, group: int) -> Oid:
    return (*ASC, 1, 5, 1, column, group)


def preempt_state(number: int) -> Oid:
    return (*ASC, 6, 2, 1, 16, number)


def preempt_control(number: int) -> Oid:
    return (*ASC, 6, 3, 1, 2, number)


def groups_of(phases: Iterable[int]) -> range:
    """The groups that hold these phases, from the first on."""
    return range(1, (max(phases, default=1) - 1) // GROUP + 2)


def mask(phases: Iterable[int], group: int) -> int:
    """Those of `phases` that stand in a group, as its bits."""
    first = (group - 1) * GROUP + 1
    return sum(1 << (phase - first) for phase in set(phases) if first <= phase < first + GROUP)


def phases_in(bits: Mapping[int, int]) -> frozenset[int]:
    """Phases from the bits of each group."""
    return frozenset(
        (group - 1) * GROUP + 1 + bit for group, value in bits.items() for bit in range(GROUP) if value >> bit & 1
    )
