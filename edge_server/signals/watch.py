"""Does the controller do what it says, and what it was told? One pure watch for each intersection."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct
from msgspec.structs import replace

from edge_server.errors import (
    CommandRefused,
    ControllerContradicts,
    ControllerInFlash,
    ControllerSilent,
    HeldByAnotherEdge,
)
from edge_server.signals.fault import SignalFault
from edge_server.signals.layout import Layout
from edge_server.signals.lease import HEARTBEAT_MAX_AGE_MS, MISFITS, USURPED, LeaseState, answer
from edge_server.signals.view import View
from protocol.ids import DeviceId, PhaseId
from protocol.messages import Heartbeat

SILENT_AFTER_MS = 3_000
# A few lost or late commands are a bad link; nothing but refusals, or no answer at all, for this long is a fault.
PERSISTENT_MS = 3_000
# What a change may take beyond the controller's own times before it counts as not done.
GRACE_MS = 5_000


class Watch(Struct, frozen=True):
    """since_ms: when the watch began. unanswered_ms, refused_ms: since when our orders have got no answer, or nothing
    but refusals. contradiction: how the controller disobeyed, until it obeys; disobeyed: the latest heartbeat showed
    it. target, target_ms: what it heads for, and since when it has without being there, as far as it was heard."""

    since_ms: int
    unanswered_ms: int | None = None
    refused_ms: int | None = None
    refusal: str = ""
    contradiction: str | None = None
    disobeyed: bool = False
    target: frozenset[PhaseId] = frozenset()
    target_ms: int = 0


def sent(watch: Watch, now_ms: int) -> Watch:
    return watch if watch.unanswered_ms is not None else replace(watch, unanswered_ms=now_ms)


def heard(watch: Watch, layout: Layout, before: LeaseState, view: View) -> Watch:
    """What a heartbeat shows. before: the lease's state before this heartbeat."""
    now_ms = view.heard_ms
    outcome = answer(before, view.heartbeat)
    if outcome is not None:
        watch = replace(watch, unanswered_ms=None)
        if outcome.refusal is None:
            watch = replace(watch, refused_ms=None, refusal="", contradiction=None)
        elif outcome.refusal not in USURPED:
            since_ms = watch.refused_ms if watch.refused_ms is not None else now_ms
            watch = replace(watch, refused_ms=since_ms, refusal=outcome.refusal)
    if before.standing not in ("asking", "holding") or now_ms - before.heard_ms > HEARTBEAT_MAX_AGE_MS:
        watch = replace(watch, unanswered_ms=None)
    unheard = now_ms - before.heard_ms > HEARTBEAT_MAX_AGE_MS or view.heartbeat.boot != before.boot
    if unheard or view.target != watch.target or view.target <= view.serving:
        watch = replace(watch, target=view.target, target_ms=now_ms)
    contradiction = _contradiction(layout, before, view, now_ms - watch.target_ms)
    return replace(watch, contradiction=contradiction or watch.contradiction, disobeyed=contradiction is not None)


def faults(
    layout: Layout, watch: Watch, lease: LeaseState, view: View | None, now_ms: int, *, peer: DeviceId | None = None
) -> Mapping[str, SignalFault]:
    """Everything that is wrong now, by the alarm's slug. That the other edge server of a pair steers is not wrong."""
    place = layout.intersection
    found: list[SignalFault] = []
    if now_ms - (view.heard_ms if view is not None else watch.since_ms) > SILENT_AFTER_MS:
        silent = ControllerSilent(intersection=place, silent_s=SILENT_AFTER_MS // 1000)
        return {"controller-silent": SignalFault("controller-silent", place, "critical", silent)}
    if view is not None and view.heartbeat.control == "flash":
        detail = view.heartbeat.fault or "it does not say why"
        flash = ControllerInFlash(intersection=place, detail=detail)
        found.append(SignalFault("controller-in-flash", place, "critical", flash))
    if watch.contradiction is not None or _overdue(watch.unanswered_ms, now_ms):
        detail = watch.contradiction or "it answers no command"
        contradicts = ControllerContradicts(intersection=place, detail=detail)
        found.append(SignalFault("controller-contradicts", place, "critical", contradicts))
    if watch.refusal in MISFITS or _overdue(watch.refused_ms, now_ms):
        said = view.heartbeat.fault if view is not None else None
        refusal = f"{watch.refusal} ({said})" if said else watch.refusal
        refused = CommandRefused(intersection=place, refusal=refusal)
        found.append(SignalFault("command-refused", place, "warning", refused))
    foreign = lease.holder is not None and lease.holder != peer and (lease.holder != lease.edge or lease.twin)
    if lease.standing == "standing-by" and foreign:
        held = HeldByAnotherEdge(intersection=place, edge=lease.holder)
        found.append(SignalFault("held-by-another-edge", place, "warning", held))
    return {fault.alarm: fault for fault in found}


def _overdue(since_ms: int | None, now_ms: int) -> bool:
    return since_ms is not None and now_ms - since_ms > PERSISTENT_MS


def _contradiction(layout: Layout, before: LeaseState, view: View, headed_ms: int) -> str | None:
    heartbeat = view.heartbeat
    lit = frozenset(one for one, state in view.shown.items() if state.aspect != "red")
    if heartbeat.control != "flash" and not layout.compatible(lit):
        return f"it shows phases {sorted(lit)} together, which conflict"
    if not _is_ours(before, heartbeat):
        return None
    outcome = heartbeat.last_command
    if outcome is not None and outcome.refusal is None and outcome.command in before.orders:
        told = before.orders[outcome.command]
        # A controller that times walk by itself is done with it while its vehicles go on.
        if not view.target <= told or not told - view.target <= layout.pedestrians:
            return f"told to serve {sorted(told)}, it heads for {sorted(view.target)}"
    slowest_ms = max(stage.service_ms for stage in layout.stages.values()) + GRACE_MS
    # Since it headed there, not since a lamp last changed: one that goes elsewhere changes them all the time.
    if not view.target <= view.serving and headed_ms > slowest_ms:
        return f"told to serve {sorted(view.target)}, it shows {sorted(view.serving)} after {headed_ms // 1000} s"
    return None


def _is_ours(lease: LeaseState, heartbeat: Heartbeat) -> bool:
    return heartbeat.control == "edge" and heartbeat.lease is not None and heartbeat.lease.edge == lease.edge
