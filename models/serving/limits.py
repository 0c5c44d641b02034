"""What a tenant may use: requests and tokens a minute, and answers at once. Pure but for the lock of `TenantLimits`.

Both rates are buckets that fill evenly and hold a minute's worth. A prompt is taken from its bucket before it is
computed, what was said afterwards, which may leave a debt that is paid before the next request.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace

from msgspec import Struct

from models.errors import TenantBusy

MINUTE_S = 60.0
# Of how long answers take, for what is told to those who are refused: the share that the newest one counts.
NEWEST = 0.3


class Allowed(Struct, frozen=True, kw_only=True):
    """0: as many as there are."""

    requests_per_minute: int = 0
    tokens_per_minute: int = 0
    concurrent: int = 0


@dataclass(frozen=True)
class Usage:
    """requests, tokens: what the buckets lack of a minute's worth, at at_s. running: answers; usual_s: of one."""

    requests: float = 0.0
    tokens: float = 0.0
    at_s: float = 0.0
    running: int = 0
    usual_s: float = 1.0

    def at(self, allowed: Allowed, now_s: float) -> Usage:
        """Once the buckets have filled up to now."""
        minutes = max(0.0, now_s - self.at_s) / MINUTE_S
        return replace(
            self,
            requests=max(0.0, self.requests - minutes * allowed.requests_per_minute),
            tokens=max(0.0, self.tokens - minutes * allowed.tokens_per_minute),
            at_s=now_s,
        )


@dataclass(frozen=True)
class Refused:
    """what: that there is no more of. wait_s: until there is."""

    what: str
    wait_s: float


def begun(usage: Usage, allowed: Allowed, now_s: float) -> Usage | Refused:
    """One request more."""
    usage = usage.at(allowed, now_s)
    if allowed.concurrent and usage.running >= allowed.concurrent:
        return Refused(f"{allowed.concurrent} answers at once", usage.usual_s / usage.running)
    if allowed.requests_per_minute and usage.requests + 1 > allowed.requests_per_minute:
        lacking = usage.requests + 1 - allowed.requests_per_minute
        return Refused(
            f"{allowed.requests_per_minute} requests a minute", lacking / allowed.requests_per_minute * MINUTE_S
        )
    return replace(usage, requests=usage.requests + 1, running=usage.running + 1)


def prompted(usage: Usage, allowed: Allowed, tokens: int, now_s: float) -> Usage | Refused:
    """A prompt of so many. One that is longer than a whole minute's worth is taken when the bucket is full."""
    usage = usage.at(allowed, now_s)
    if allowed.tokens_per_minute:
        lacking = usage.tokens + min(tokens, allowed.tokens_per_minute) - allowed.tokens_per_minute
        if lacking > 0:
            wait_s = lacking / allowed.tokens_per_minute * MINUTE_S
            return Refused(f"{allowed.tokens_per_minute} tokens a minute", wait_s)
    return replace(usage, tokens=usage.tokens + tokens)


def ended(usage: Usage, allowed: Allowed, said: int, took_s: float, now_s: float) -> Usage:
    usage = usage.at(allowed, now_s)
    usual_s = usage.usual_s + NEWEST * (took_s - usage.usual_s)
    return replace(usage, tokens=usage.tokens + said, running=usage.running - 1, usual_s=usual_s)


class TenantLimits:
    """What each tenant has used. Safe from any thread; clock_s: monotonic."""

    def __init__(self, clock_s: Callable[[], float]) -> None:
        self._clock_s = clock_s
        self._usage: dict[str, Usage] = {}
        self._lock = threading.Lock()

    def begin(self, tenant: str, allowed: Allowed) -> None:
        """Raises TenantBusy (KF511)."""
        self._step(tenant, lambda usage, now_s: begun(usage, allowed, now_s))

    def prompt(self, tenant: str, allowed: Allowed, tokens: int) -> None:
        """Raises TenantBusy (KF511); the request is begun nevertheless, and to be ended."""
        self._step(tenant, lambda usage, now_s: prompted(usage, allowed, tokens, now_s))

    def end(self, tenant: str, allowed: Allowed, said: int, took_s: float) -> None:
        self._step(tenant, lambda usage, now_s: ended(usage, allowed, said, took_s, now_s))

    def _step(self, tenant: str, step: Callable[[Usage, float], Usage | Refused]) -> None:
        with self._lock:
            now_s = self._clock_s()
            found = step(self._usage.get(tenant, Usage(at_s=now_s)), now_s)
            if isinstance(found, Refused):
                raise TenantBusy(what=found.what, wait_s=max(1, math.ceil(found.wait_s)))
            self._usage[tenant] = found
