"""Does the controller fit the site file, and may it be acted on? Reads alone; nothing is written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations

from edge_server.cabinet.ntcip import objects
from edge_server.cabinet.ntcip.numbers import Numbers
from edge_server.cabinet.ntcip.objects import Oid
from edge_server.cabinet.ntcip.snmp import Snmp, Value
from protocol.cabinet import Cabinet
from protocol.site import Intersection
from protocol.site_check import Finding

# Below this a lost message and its repetition do not fit into half of it.
BACKUP_LEAST_S = 4

_COLUMNS = (
    objects.PHASE_WALK, objects.PHASE_PEDESTRIAN_CLEAR, objects.PHASE_MINIMUM_GREEN, objects.PHASE_YELLOW_CHANGE,
    objects.PHASE_RED_CLEAR, objects.PHASE_OPTIONS, objects.PHASE_RING, objects.PHASE_CONCURRENCY,
)  # fmt: skip
_TENTHS = (objects.PHASE_YELLOW_CHANGE, objects.PHASE_RED_CLEAR)


@dataclass(frozen=True)
class Survey:
    """facts: what the controller says of itself, for people. findings: a fault keeps Kinflow from writing to it."""

    facts: Mapping[str, str | int | None]
    findings: tuple[Finding, ...]

    @property
    def fault(self) -> str | None:
        return next((f"{one.where}: {one.text}" for one in self.findings if one.severity == "fault"), None)


def backup_fault(seconds: Value, most_s: int) -> str | None:
    """Why nothing is written under this unitBackupTime, None when something may be."""
    if not isinstance(seconds, int):
        return "it has no unitBackupTime: nothing would give the signals back"
    if seconds == 0:
        return "unitBackupTime is 0: nothing would give the signals back"
    if seconds < BACKUP_LEAST_S:
        return f"unitBackupTime is {seconds} s: too short to write twice within it"
    if seconds > most_s:
        return (
            f"unitBackupTime is {seconds} s: signals would be held for so long once Kinflow is gone ({most_s} s most)"
        )
    return None


def survey(snmp: Snmp, intersection: Intersection, cabinet: Cabinet) -> Survey:
    """Raises what `snmp` raises."""
    numbers = Numbers.of(intersection, cabinet)
    scalars: dict[str, Oid] = {
        "sysDescr": objects.SYS_DESCR, "sysUpTime_cs": objects.SYS_UP_TIME, "maxPhases": objects.MAX_PHASES,
        "maxPhaseGroups": objects.MAX_PHASE_GROUPS, "maxPreempts": objects.MAX_PREEMPTS,
        "unitBackupTime_s": objects.UNIT_BACKUP_TIME, "unitControlStatus": objects.UNIT_CONTROL_STATUS,
        "unitFlashStatus": objects.UNIT_FLASH_STATUS, "coordPatternStatus": objects.COORD_PATTERN_STATUS,
        "systemPatternControl": objects.SYSTEM_PATTERN_CONTROL,
    }  # fmt: skip
    got = snmp.get(list(scalars.values()))
    facts = {name: got.get(oid) for name, oid in scalars.items()}
    known = [one for one in sorted(numbers.all) if one <= (_number(facts["maxPhases"]) or 255)]
    table = snmp.get([objects.phase_table(column, phase) for phase in known for column in _COLUMNS])
    controls = snmp.get([objects.control(column, group) for group in numbers.groups for column in objects.CONTROLS])
    for name, words in (("unitControlStatus", objects.CONTROL_STATUS), ("unitFlashStatus", objects.FLASH_STATUS)):
        number = _number(facts[name])
        facts[name] = f"{number} ({words.get(number, '?')})" if number is not None else None
    found = list(_unit(facts, cabinet, controls))
    for phase in sorted(numbers.all - set(known)):
        found.append(Finding("fault", f"phase {phase}", f"the controller has {facts['maxPhases']} phases"))
    found += _times(intersection, numbers, table)
    found += _together(intersection, numbers, table)
    if dict(cabinet.preempts) and not _number(facts["maxPreempts"]):
        found.append(Finding("fault", "preempts", "the controller has none"))
    return Survey(facts, tuple(found))


def _number(value: Value) -> int | None:
    return value if isinstance(value, int) else None


def _unit(facts: Mapping[str, Value], cabinet: Cabinet, controls: Mapping[Oid, Value]) -> Iterator[Finding]:
    severity = "fault" if cabinet.acts else "hint"
    backup = backup_fault(facts["unitBackupTime_s"], cabinet.backup_most_s)
    if backup is not None:
        yield Finding(severity, "unit", backup)
    if facts["maxPhases"] is None:
        yield Finding("fault", "unit", "it knows no maxPhases: it does not speak NTCIP 1202")
    if None in controls.values():
        yield Finding(severity, "unit", "it has no phaseControlGroupTable, or this user may not see it")
    elif any(controls.values()) or facts["systemPatternControl"]:
        yield Finding("hint", "unit", "calls, holds or a pattern are set in it now: another system may be steering it")


def _times(intersection: Intersection, numbers: Numbers, table: Mapping[Oid, Value]) -> Iterator[Finding]:
    """The controller times them all. One that is shorter than the site file's is a fault: nobody else lengthens it."""

    def seconds(column: int, phase: int) -> float | None:
        value = _number(table.get(objects.phase_table(column, phase)))
        return None if value is None else value / 10 if column in _TENTHS else float(value)

    for phase in intersection.phases:
        walks = phase.kind == "pedestrian"
        number = numbers.walks[phase.id] if walks else numbers.vehicles[phase.id]
        where = f"phase {phase.id}" if number == phase.id else f"phase {phase.id} ({number} in the controller)"
        options = _number(table.get(objects.phase_table(objects.PHASE_OPTIONS, number)))
        if options is not None and not options & objects.PHASE_ENABLED:
            yield Finding("fault", where, "it is not enabled in the controller")
        wanted = (
            {"phaseWalk": (objects.PHASE_WALK, phase.walk_s),
             "phasePedestrianClear": (objects.PHASE_PEDESTRIAN_CLEAR, phase.pedestrian_clearance_s)}
            if walks else
            {"phaseMinimumGreen": (objects.PHASE_MINIMUM_GREEN, phase.min_green_s),
             "phaseYellowChange": (objects.PHASE_YELLOW_CHANGE, phase.yellow_s),
             "phaseRedClear": (objects.PHASE_RED_CLEAR, phase.all_red_s)}
        )  # fmt: skip
        for name, (column, site_s) in wanted.items():
            has_s = seconds(column, number)
            if has_s is None:
                yield Finding("fault", where, f"the controller does not tell its {name}")
            elif has_s + 1e-6 < site_s:
                yield Finding("fault", where, f"{name} is {has_s:g} s, and {site_s:g} s in the site file")
            elif has_s > site_s + 1e-6:
                yield Finding("hint", where, f"{name} is {has_s:g} s, and only {site_s:g} s in the site file")


def _together(intersection: Intersection, numbers: Numbers, table: Mapping[Oid, Value]) -> Iterator[Finding]:
    """What a stage shows together has to be able to run together: in different rings, and concurrent."""
    told: set[tuple[int, int]] = set()
    for stage in intersection.stages:
        for one, other in combinations(sorted(numbers.running(frozenset(stage.phases))), 2):
            if (one, other) in told:
                continue
            told.add((one, other))
            rings = [table.get(objects.phase_table(objects.PHASE_RING, phase)) for phase in (one, other)]
            beside = table.get(objects.phase_table(objects.PHASE_CONCURRENCY, one))
            if rings[0] is not None and rings[0] == rings[1]:
                yield Finding("fault", f"stage {stage.id}", f"the controller's phases {one} and {other} share a ring")
            elif isinstance(beside, str) and beside and chr(other) not in beside:
                text = f"phase {other} is not concurrent with phase {one} in the controller"
                yield Finding("fault", f"stage {stage.id}", text)
