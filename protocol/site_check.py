"""Judge a site: every fault at once, each with where it stands. A site with a fault steers no signal.

Clearance times follow ITE's kinematic formula (Guidelines for Determining Traffic Signal Change and Clearance
Intervals, 2020): yellow = t + v / (2 (a + g G)), all-red = (w + l) / v, with t = 1 s, a = 3.05 m/s2, l = 6 m; yellow
never below 3 s (MUTCD 4F.17).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

from protocol.cabinet import Cabinet
from protocol.geo import LonLat
from protocol.preemption import PreemptionRules
from protocol.site import Approach, Intersection, Phase, Site

REACTION_S = 1.0
DECELERATION_MPS2 = 3.05
GRAVITY_MPS2 = 9.81
VEHICLE_LENGTH_M = 6.0
YELLOW_FLOOR_S = 3.0
TOLERANCE_S = 0.05
# What an SNMP message can be forged or read with.
WEAK = ("none", "md5", "sha-1", "des")


@dataclass(frozen=True)
class Finding:
    """where: a path such as `intersections[north].phases[2]`. severity: a fault forbids steering, a hint does not."""

    severity: str
    where: str
    text: str


def required_yellow_s(approach: Approach) -> float:
    grade = approach.grade_percent / 100
    kinematic = REACTION_S + approach.speed_limit_mps / (2 * (DECELERATION_MPS2 + GRAVITY_MPS2 * grade))
    return max(YELLOW_FLOOR_S, kinematic)


def recommended_all_red_s(approach: Approach) -> float:
    return max(
        0.0,
        (approach.crossing_width_m + VEHICLE_LENGTH_M) / approach.speed_limit_mps - REACTION_S,
    )


def check(site: Site) -> tuple[Finding, ...]:
    """Everything that is wrong with a site, or worth a second look."""
    return tuple(_site(site))


def faults(site: Site) -> tuple[Finding, ...]:
    return tuple(finding for finding in check(site) if finding.severity == "fault")


def _site(site: Site) -> Iterator[Finding]:
    yield from _unique("intersections", [str(one.id) for one in site.intersections])
    yield from _unique("controllers", [str(one.controller) for one in site.intersections])
    yield from _unique("approaches", [str(one.id) for one in site.approaches()])
    yield from _unique(
        "cameras",
        [str(one.camera) for one in site.approaches() if one.camera is not None],
    )
    yield from _preemption(site.preemption)
    yield from _neighbours(site)
    for approach in site.approaches():
        yield from _places(f"approaches[{approach.id}].line", approach.line)
    for intersection in site.intersections:
        where = f"intersections[{intersection.id}]"
        yield from _places(f"{where}.position", (intersection.position,))
        yield from _phases(intersection, where)
        yield from _matrix(intersection, where)
        yield from _stages(intersection, where)
        yield from _lanes(intersection, where)
        if intersection.cabinet is not None:
            yield from _cabinet(intersection, intersection.cabinet, f"{where}.cabinet")


def _preemption(rules: PreemptionRules) -> Iterator[Finding]:
    yield from _unique("preemption.roles", [rule.role for rule in rules.roles])
    if rules.renew_s >= min(rules.cap_s, rules.priority_cap_s):
        text = f"renew_s {rules.renew_s} has to be below both caps: a lease would end before it lapses"
        yield Finding("fault", "preemption", text)
    if rules.run_s < rules.cap_s:
        yield Finding(
            "fault", "preemption", f"run_s {rules.run_s} is below cap_s {rules.cap_s}: no lease could reach it"
        )


def _neighbours(site: Site) -> Iterator[Finding]:
    yield from _unique("neighbours", [str(one.site) for one in site.neighbours])
    leads_to = {egress for approach in site.approaches() for lane in approach.lanes for egress in lane.to}
    for one in site.neighbours:
        where = f"neighbours[{one.site}]"
        if one.site == site.id:
            yield Finding("fault", where, "a site is not its own neighbour")
        for exit_id in one.exits:
            if exit_id not in leads_to:
                yield Finding("hint", where, f"no lane here leads to the exit {exit_id!r}")


def _unique(where: str, ids: list[str]) -> Iterator[Finding]:
    for name, count in Counter(ids).items():
        if count > 1:
            yield Finding(
                "fault",
                where,
                f"{name!r} stands {count} times; ids must be unique in a site",
            )


def _places(where: str, points: tuple[LonLat, ...]) -> Iterator[Finding]:
    for longitude, latitude in points:
        if not (-180.0 <= longitude <= 180.0 and -90.0 <= latitude <= 90.0):
            yield Finding("fault", where, f"[{longitude}, {latitude}] is no longitude and latitude")


def _phases(intersection: Intersection, where: str) -> Iterator[Finding]:
    yield from _unique(f"{where}.phases", [str(phase.id) for phase in intersection.phases])
    for phase in intersection.phases:
        at = f"{where}.phases[{phase.id}]"
        if phase.max_green_s < phase.min_green_s:
            yield Finding(
                "fault",
                at,
                f"max_green_s {phase.max_green_s} is below min_green_s {phase.min_green_s}",
            )
        if phase.kind == "vehicle":
            yield from _clearance(intersection, phase, at)
        elif phase.walk_s < 4.0 or phase.pedestrian_clearance_s <= 0.0:
            yield Finding(
                "fault",
                at,
                "a pedestrian phase needs walk_s of 4 or more and pedestrian_clearance_s above 0",
            )


def _clearance(intersection: Intersection, phase: Phase, where: str) -> Iterator[Finding]:
    if phase.yellow_s < YELLOW_FLOOR_S:
        yield Finding(
            "fault",
            where,
            f"yellow_s {phase.yellow_s} is below the floor of {YELLOW_FLOOR_S}",
        )
    for approach in intersection.approaches:
        if not any(phase.id in lane.phases for lane in approach.lanes):
            continue
        yellow = required_yellow_s(approach)
        if phase.yellow_s + TOLERANCE_S < yellow:
            yield Finding(
                "fault",
                where,
                f"yellow_s {phase.yellow_s} is below {yellow:.1f}, needed on {approach.id}",
            )
        all_red = recommended_all_red_s(approach)
        if phase.all_red_s + TOLERANCE_S < all_red:
            yield Finding(
                "hint",
                where,
                f"all_red_s {phase.all_red_s}: {all_red:.1f} would clear {approach.id}",
            )


def _matrix(intersection: Intersection, where: str) -> Iterator[Finding]:
    known = {phase.id for phase in intersection.phases}
    listed: dict[frozenset[int], set[str]] = {}
    for kind, pairs in (
        ("conflicts", intersection.conflicts),
        ("compatible", intersection.compatible),
    ):
        for pair in pairs:
            if pair[0] == pair[1] or not known.issuperset(pair):
                yield Finding(
                    "fault",
                    f"{where}.{kind}",
                    f"{list(pair)} is no pair of two phases of this intersection",
                )
            listed.setdefault(frozenset(pair), set()).add(kind)
    for a, b in combinations(sorted(known), 2):
        kinds = listed.get(frozenset((a, b)), set())
        if not kinds:
            text = f"phases {a} and {b} stand in neither conflicts nor compatible; say which"
            yield Finding("fault", f"{where}.conflicts", text)
        elif len(kinds) > 1:
            yield Finding(
                "fault",
                f"{where}.conflicts",
                f"phases {a} and {b} stand in both conflicts and compatible",
            )


def _stages(intersection: Intersection, where: str) -> Iterator[Finding]:
    yield from _unique(f"{where}.stages", [str(stage.id) for stage in intersection.stages])
    known = {phase.id for phase in intersection.phases}
    conflicts = intersection.conflict_set()
    for stage in intersection.stages:
        at = f"{where}.stages[{stage.id}]"
        for unknown in sorted(set(stage.phases) - known):
            yield Finding("fault", at, f"phase {unknown} does not exist")
        for pair in combinations(stage.phases, 2):
            if pair in conflicts:
                yield Finding(
                    "fault",
                    at,
                    f"phases {pair[0]} and {pair[1]} conflict and can't be green together",
                )
    stages = {stage.id: stage for stage in intersection.stages}
    served: set[int] = set()
    for step in intersection.plan.steps:
        planned = stages.get(step.stage)
        if planned is None:
            yield Finding("fault", f"{where}.plan", f"stage {step.stage!r} does not exist")
            continue
        served.update(planned.phases)
        for phase in intersection.phases:
            needed = max(phase.min_green_s, phase.walk_s + phase.pedestrian_clearance_s)
            if phase.id in planned.phases and step.green_s < needed:
                text = f"{step.green_s} s of stage {step.stage} are below the {needed:g} s that phase {phase.id} needs"
                yield Finding("fault", f"{where}.plan", text)
    for phase in intersection.phases:
        if phase.id not in served:
            yield Finding("fault", f"{where}.plan", f"phase {phase.id} never gets green")


def _lanes(intersection: Intersection, where: str) -> Iterator[Finding]:
    known = {phase.id for phase in intersection.phases if phase.kind == "vehicle"}
    used: set[int] = set()
    for approach in intersection.approaches:
        at = f"{where}.approaches[{approach.id}]"
        yield from _unique(f"{at}.lanes", [str(lane.id) for lane in approach.lanes])
        if approach.camera is None:
            yield Finding(
                "hint",
                at,
                "no camera watches this approach; its queue is taken as unknown",
            )
        for lane in approach.lanes:
            used.update(lane.phases)
            if not lane.phases:
                yield Finding("fault", f"{at}.lanes[{lane.id}]", "no phase gives this lane green")
            for foreign in sorted(set(lane.phases) - known):
                yield Finding(
                    "fault",
                    f"{at}.lanes[{lane.id}]",
                    f"phase {foreign} is no vehicle phase here",
                )
    for idle in sorted(known - used):
        yield Finding("hint", f"{where}.phases[{idle}]", "no lane uses this phase")


def _cabinet(intersection: Intersection, cabinet: Cabinet, where: str) -> Iterator[Finding]:
    try:
        _ = cabinet.port
    except ValueError:
        yield Finding("fault", f"{where}.address", f"{cabinet.address!r} is no HOST or HOST:PORT")
    weak = cabinet.version != "v3" or cabinet.authentication in WEAK or cabinet.privacy in WEAK
    if weak:
        named = cabinet.version if cabinet.version != "v3" else f"{cabinet.authentication} and {cabinet.privacy}"
        if not cabinet.insecure:
            yield Finding("fault", where, f"SNMP with {named} can be forged; use v3 with SHA-2 and AES")
        else:
            text = f"INSECURE: with {named} anybody on that network can move these signals; never outside a bench"
            yield Finding("hint", where, text)
    yield from _cabinet_phases(intersection, cabinet, where)
    stages = {stage.id: stage for stage in intersection.stages}
    for stage, number in cabinet.preempts:
        if stage not in stages:
            yield Finding("fault", f"{where}.preempts", f"stage {stage!r} of pre-empt {number} does not exist")


def _cabinet_phases(intersection: Intersection, cabinet: Cabinet, where: str) -> Iterator[Finding]:
    known = {phase.id: phase for phase in intersection.phases}
    told = dict(cabinet.phases)
    for phase in sorted(told.keys() - known.keys()):
        yield Finding("fault", f"{where}.phases", f"phase {phase} does not exist")
    for kind in ("vehicle", "pedestrian"):
        taken: dict[int, int] = {}
        for one in intersection.phases:
            if one.kind != kind:
                continue
            if kind == "pedestrian" and one.id not in told:
                text = f"say in which phase of the controller pedestrian phase {one.id} walks: [{one.id}, N]"
                yield Finding("fault", f"{where}.phases", text)
            number = told.get(one.id, int(one.id))
            if number in taken:
                text = f"{kind} phases {taken[number]} and {one.id} are both {number} in the controller"
                yield Finding("fault", f"{where}.phases", text)
            taken[number] = int(one.id)
    vehicles = {told.get(one.id, int(one.id)): one.id for one in intersection.phases if one.kind == "vehicle"}
    for stage in intersection.stages:
        for phase in stage.phases:
            if phase not in known or known[phase].kind == "vehicle":
                continue
            beside = vehicles.get(told.get(phase, int(phase)))
            if beside is not None and beside not in stage.phases:
                text = f"phase {phase} walks in the controller only while phase {beside} is green, which is not in it"
                yield Finding("fault", f"{where}: stage {stage.id}", text)
