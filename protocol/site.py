"""The site: what stands at each intersection, as data that an engineer writes or a simulator makes (site.toml).

Words: a *phase* is a group of signal heads that always show the same thing (NEMA TS 2's vehicle or pedestrian phase).
A *stage* is a set of compatible phases that are green together. *Intergreen* is yellow plus all-red.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from protocol.cabinet import Cabinet
from protocol.errors import SiteUnreadable
from protocol.geo import LonLat
from protocol.ids import (
    SLUG_PATTERN,
    ApproachId,
    CameraId,
    DeviceId,
    IntersectionId,
    LaneId,
    PhaseId,
    SiteId,
    StageId,
)
from protocol.preemption import PreemptionRules

Slug = Meta(pattern=SLUG_PATTERN)
Seconds = Annotated[float, Meta(ge=0.0, le=600.0)]
Metres = Annotated[float, Meta(gt=0.0, le=2000.0)]


class Lane(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One lane at the stop line, counted from the kerb. `to`: the approaches (or exits, any other id) it leads into;
    `phases`: those that give it green (none on a road that is only watched). An agent calls the lanes that it sees
    lane-1, lane-2, … from its picture's left (the kerb where traffic keeps right); other ids get no figures of their
    own."""

    id: Annotated[LaneId, Slug]
    width_m: Metres = 3.5
    to: tuple[Annotated[str, Slug], ...] = ()
    phases: tuple[PhaseId, ...] = ()


class Approach(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A road into an intersection. `line` runs with the traffic and ends at the stop line, in degrees. `camera`
    watches a rectangle of `road_width_m` by `visible_length_m` that begins at the stop line."""

    id: Annotated[ApproachId, Slug]
    name: str = ""
    line: Annotated[tuple[LonLat, ...], Meta(min_length=2)]
    speed_limit_mps: Annotated[float, Meta(gt=0.0, le=60.0)]
    grade_percent: Annotated[float, Meta(ge=-20.0, le=20.0)] = 0.0
    crossing_width_m: Metres = 20.0
    camera: Annotated[CameraId, Slug] | None = None
    road_width_m: Metres
    visible_length_m: Metres
    lanes: Annotated[tuple[Lane, ...], Meta(min_length=1)]


class Phase(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Times of one phase, in seconds. max_green_s counts from the first conflicting call. A pedestrian phase shows walk
    for at least walk_s, then pedestrian clearance for pedestrian_clearance_s, which nothing may shorten."""

    id: PhaseId
    name: str = ""
    kind: Literal["vehicle", "pedestrian"] = "vehicle"
    min_green_s: Seconds = 5.0
    max_green_s: Seconds = 60.0
    yellow_s: Seconds = 3.0
    all_red_s: Seconds = 1.0
    walk_s: Seconds = 0.0
    pedestrian_clearance_s: Seconds = 0.0


class Stage(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """yields: those of its phases whose vehicles give way to others of the stage (a permissive turn)."""

    id: Annotated[StageId, Slug]
    phases: Annotated[tuple[PhaseId, ...], Meta(min_length=1)]
    yields: tuple[PhaseId, ...] = ()


class PlanStep(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """green_s of one stage; the intergreen that follows comes from its phases."""

    stage: Annotated[StageId, Slug]
    green_s: Annotated[float, Meta(gt=0.0, le=600.0)]


class Plan(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The fixed plan, which the controller runs by itself whenever nobody holds a lease."""

    name: str = "fixed"
    offset_s: Seconds = 0.0
    steps: Annotated[tuple[PlanStep, ...], Meta(min_length=1)]


PhasePair = tuple[PhaseId, PhaseId]


class Intersection(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One signalised intersection. Every pair of phases must stand in exactly one of `conflicts` and `compatible`: a
    conflict that somebody forgot is then a fault in the file and not a green. camera_preempts: whether what cameras and
    microphones alone hold for an emergency vehicle may pre-empt; else it calls or extends a phase, no more. simulated:
    whether its controller is a simulation, which may be steered from the start; None: as the site says. cabinet: how a
    gateway speaks to the controller there, where that does not speak MQTT by itself."""

    id: Annotated[IntersectionId, Slug]
    name: str = ""
    position: LonLat
    controller: Annotated[DeviceId, Slug]
    control: Literal["fixed-time", "kinflow", "kinflow-nema", "max-pressure", "max-pressure-textbook"] = "max-pressure"
    camera_preempts: bool = False
    simulated: bool | None = None
    approaches: Annotated[tuple[Approach, ...], Meta(min_length=1)]
    phases: Annotated[tuple[Phase, ...], Meta(min_length=1)]
    conflicts: tuple[PhasePair, ...] = ()
    compatible: tuple[PhasePair, ...] = ()
    stages: Annotated[tuple[Stage, ...], Meta(min_length=1)]
    plan: Plan
    cabinet: Cabinet | None = None

    def phase(self, phase: PhaseId) -> Phase:
        return next(one for one in self.phases if one.id == phase)

    def stage(self, stage: StageId) -> Stage:
        return next(one for one in self.stages if one.id == stage)

    def conflict_set(self) -> frozenset[PhasePair]:
        """Every conflicting pair, in both orders."""
        return frozenset(self.conflicts) | frozenset((b, a) for a, b in self.conflicts)


class Neighbour(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Another site, whose edge servers are handed the routes of vehicles that drive on into it, and hand over theirs.

    hosts: by which its edge servers are reached, both of a pair. pin: SHA-256 of its root's key (SubjectPublicKeyInfo)
    in hexadecimal, as its `kinflow edge neighbour` prints it. exits: the ids that lanes here lead `to` and that lead
    there; without any, which way a route takes there is not checked."""

    site: Annotated[SiteId, Slug]
    hosts: Annotated[tuple[Annotated[str, Meta(pattern=r"^[A-Za-z0-9._:%-]{1,253}$(?!\n)")], ...], Meta(min_length=1)]
    http_port: Annotated[int, Meta(ge=1, le=65535)] = 8800
    pin: Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$(?!\n)")]
    exits: tuple[Annotated[str, Slug], ...] = ()


class Site(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A whole site file. `watched`: roads that a camera looks at and that no signal here serves. preemption: who may
    have the signals, and for how long. neighbours: to whom a vehicle's route is handed on."""

    version: Literal[1] = 1
    id: Annotated[SiteId, Slug]
    name: str = ""
    simulated: bool = False
    intersections: tuple[Intersection, ...] = ()
    watched: tuple[Approach, ...] = ()
    preemption: PreemptionRules = PreemptionRules()
    neighbours: tuple[Neighbour, ...] = ()

    def intersection(self, intersection: IntersectionId) -> Intersection:
        return next(one for one in self.intersections if one.id == intersection)

    def of_controller(self, device: DeviceId) -> Intersection | None:
        return next((one for one in self.intersections if one.controller == device), None)

    def approaches(self) -> tuple[Approach, ...]:
        """Every approach, the watched roads last."""
        return tuple(approach for one in self.intersections for approach in one.approaches) + self.watched


def parse_site(text: str, path: str = "site.toml") -> Site:
    """Read a site file's text. Raises SiteUnreadable (KF15): not TOML, or a value of the wrong type or range."""
    try:
        return msgspec.toml.decode(text, type=Site)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise SiteUnreadable(path=path, detail=str(error)[:300]) from error


def load_site(path: Path) -> Site:
    """Read a site file. It is not judged yet: see protocol.site_check."""
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SiteUnreadable(path=str(path), detail=str(error)) from error
    return parse_site(text, str(path))
