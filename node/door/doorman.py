"""Who may stay at a server's door: how many at once, and how long each may take. Pure.

A visit waits until a whole request head has come; a TLS handshake that drags on is waiting, too. When the door is full,
somebody goes: of the source that holds the most places, the one that has waited the longest. So a flood of idle
connections throws out its own, and one address can't shut out the others, however many devices stand behind it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from node.trust.attempts import source


@dataclass(frozen=True)
class Limits:
    """at_once: visits; each costs up to 100 KB. wait_ms: for a whole request head, TLS handshake included, and between
    two requests. fresh_ms: so long nobody goes for one more of the same source; to begin TLS costs the most of all that
    strangers can ask for, and so they can't ask for more than at_once of it in that time. body_ms: for a whole body,
    which has 64 KiB at most. blocked_ms: for the other side to take some 50 KB of an answer, which the slowest of
    mobile links does in a third of that."""

    at_once: int = 1024
    wait_ms: int = 15_000
    fresh_ms: int = 2_000
    body_ms: int = 20_000
    blocked_ms: int = 60_000


@dataclass
class _Visit:
    since_ms: int
    source: str
    waits: bool = True
    blocked_ms: int | None = None


@dataclass
class _Held:
    """The visits of one source; those that wait in the order in which they began to."""

    waiting: dict[int, _Visit] = field(default_factory=dict)
    asking: dict[int, _Visit] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.waiting) + len(self.asking)


class Doorman:
    """Visits have numbers that their door chooses. Not thread-safe; times are of one monotonic clock."""

    def __init__(self, limits: Limits | None = None) -> None:
        self.limits = limits or Limits()
        self._visits: dict[int, _Visit] = {}
        self._held: dict[str, _Held] = {}
        # Sources by how many visits they hold, so that the one with the most is found at once.
        self._ranks: dict[int, dict[str, None]] = {}

    def __len__(self) -> int:
        return len(self._visits)

    def comes(self, number: int, address: str, now_ms: int) -> int | None:
        """Who has to go for this visit: nobody (None), another one, or the visit itself, which then is not let in."""
        origin = source(address)
        goes = self._who_goes(origin, now_ms) if len(self._visits) >= self.limits.at_once else None
        if goes == -1:
            return number
        if goes is not None:
            self.leaves(goes)
        visit = self._visits[number] = _Visit(now_ms, origin)
        held = self._held.setdefault(origin, _Held())
        held.waiting[number] = visit
        self._rank(origin, len(held) - 1, len(held))
        return goes

    def leaves(self, number: int) -> None:
        visit = self._visits.pop(number, None)
        if visit is None:
            return
        held = self._held[visit.source]
        del (held.waiting if visit.waits else held.asking)[number]
        self._rank(visit.source, len(held) + 1, len(held))
        if not len(held):
            del self._held[visit.source]

    def asks(self, number: int) -> None:
        """A request's head has come."""
        if (visit := self._visits.get(number)) and visit.waits:
            visit.waits = False
            held = self._held[visit.source]
            held.asking[number] = held.waiting.pop(number)

    def answered(self, number: int, now_ms: int) -> None:
        """Its answer is whole: the next request may come."""
        if (visit := self._visits.get(number)) and not visit.waits:
            visit.waits, visit.since_ms, visit.blocked_ms = True, now_ms, None
            held = self._held[visit.source]
            held.waiting[number] = held.asking.pop(number)

    def blocked(self, number: int, now_ms: int | None) -> None:
        """A piece of its answer waits for the other side since now_ms; None: it was taken."""
        if visit := self._visits.get(number):
            visit.blocked_ms = now_ms

    def overdue(self, now_ms: int) -> list[int]:
        """Visits that took too long."""
        return [number for number, visit in self._visits.items() if self._is_overdue(visit, now_ms)]

    def _is_overdue(self, visit: _Visit, now_ms: int) -> bool:
        if visit.waits:
            return now_ms - visit.since_ms > self.limits.wait_ms
        return visit.blocked_ms is not None and now_ms - visit.blocked_ms > self.limits.blocked_ms

    def _who_goes(self, origin: str, now_ms: int) -> int:
        """-1: nobody does, and the new one stays outside."""
        most = max(self._ranks)
        own = len(self._held.get(origin, ()))
        if own >= most:
            first = next(iter(self._held[origin].waiting.items()), None)
            return first[0] if first and now_ms - first[1].since_ms >= self.limits.fresh_ms else -1
        # What is being answered is cut short for somebody who holds less, and for nobody else.
        held = self._held[next(iter(self._ranks[most]))]
        return next(iter(held.waiting or held.asking))

    def _rank(self, origin: str, before: int, now: int) -> None:
        if before:
            del self._ranks[before][origin]
            if not self._ranks[before]:
                del self._ranks[before]
        if now:
            self._ranks.setdefault(now, {})[origin] = None
