"""Write the simulated city down as a site, the way an engineer would.

Phases are numbered as NEMA TS 2 does: 2 and 6 the main street's through traffic (eastbound, westbound), 5 and 1 the
left turns beside them, 4 and 8 the side street's (southbound, northbound), 7 and 3 their left turns. There are no
pedestrians.
"""

from __future__ import annotations

from itertools import combinations
from math import ceil
from pathlib import Path

import msgspec

from protocol.geo import LonLat, to_lonlat
from protocol.ids import ApproachId, CameraId, DeviceId, IntersectionId, LaneId, PhaseId, SiteId, StageId
from protocol.site import Approach, Intersection, Lane, Phase, PhasePair, Plan, PlanStep, Site, Stage
from protocol.site_check import recommended_all_red_s, required_yellow_s
from sim_devices.city.layout import Arm, CityLayout, Side
from sim_devices.city.network import Network
from sim_devices.city.toml import to_toml

# A place in the Gulf of Guinea, where there is no street: nobody takes the simulated city for a real one.
ORIGIN: LonLat = (0.01, 0.01)
VISIBLE_LENGTH_M = 60.0

THROUGH: dict[Side, int] = {"west": 2, "east": 6, "north": 4, "south": 8}
LEFT: dict[Side, int] = {"west": 5, "east": 1, "north": 7, "south": 3}
STAGES: dict[str, tuple[int, ...]] = {
    "main-through": (2, 6), "main-left": (1, 5), "side-through": (4, 8), "side-left": (3, 7),
    "from-west": (2, 5), "from-east": (1, 6), "from-north": (4, 7), "from-south": (3, 8),
}  # fmt: skip
PLAN = (("main-through", 26.0), ("main-left", 12.0), ("side-through", 24.0), ("side-left", 11.0))


def phase_of(side: str, turn: str) -> PhaseId:
    """The phase that serves a turn (`s`, `l` or `r`) of those who come from a side."""
    return PhaseId(LEFT[side] if turn == "l" else THROUGH[side])  # type: ignore[index]


def camera_of(approach: str) -> CameraId:
    return CameraId(f"{approach}-camera")


def controller_of(junction: str) -> DeviceId:
    return DeviceId(f"{junction}-controller")


def make_site(layout: CityLayout, network: Network) -> Site:
    arms = layout.arms()
    return Site(
        id=SiteId("simulated-city"),
        name="Simulated city",
        simulated=True,
        intersections=tuple(_intersection(name, network, arms) for name in layout.junctions()),
    )


def write_site(site: Site, path: Path) -> None:
    """As TOML, at one stroke: a reader sees the old file or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".part")
    partial.write_text(to_toml(msgspec.to_builtins(site)), "utf-8")
    partial.replace(path)


def phase_links(network: Network, arms: list[Arm], junction: str) -> dict[PhaseId, tuple[int, ...]]:
    """The link indices that each phase's signal heads stand for."""
    sides = {arm.approach: arm.side for arm in arms}
    served: dict[PhaseId, list[int]] = {}
    for link in network.links[junction]:
        served.setdefault(phase_of(sides[link.from_edge], link.turn), []).append(link.index)
    return {phase: tuple(sorted(indices)) for phase, indices in sorted(served.items())}


def _intersection(name: str, network: Network, arms: list[Arm]) -> Intersection:
    own = [arm for arm in arms if arm.junction == name]
    approaches = tuple(_approach(arm, network) for arm in own)
    links = phase_links(network, arms, name)
    conflicts: list[PhasePair] = []
    compatible: list[PhasePair] = []
    for a, b in combinations(links, 2):
        crossing = any(frozenset((i, j)) in network.foes[name] for i in links[a] for j in links[b])
        (conflicts if crossing else compatible).append((a, b))
    return Intersection(
        id=IntersectionId(name),
        name=f"{name.replace('-', ' ').title()} Street",
        position=to_lonlat(*network.positions[name], ORIGIN),
        controller=controller_of(name),
        approaches=approaches,
        phases=tuple(_phase(phase, own, approaches) for phase in links),
        conflicts=tuple(conflicts),
        compatible=tuple(compatible),
        stages=tuple(
            Stage(id=StageId(one), phases=tuple(PhaseId(p) for p in phases)) for one, phases in STAGES.items()
        ),
        plan=Plan(steps=tuple(PlanStep(stage=StageId(stage), green_s=green_s) for stage, green_s in PLAN)),
    )


def _phase(phase: PhaseId, arms: list[Arm], approaches: tuple[Approach, ...]) -> Phase:
    left = phase in LEFT.values()
    side = next(side for side, number in (LEFT if left else THROUGH).items() if number == phase)
    approach = next(one for arm, one in zip(arms, approaches, strict=True) if arm.side == side)
    return Phase(
        id=phase,
        name=f"from the {side}, {'left' if left else 'through and right'}",
        min_green_s=5.0 if left else 7.0,
        max_green_s=25.0 if left else 50.0,
        yellow_s=ceil(required_yellow_s(approach) * 10) / 10,
        all_red_s=ceil(recommended_all_red_s(approach) * 10) / 10,
    )


def _approach(arm: Arm, network: Network) -> Approach:
    lanes = network.lanes[arm.approach]
    links = [link for link in network.links[arm.junction] if link.from_edge == arm.approach]
    middle = [
        to_lonlat(sum(p[0] for p in points) / len(points), sum(p[1] for p in points) / len(points), ORIGIN)
        for points in ([lane.shape[0] for lane in lanes], [lane.shape[-1] for lane in lanes])
    ]
    return Approach(
        id=ApproachId(arm.approach),
        name=f"{arm.junction.replace('-', ' ').title()} Street, from the {arm.side}",
        line=tuple(middle),
        speed_limit_mps=lanes[0].speed_mps,
        crossing_width_m=round(max(link.length_m for link in links if link.turn == "s"), 1),
        camera=camera_of(arm.approach),
        road_width_m=round(sum(lane.width_m for lane in lanes), 3),
        visible_length_m=VISIBLE_LENGTH_M,
        lanes=tuple(
            Lane(
                id=LaneId(f"lane-{lane.index + 1}"),
                width_m=lane.width_m,
                to=tuple(dict.fromkeys(link.to_edge for link in links if link.from_lane == lane.index)),
                phases=tuple(
                    dict.fromkeys(phase_of(arm.side, link.turn) for link in links if link.from_lane == lane.index)
                ),
            )
            for lane in lanes
        ),
    )
