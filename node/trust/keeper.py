"""Keeps a joined device joined: renews its certificate, learns where its edge server is, and moves when it is told to.

One thread. It asks how the device stands now and then, at once after a nudge, whenever a renewal is due, and soon while
the broker is away; by that it also learns the time. A move joins the new edge server into a folder beside the old one,
puts it into place, and goes back when no connection to the new broker comes about.
"""

from __future__ import annotations

import logging
import random
import shutil
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from msgspec import structs

from node.backoff import backoff_s
from node.errors import EdgeRefused
from node.ready_structs import ready_structs
from node.trust import credentials as stored
from node.trust.asking import ask_standing, split_address
from node.trust.credentials import FOLDER, Credentials
from node.trust.csr import make_csr
from node.trust.join_code import decode
from node.trust.joining import Joining
from node.trust.renewal import is_due
from node.trust.wire import RenewAsk, Standing
from protocol.errors import KinflowError

# The command by which an edge server asks a device to look at how it stands.
CHECK_TRUST = "check-trust"
ASK_EVERY_S = 900.0
LOOK_EVERY_S = 1.0
# While the broker is not reached, or lets nobody in, our standing may be why.
AWAY_S = 20.0
SETTLE_S = 120.0
MOVING, BEFORE = "trust.moving", "trust.before"

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Change:
    """What is new in the credentials. edge: they are of another edge server. addresses: where its broker is. name: what
    people call this device."""

    credentials: Credentials
    edge: bool
    addresses: bool
    name: bool


class Keeper:
    """changed: called, on this thread, when credentials have changed. connected: whether the broker has been reached.

    home: the state folder; its credentials must be there. Start and stop once.
    """

    def __init__(
        self,
        home: Path,
        changed: Callable[[Change], None],
        connected: Callable[[], bool],
        *,
        settle_s: float = SETTLE_S,
        ask_every_s: float = ASK_EVERY_S,
        away_s: float = AWAY_S,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._home, self._changed, self._connected = home, changed, connected
        self._settle_s, self._ask_every_s, self._away_s, self._chance = settle_s, ask_every_s, away_s, chance
        found = stored.load(home)
        assert found is not None, "a keeper needs credentials"
        self._credentials = found
        self._renew_chance = chance()
        self._wake, self._stopping = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="trust-keeper", daemon=True)
        self.refusal: EdgeRefused | None = None

    @property
    def credentials(self) -> Credentials:
        return self._credentials

    def start(self) -> None:
        ready_structs()
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join()

    def nudge(self) -> None:
        """Ask now. From any thread."""
        self._wake.set()

    def _run(self) -> None:
        self._resume()
        failures, next_s = 0, time.monotonic() + self._chance() * min(5.0, self._ask_every_s)
        away_at_s: float | None = None
        told = ""
        while not self._stopping.is_set():
            nudged = self._wake.wait(LOOK_EVERY_S)
            self._wake.clear()
            if self._stopping.is_set():
                return
            away_at_s = self._look_away(away_at_s)
            away = away_at_s is not None and time.monotonic() >= away_at_s
            due = failures == 0 and (away or self._is_due())
            if not (nudged or due or time.monotonic() >= next_s):
                continue
            away_at_s = None
            try:
                self._ask()
                failures, told, pause_s = 0, "", self._ask_every_s * (0.75 + self._chance() / 2)
            except Exception as error:
                failures += 1
                pause_s = min(self._ask_every_s, backoff_s(min(failures, 10), random.SystemRandom()))
                # Each reason once: who is turned away after an edge server was gone for a while is to read why.
                reason = error.code if isinstance(error, KinflowError) else type(error).__name__
                if reason != told:
                    log.warning("how this device stands could not be learnt: %s", error)
                told = reason
                if isinstance(error, EdgeRefused):
                    self.refusal = error
            next_s = time.monotonic() + pause_s

    def _look_away(self, at_s: float | None) -> float | None:
        """When to ask because the broker is away; None while it is not. Evenly spread by chance: a broker that went
        away went away for all of a site."""
        if self._connected():
            return None
        return time.monotonic() + self._away_s * (0.5 + self._chance()) if at_s is None else at_s

    def _resume(self) -> None:
        """A move that a restart came between."""
        try:
            old = stored.load_folder(self._home / BEFORE)
            if old is not None:
                self._settle(old)
        except Exception as error:
            log.warning("a move that was under way could not be ended: %s", error)

    def _is_due(self) -> bool:
        known, now_ms = self._credentials.facts, self._credentials.time.now_ms()
        return is_due(known.expires_ms, self._credentials.joined.life_ms, self._renew_chance, now_ms)

    def _ask(self) -> None:
        """One round; renewed in the same breath when that is due by the time that the answer brings."""
        standing = ask_standing(self._credentials, RenewAsk())
        self.refusal = None
        if self._is_due():
            csr = make_csr(self._credentials.key(), self._credentials.device, self._credentials.joined.role)
            standing = ask_standing(self._credentials, RenewAsk(csr=csr))
            log.info("the certificate of %s was renewed", self._credentials.device)
            self._renew_chance = self._chance()
        self._keep(standing)
        if standing.move_to and standing.move_code:
            self._move(standing)

    def _keep(self, standing: Standing) -> None:
        before = self._credentials
        # The address that works stays first; what the edge server says of itself follows.
        hosts = tuple(dict.fromkeys((before.hosts[0], *standing.hosts)))[:16] if standing.hosts else before.hosts
        joined = structs.replace(
            before.joined, hosts=hosts, mqtts_port=standing.mqtts_port, name=standing.name, life_ms=standing.life_ms
        )
        self._credentials = stored.update(before, certificate=standing.certificate or None, joined=joined)
        self._tell(before)

    def _tell(self, before: Credentials) -> None:
        now = self._credentials
        change = Change(
            now, before.ca != now.ca, now.brokers() != before.brokers(), now.joined.name != before.joined.name
        )
        if change.edge or change.addresses or change.name:
            self._changed(change)

    def _move(self, standing: Standing) -> None:
        """Join there, and only then leave here. The old edge server is told how it went, while it still believes us."""
        old = self._credentials
        try:
            host, port = split_address(standing.move_to)
            joining = Joining(self._home, decode(standing.move_code), host, port, old.device, old.joined.role, MOVING)
            progress = joining.wait(lambda _: None, limit_s=self._settle_s)
            if progress.credentials is None:
                raise EdgeRefused(refusal=progress.state, detail="nobody there has let it in.", remedy="")
        except KinflowError as error:
            log.error("this device stays where it is: %s", error)
            shutil.rmtree(self._home / MOVING, ignore_errors=True)
            ask_standing(old, RenewAsk(failed=f"{error.code}: {error.cause_text}"[:200]))
            return
        self._put_in_place(MOVING, BEFORE)
        self._tell(old)
        self._settle(old)

    def _settle(self, old: Credentials) -> None:
        """The end of a move: for good once the new broker is reached, else back."""
        if self._settles():
            log.info("%s belongs to %s now", old.device, self._credentials.edge)
            self._bid_farewell(old)
            shutil.rmtree(self._home / BEFORE, ignore_errors=True)
            return
        if self._stopping.is_set():
            return  # it goes on at the next start
        moved = self._credentials
        log.error("the broker of %s was not reached within %.0f s: back to %s", moved.edge, self._settle_s, old.edge)
        self._put_in_place(BEFORE, MOVING)
        shutil.rmtree(self._home / MOVING, ignore_errors=True)
        self._tell(moved)
        ask_standing(self._credentials, RenewAsk(failed=f"the broker of {moved.edge} was not reached"))

    def _put_in_place(self, fresh: str, aside: str) -> None:
        shutil.rmtree(self._home / aside, ignore_errors=True)
        (self._home / FOLDER).rename(self._home / aside)
        (self._home / fresh).rename(self._home / FOLDER)
        found = stored.load(self._home)
        assert found is not None
        self._credentials = found

    def _settles(self) -> bool:
        """Whether the connection that was just told to change stands within the time."""
        deadline = time.monotonic() + self._settle_s
        while time.monotonic() < deadline and not self._stopping.wait(LOOK_EVERY_S):
            if self._connected():
                return True
        return False

    def _bid_farewell(self, old: Credentials) -> None:
        left = stored.load_folder(self._home / BEFORE) or old
        try:
            ask_standing(left, RenewAsk(moved=True))
        except KinflowError as error:
            log.warning("%s was not told that this device has gone: revoke it there (%s)", left.edge, error)
