"""The lamps: how each phase goes from red to green and back, whatever is asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from protocol.ids import PhaseId
from protocol.messages.heartbeat import Aspect
from sim_devices.controller.wiring import Head, Wiring

SERVING: tuple[Aspect, ...] = ("green", "walk")
# A walk that a command may cut is shown for so long at least; clearance is never cut.
WALK_CUT_MS = 4_000


@dataclass(frozen=True)
class Lamp:
    """What a phase shows, and since when on the controller's own clock."""

    aspect: Aspect
    since_ms: int


Lamps = Mapping[PhaseId, Lamp]


def all_red(wiring: Wiring, now_ms: int) -> Lamps:
    return {phase: Lamp("red", now_ms) for phase in wiring.heads}


def advance(wiring: Wiring, lamps: Lamps, target: frozenset[PhaseId], now_ms: int, *, cuts_walk: bool = False) -> Lamps:
    """One step: end what is no longer wanted, and start what is wanted and has every conflict red and cleared.
    cuts_walk: a walk that is no longer wanted need not last for all of its time."""
    moved = {
        phase: _ended(wiring.heads[phase], lamp, phase in target, now_ms, cuts_walk=cuts_walk)
        for phase, lamp in lamps.items()
    }
    for phase in sorted(target):
        head = wiring.heads[phase]
        if moved[phase].aspect == "red" and all(_cleared(wiring, moved, other, now_ms) for other in head.conflicts):
            moved[phase] = Lamp("walk" if head.pedestrian else "green", now_ms)
    return moved


def _ended(head: Head, lamp: Lamp, wanted: bool, now_ms: int, *, cuts_walk: bool) -> Lamp:
    shown_ms = now_ms - lamp.since_ms
    walk_ms = min(head.least_ms, WALK_CUT_MS) if cuts_walk else head.least_ms
    match lamp.aspect:
        case "green" if not wanted and shown_ms >= head.least_ms:
            return Lamp("yellow", now_ms)
        case "walk" if not wanted and shown_ms >= walk_ms:
            return Lamp("pedestrian-clearance", now_ms)
        case "yellow" | "pedestrian-clearance" if shown_ms >= head.clearing_ms:
            return Lamp("red", now_ms)
        case _:
            return lamp


def _cleared(wiring: Wiring, lamps: Lamps, phase: PhaseId, now_ms: int) -> bool:
    lamp = lamps[phase]
    return lamp.aspect == "red" and now_ms - lamp.since_ms >= wiring.heads[phase].all_red_ms
