"""Requests under way: whose they are, what they may use, and how they ended. Safe from any thread."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from typing import Literal

from models.errors import KeysUnusable, ServerLeaving
from models.serving.answers import status_of
from models.serving.keys import EVERYTHING, KeyFile
from models.serving.limits import Allowed, TenantLimits
from protocol.errors import KinflowError

# By when a server that stops has usually started again, or another one is asked.
LEAVING_WAIT_S = 5
LOOK_S = 0.02
# left: whoever asked was gone before the end. refused: for what the request was; failed: for what happened here.
Outcome = Literal["done", "left", "refused", "failed"]


class Visit:
    """One request from its beginning to its end, which comes once."""

    def __init__(self, visits: Visits, door: str, tenant: str) -> None:
        self._visits, self._door, self._tenant = visits, door, tenant
        self._began_s = visits.clock_s()
        self._said = 0
        self._open = True

    def prompt(self, tokens: int) -> None:
        """Raises TenantBusy (KF511)."""
        self._visits.charge(self._tenant, tokens)

    def said(self, tokens: int) -> None:
        self._said += tokens

    def end(self, outcome: Outcome) -> None:
        if self._open:
            self._open = False
            took_s = self._visits.clock_s() - self._began_s
            self._visits.end(self._door, self._tenant, outcome, self._said, took_s)


class Visits:
    """keys: whose tenants are held to limits, None for none."""

    def __init__(self, keys: KeyFile | None = None, clock_s: Callable[[], float] = time.monotonic) -> None:
        self._keys, self.clock_s = keys, clock_s
        self._limits = TenantLimits(clock_s)
        self._lock = threading.Lock()
        self._leaving = False
        self.active = 0
        # By door and how they ended; said and prompt: tokens.
        self.outcomes: Counter[tuple[str, Outcome]] = Counter()
        self.prompt_tokens = self.said_tokens = 0

    def begin(self, door: str, tenant: str) -> Visit:
        """door: the route, for who counts. Raises ServerLeaving (KF514), TenantBusy (KF511)."""
        try:
            allowed = self._allowed(tenant)
            with self._lock:
                if self._leaving:
                    raise ServerLeaving(wait_s=LEAVING_WAIT_S)
                self._limits.begin(tenant, allowed)
                self.active += 1
        except KinflowError as error:
            self.refused(door, error)
            raise
        return Visit(self, door, tenant)

    def charge(self, tenant: str, tokens: int) -> None:
        self._limits.prompt(tenant, self._allowed(tenant), tokens)
        with self._lock:
            self.prompt_tokens += tokens

    def end(self, door: str, tenant: str, outcome: Outcome, said: int, took_s: float) -> None:
        self._limits.end(tenant, self._allowed(tenant), said, took_s)
        with self._lock:
            self.active -= 1
            self.said_tokens += said
            self.outcomes[door, outcome] += 1

    def refused(self, door: str, error: KinflowError) -> None:
        with self._lock:
            self.outcomes[door, outcome_of(error)] += 1

    def drain(self, limit_s: float) -> bool:
        """Begin no others, and wait until all have ended; whether they have. Not on a thread that answers."""
        with self._lock:
            self._leaving = True
        until_s = self.clock_s() + limit_s
        while self.active and self.clock_s() < until_s:
            time.sleep(LOOK_S)
        return not self.active

    def _allowed(self, tenant: str) -> Allowed:
        """A file that has become unusable lets nobody in, and changes nothing for those who are."""
        if self._keys is None or not tenant:
            return EVERYTHING
        with suppress(KeysUnusable):
            return self._keys.ring().allowed(tenant)
        return EVERYTHING


def outcome_of(error: BaseException) -> Outcome:
    if isinstance(error, KinflowError):
        return "refused" if status_of(error) < 500 else "failed"
    return "left" if isinstance(error, (GeneratorExit, asyncio.CancelledError)) else "failed"
