"""A pre-emption from its first claim to normal control again, step by step, out of the audit log.

Three records are laid over one another: the chained log of pre-emption (what came, and what the rules made of it), the
high-resolution log (lamps) and the decision log (what was commanded, and why). Times are the edge's wall clock; the
first log's clock leaves it only where somebody sets the wall clock while the server runs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from edge_server.signals.hires_reading import LampRow
from edge_server.signals.preemption.events import (
    Cancel,
    Effect,
    Ended,
    Ending,
    Granted,
    HandEnded,
    Happening,
    Higher,
    HigherKind,
    Observed,
    Recovering,
    Refused,
    Renew,
    Request,
)
from edge_server.signals.preemption.log_lines import Reading, Told, replay
from edge_server.signals.preemption.state import Claim, State
from edge_server.store.rows import SignalEntry
from protocol.ids import IntersectionId, PhaseId

FRAMES = 2_000
KEPT = 200
_ENDINGS: dict[Ending, str] = {
    "passed": "it has passed",
    "lapsed": "it was not renewed",
    "cap": "it reached its cap",
    "rerouted": "it comes another way",
    "displaced": "another one comes first",
    "outranked": "something outranks it",
    "by-hand": "a person ended it",
    "out-of-sight": "the camera sees it no more",
    "delayed": "it comes later than it said",
}


class Episode(Struct, frozen=True, kw_only=True):
    """line: of its first step in the log, which names it within the file. ended_ms: None while it goes on. granted: how
    many leases the rules granted."""

    intersection: IntersectionId
    line: int
    begun_ms: int
    ended_ms: int | None = None
    vehicles: tuple[str, ...] = ()
    granted: int = 0


class Held(Struct, frozen=True, kw_only=True):
    """A claim as it stood. left_ms: of the lease, None while it waits."""

    vehicle: str
    role: str
    level: str
    approach: str
    egress: str
    phases: tuple[PhaseId, ...]
    left_ms: int | None
    arrives_in_ms: int


class Frame(Struct, frozen=True, kw_only=True):
    """One step. kind: whose record it comes from. lamps: what each phase showed, as far as it was written down;
    commanded: what this edge server last commanded, or would have, and why."""

    at_ms: int
    kind: Literal["claims", "lamps", "decision"]
    text: str
    holder: Held | None = None
    queue: tuple[Held, ...] = ()
    higher: Mapping[str, HigherKind] = {}
    recovering: int | None = None
    lamps: Mapping[PhaseId, str] = {}
    commanded: str = ""


def episodes(path: Path) -> list[Episode]:
    """Of one file of the log, oldest first, the newest KEPT. Raises PreemptionLogBroken (KF321)."""
    found: dict[tuple[IntersectionId, int], Episode] = {}
    for episode, _, _ in _steps(path):
        found[episode.intersection, episode.line] = episode
        if len(found) > KEPT:
            found.pop(next(iter(found)))
    return list(found.values())


def frames(
    path: Path, intersection: IntersectionId, line: int, lamps: Iterable[LampRow], decisions: Iterable[SignalEntry]
) -> list[Frame]:
    """One episode; empty where none begins there. lamps, decisions: of this intersection, those before and after it
    are passed over. Raises PreemptionLogBroken (KF321)."""
    steps = [
        frame
        for episode, told, state in _steps(path)
        if (episode.intersection, episode.line) == (intersection, line)
        for frame in _claims(told, state)
    ][:FRAMES]
    if not steps:
        return []
    begun_ms, ended_ms = steps[0].at_ms, steps[-1].at_ms
    before: dict[PhaseId, str] = {}
    merged = list(steps)
    for row in lamps:
        if row.at_ms < begun_ms:
            before[row.phase] = row.aspect
        elif row.at_ms <= ended_ms:
            text = f"phase {row.phase} shows {row.aspect}"
            merged.append(Frame(at_ms=row.at_ms, kind="lamps", text=text, lamps={row.phase: row.aspect}))
    for one in decisions:
        if begun_ms <= one.at_ms <= ended_ms:
            merged.append(Frame(at_ms=one.at_ms, kind="decision", text=_decided(one), commanded=_decided(one)))
    merged.sort(key=lambda frame: frame.at_ms)
    return list(_carried(merged[:FRAMES], before))


def _steps(path: Path) -> Iterator[tuple[Episode, Told, State]]:
    """Each step that belongs to an episode, with the episode as it stands then."""
    open_: dict[IntersectionId, Episode] = {}
    reading = Reading()
    for told in replay(path, reading):
        state, place = reading.states[told.intersection], told.intersection
        idle = state.normal and not state.queue
        known = open_.get(place)
        if known is None:
            if idle:
                continue
            known = Episode(intersection=place, line=told.number, begun_ms=told.event.at_ms)
        names = {claim.vehicle for claim in (state.holder, *state.queue) if claim is not None}
        known = replace(
            known,
            vehicles=(*known.vehicles, *sorted(names - set(known.vehicles)))[:20],
            granted=known.granted + sum(isinstance(one, Granted) for one in told.effects),
            ended_ms=told.event.at_ms if idle else None,
        )
        if idle:
            open_.pop(place, None)
        else:
            open_[place] = known
        yield known, told, state


def _claims(told: Told, state: State) -> Iterator[Frame]:
    texts = [text for text in (_came(told.event), *(_did(effect) for effect in told.effects)) if text]
    now_ms = told.event.at_ms
    if texts:
        yield Frame(
            at_ms=now_ms,
            kind="claims",
            text="; ".join(texts)[:500],
            holder=_held(state.holder, now_ms) if state.holder is not None else None,
            queue=tuple(_held(claim, now_ms) for claim in state.queue),
            higher=state.higher,
            recovering=None if state.recovery is None else int(state.recovery.owed or 0),
        )


def _carried(frames: list[Frame], lamps: dict[PhaseId, str]) -> Iterator[Frame]:
    """Each with all that was known by then, of whichever record."""
    claims, commanded = Frame(at_ms=0, kind="claims", text=""), ""
    for frame in frames:
        if frame.kind == "claims":
            claims = frame
        lamps = {**lamps, **frame.lamps}
        commanded = frame.commanded or commanded
        yield replace(claims, at_ms=frame.at_ms, kind=frame.kind, text=frame.text, lamps=lamps, commanded=commanded)


def _came(event: Happening) -> str:
    """Renewals and ticks say nothing by themselves."""
    text = ""
    match event:
        case Request() if not isinstance(event, Renew):
            way = f" to {event.egress}" if event.egress else ""
            text = f"{event.vehicle} asks from {event.approach}{way}, there in {event.arrives_in_ms // 1000} s"
        case Cancel():
            text = f"{event.vehicle} {'says that it has passed' if event.passed else 'drives elsewhere'}"
        case Observed(asks=True):
            text = f"a camera sees one that asks on {event.approach}"
        case Higher():
            text = f"{event.kind} ({event.source}) {'has' if event.active else 'releases'} the signals"
        case HandEnded():
            text = f"{event.by} ends what {event.vehicle} holds or waits for: {event.reason}"
        case _:
            pass
    return text


def _did(effect: Effect) -> str:
    match effect:
        case Granted():
            return f"the rules grant {effect.vehicle} a lease"
        case Ended():
            what = "lease" if effect.held else "claim"
            return f"the {what} of {effect.vehicle} is over: {_ENDINGS[effect.ending]}"
        case Refused():
            return f"{effect.vehicle} is refused: {effect.refusal}"
        case Recovering(begun):
            return "the others' turn begins" if begun else "normal control again"
        case _:
            return ""


def _held(claim: Claim, now_ms: int) -> Held:
    return Held(
        vehicle=claim.vehicle,
        role=claim.role or "",
        level=claim.level,
        approach=claim.approach,
        egress=claim.egress or "",
        phases=claim.phases,
        left_ms=None if claim.until_ms is None else max(0, claim.until_ms - now_ms),
        arrives_in_ms=max(0, claim.arrival_ms - now_ms),
    )


def _decided(one: SignalEntry) -> str:
    does = {"shadow": "would command", "refused": "was refused", "advice": "advises"}.get(one.outcome, "commands")
    return f"{one.controller} {does} {', '.join(map(str, one.phases))}: {one.reason}"[:300]
