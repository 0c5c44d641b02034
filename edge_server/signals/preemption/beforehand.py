"""Whose turn has to come before a vehicle does.

No lease stands above the service bound: a phase that has been red for long is served although a vehicle is near, and
the vehicle meets a red. So what would reach its bound while the vehicle is there is served just before.
"""

from __future__ import annotations

from edge_server.signals.layout import Layout, StageLayout
from edge_server.signals.preemption.flush import change_ms
from edge_server.signals.preemption.state import Claim
from edge_server.signals.safety import REACTION_MS, service_bound_ms
from edge_server.signals.view import View
from protocol.ids import PhaseId

# A vehicle is past the stop line by then, and a little late.
PASSING_MS = 5_000


def due(layout: Layout, view: View, stage: StageLayout, hold_ms: int) -> tuple[StageLayout, ...]:
    """The stages that the safety check would serve, in its order, rather than hold `stage` for so long from now."""
    red_ms = {one: view.shown[one].elapsed_ms for one in view.shown if one not in view.serving | stage.phases}
    bound_ms = service_bound_ms(layout)
    elapsed_ms = hold_ms + REACTION_MS + max(layout.phases[one].change_ms for one in stage.phases)
    found: list[StageLayout] = []
    due_count = 0
    for phase in sorted(red_ms, key=lambda one: (-red_ms[one], one)):
        home = layout.home[phase]
        if home in found:
            continue
        found.append(home)
        if red_ms[phase] + elapsed_ms > bound_ms:
            due_count = len(found)
        elapsed_ms += home.service_ms + REACTION_MS
    return tuple(found[:due_count])


def turn(layout: Layout, view: View, claim: Claim, stage: StageLayout, now_ms: int) -> StageLayout | None:
    """What is served now for that; None while there is time, or when there is none left. stage: the vehicle's.
    now_ms: the log's clock, as in claims."""
    arrives_in_ms = claim.arrival_ms - now_ms
    owed = due(layout, view, stage, arrives_in_ms + PASSING_MS)
    if not owed:
        return None
    first = owed[0]
    needed_ms = change_ms(layout, view, frozenset[PhaseId](first.phases - layout.pedestrians or first.phases))
    needed_ms += sum(one.service_ms + REACTION_MS for one in owed)
    ahead_ms = claim.ahead_ms or 0
    return first if needed_ms <= arrives_in_ms <= needed_ms + ahead_ms else None
