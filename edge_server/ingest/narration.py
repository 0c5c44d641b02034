"""The event log's lines: what happened, in words for the person at the dashboard."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from edge_server.errors import SecondEdgeServer
from edge_server.fleet.registry import Change, FellSilent, Joined, Left, Removed, SecondEdge, SpokeAgain
from edge_server.ingest import ranges
from edge_server.ingest.effects import Effect, GapExplained, MissingChanged
from edge_server.store.rows import LogEntry
from protocol.messages.alarm import Severity

# Given up by design (a newer state took their place, an old reading was thinned): on record, but no news.
_ROUTINE = frozenset({"superseded"})
_REASONS = {
    "thinned": "thinned out while the link was down",
    "disk-full": "given up because its disk was full",
    "corrupt": "lost with a damaged outbox",
    "restart": "lost with a restart",
}


def lines(effects: Sequence[Effect], changes: Sequence[Change], now_ms: int) -> list[LogEntry]:
    told = [_of_effect(one) for one in effects] + [_of_change(one, now_ms) for one in changes]
    return [line for line in told if line is not None]


def _of_effect(effect: Effect) -> LogEntry | None:
    match effect:
        case MissingChanged(fresh=fresh) if fresh:
            text = f"{fresh} messages of {effect.source} have not come, and it has not said why"
            return _line(effect.found_ms, "messages-missing", "warning", effect.source, text)
        case GapExplained(reason=reason) if reason not in _ROUTINE:
            count = ranges.count(effect.ranges)
            text = f"{count} messages of {effect.source} were {_REASONS.get(reason, reason)}"
            return _line(effect.found_ms, "messages-given-up", "info", effect.source, text)
        case _:
            return None


def _of_change(change: Change, now_ms: int) -> LogEntry | None:
    line: LogEntry | None = None
    match change:
        case Joined(device=device, known=False):
            text = f"{device.device} ({device.role}) is here"
            line = _line(now_ms, "device-online", "info", device.device, text)
        case Left(device=device):
            why = "it said good-bye" if device.reason == "shutdown" else "its connection was lost"
            line = _line(now_ms, "device-offline", "warning", device.device, f"{device.device} is gone: {why}")
        case FellSilent(device=device):
            text = f"{device.device} is connected and says nothing"
            line = _line(now_ms, "device-silent", "warning", device.device, text)
        case SpokeAgain(device=device):
            line = _line(now_ms, "device-online", "info", device.device, f"{device.device} speaks again")
        case Removed(device=name):
            line = _line(now_ms, "device-removed", "info", name, f"{name} was removed")
        case SecondEdge(device=name):
            error = SecondEdgeServer(device=name)
            line = replace(_line(now_ms, "second-edge", "critical", name, error.cause_text), code=error.code)
        case _:
            pass
    return line


def _line(now_ms: int, kind: str, severity: Severity, device: str, text: str) -> LogEntry:
    return LogEntry(at_ms=now_ms, kind=kind, severity=severity, device=device, subject=device, text=text)
