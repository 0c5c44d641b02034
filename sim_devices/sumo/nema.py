"""SUMO's NEMA controller for the intersections of a net whose phases make a dual ring.

Greens of 6 s to 50 s, or to what keeps a ring's round within the starvation bound. What makes no dual ring runs as
`actuated` (peers.py).
"""

from __future__ import annotations

from pathlib import Path
from xml.sax.saxutils import quoteattr

from edge_server.signals.layout import Layout
from edge_server.signals.rings import RINGS
from edge_server.signals.safety import STARVATION_BOUND_MS
from protocol.ids import PhaseId
from protocol.site import Phase
from sim_devices.sumo.programme import GREEN
from sim_devices.sumo.signals import MAX_GREEN_S, MIN_GREEN_S, Steered

# NEMA's numbers: of each barrier group, in each ring, the turn that leads and what goes straight on.
NUMBERS = (((1, 2), (5, 6)), ((3, 4), (7, 8)))
LEADING_MOST_S = 15.0


def write(path: Path, steered: list[tuple[Steered, Layout]]) -> set[str]:
    """An additional file with a NEMA programme for each intersection that can have one. Returns their lights' ids."""
    texts = {}
    for one, layout in steered:
        numbers = _numbers(layout)
        if numbers is not None and len(one.lights) == 1:
            texts[one.lights[0][0]] = _logic(one, numbers)
    path.write_text("<additional>\n" + "\n".join(texts.values()) + "\n</additional>\n", "utf-8")
    return set(texts)


def _numbers(layout: Layout) -> dict[int, PhaseId] | None:
    rings = layout.rings
    if rings is None or len(rings.groups) != len(NUMBERS) or layout.pedestrians:
        return None
    found: dict[int, PhaseId] = {}
    for group, places in zip(rings.groups, NUMBERS, strict=True):
        if len(group) != RINGS or any(len(ring) > len(numbers) for ring, numbers in zip(group, places, strict=True)):
            return None
        for ring, numbers in zip(group, places, strict=True):
            found.update(zip(numbers[-len(ring) :], ring, strict=True))
    return found


def _logic(one: Steered, numbers: dict[int, PhaseId]) -> str:
    light = one.lights[0][0]
    times = {phase.id: phase for phase in one.intersection.phases}
    ring1, ring2 = ([number if number in numbers else 0 for number in ring] for ring in ((1, 2, 3, 4), (5, 6, 7, 8)))
    params = {
        "ring1": _listed(ring1), "ring2": _listed(ring2), "barrierPhases": "4,8", "barrier2Phases": "2,6",
        "coordinate-mode": "false", "minRecall": "", "maxRecall": "", "whetherOutputState": "false",
        "fixForceOff": "false", "total-cycle-length": str(STARVATION_BOUND_MS // 1000),
    }  # fmt: skip
    most_s = {}
    for ring in (ring1, ring2):
        own = [number for number in ring if number]
        changes_s = sum(times[numbers[one]].yellow_s + times[numbers[one]].all_red_s for one in own)
        leading = [one for one in own if one % 2]
        left_s = STARVATION_BOUND_MS / 1000 - changes_s - LEADING_MOST_S * len(leading)
        for number in own:
            share_s = LEADING_MOST_S if number % 2 else left_s / max(1, len(own) - len(leading))
            most_s[number] = max(MIN_GREEN_S, min(MAX_GREEN_S, share_s))
    lines = [f"    <param key={quoteattr(key)} value={quoteattr(value)}/>" for key, value in params.items()]
    for number, phase in sorted(numbers.items()):
        lines.append(_phase(one, number, times[phase], most_s[number]))
    head = f'  <tlLogic id={quoteattr(light)} programID="kinflow-peer" offset="0" type="NEMA">'
    return "\n".join([head, *lines, "  </tlLogic>"])


def _phase(one: Steered, number: int, phase: Phase, most_s: float) -> str:
    links = {link for group in one.groups if group.phase == phase.id for link in group.links}
    # What goes along and gives way: turns of the programme's own stage that holds this phase.
    shown = next((signs for phases, signs in one.planned.items() if phase.id in phases and not number % 2), "")
    letters = []
    for link in range(one.lights[0][1]):
        planned = shown[link] if shown else "r"
        if link in one.free:
            letters.append(one.free[link])
        elif link in links:
            letters.append(planned if planned in GREEN else "G")
        else:
            letters.append("g" if planned == "g" and _same_side(one, link, links) else "r")
    state = "".join(letters)
    return (
        f'    <phase duration="99" minDur="{MIN_GREEN_S}" maxDur="{most_s:.1f}" vehext="2" yellow="{phase.yellow_s}" '
        f'red="{phase.all_red_s}" name="{number}" state="{state}"/>'
    )


def _same_side(one: Steered, link: int, links: set[int]) -> bool:
    def road(at: int) -> str:
        return one.ways[at][0].from_lane.rsplit("_", 1)[0]

    return any(road(link) == road(other) for other in links)


def _listed(ring: list[int]) -> str:
    return ",".join(map(str, ring))
