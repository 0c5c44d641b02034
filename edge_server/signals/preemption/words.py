"""What the pre-emption did, as a line of the event log."""

from __future__ import annotations

from edge_server.signals.modes.mode import Mode
from edge_server.signals.preemption.events import (
    Effect,
    Ended,
    Ending,
    Granted,
    HandEnded,
    Happening,
    Higher,
    Recovering,
    Refused,
)
from edge_server.signals.preemption.refusals import CODES
from edge_server.store.rows import LogEntry
from protocol.ids import IntersectionId

KIND = "preemption"
_ENDINGS: dict[Ending, str] = {
    "passed": "it has passed",
    "lapsed": "it was not renewed",
    "cap": "it reached its cap",
    "rerouted": "the vehicle comes another way",
    "displaced": "another one comes first",
    "outranked": "something outranks it",
    "by-hand": "a person ended it",
    "delayed": "the vehicle will be there much later",
    "out-of-sight": "the camera sees it no more",
}
_HIGHER = {"railway": "a railway crossing", "bridge": "a bridge", "other-system": "another system"}


def lines(
    intersection: IntersectionId, event: Happening, effects: tuple[Effect, ...], at_ms: int, mode: Mode = "act"
) -> tuple[LogEntry, ...]:
    """at_ms: the wall clock. mode: of the intersection: below act, it would have been. Answers are no news: they say
    what the other effects say."""
    would = f" (mode {mode}: nothing is granted)"
    texts: list[tuple[str, str | None]] = []
    if isinstance(event, Higher):
        does = "has" if event.active else "releases"
        texts.append((f"{_HIGHER[event.kind]} ({event.source}) {does} the signals", None))
    if isinstance(event, HandEnded):
        texts.append((f"{event.by} ends what {event.vehicle} holds or waits for: {event.reason}", None))
    for effect in effects:
        match effect:
            case Granted():
                what = "is granted the signals" if mode == "act" else f"would be granted the signals{would}"
                texts.append((f"{effect.vehicle} from {effect.approach} {what}", None))
            case Ended():
                texts.append((f"{effect.vehicle}'s claim is over: {_ENDINGS[effect.ending]}", None))
            case Refused():
                texts.append((f"{effect.vehicle} is refused: {effect.refusal}", CODES[effect.refusal]))
            case Recovering(True):
                if mode == "act":
                    texts.append(("the lease is over; who waited longest is served first", None))
            case _:
                pass
    return tuple(
        LogEntry(
            at_ms=at_ms,
            kind=KIND,
            severity="warning" if code is not None else "info",
            subject=intersection,
            text=text[:500],
            code=code,
        )
        for text, code in texts
    )
