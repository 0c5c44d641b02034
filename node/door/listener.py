"""A listening socket behind which a doorman stands.

asyncio knows of a connection once its TLS handshake is done, which somebody may never do. So visits are counted where
they are accepted and where they are closed: in the sockets themselves. All of this lives on one event loop.
"""

from __future__ import annotations

import fcntl
import itertools
import logging
import os
import resource
import socket
import struct
import time
from contextlib import suppress
from typing import Any

from node.door.doorman import Doorman, Limits
from node.errors import DoorFull

# At once; the rest waits in the kernel, so that a flood leaves the loop time for those who are in.
ACCEPTED_AT_ONCE = 32
TELL_EVERY_MS = 60_000
SELECTABLE = 1024
_RESET = struct.pack("ii", 1, 0)

log = logging.getLogger(__name__)


class Visit(socket.socket):
    """One accepted connection. It leaves its door's book when it is closed, by whomever."""

    door: Door
    number: int
    peer: tuple[str, int]
    under_way = 0

    def close(self) -> None:
        self.door.forget(self)
        super().close()

    def cut(self) -> None:
        """End it now: what the other side did not take is thrown away, and whoever serves it sees that it is gone."""
        self.door.forget(self)
        with suppress(OSError):
            self.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            self.shutdown(socket.SHUT_RDWR)

    def asks(self) -> None:
        """A request's head has come."""
        self.under_way += 1
        self.door.doorman.asks(self.number)

    def answered(self) -> None:
        """The next request of a connection may begin before the work on the one before has ended."""
        self.under_way -= 1
        if not self.under_way:
            self.door.doorman.answered(self.number, now_ms())

    def blocked(self, yes: bool) -> None:
        """Whether a piece of an answer waits for the other side."""
        self.door.doorman.blocked(self.number, now_ms() if yes else None)


class Door:
    """limits: None for the usual ones, within a quarter of the files that this process may open."""

    def __init__(self, limits: Limits | None = None) -> None:
        self.port = 0
        self.doorman = Doorman(limits or _usual())
        self._visits: dict[int, Visit] = {}
        self._by_peer: dict[tuple[str, int], Visit] = {}
        self._numbers = itertools.count()
        self._told_ms: int | None = None

    def watch(self, listening: socket.socket) -> socket.socket:
        """The same listening socket, watched; the one that was given is no more."""
        self.port = listening.getsockname()[1]
        watched = _Listener(listening.family, listening.type, listening.proto, fileno=listening.detach())
        watched.door = self
        return watched

    def lets_in(self, visit: Visit, address: tuple[Any, ...]) -> bool:
        visit.door, visit.number, visit.peer = self, next(self._numbers), (str(address[0]), int(address[1]))
        goes = self.doorman.comes(visit.number, visit.peer[0], now_ms())
        if goes is not None:
            self._tell(visit.peer[0])
        if goes == visit.number:
            visit.cut()
            visit.close()
            return False
        if goes is not None:
            self._visits[goes].cut()
        self._visits[visit.number] = self._by_peer[visit.peer] = visit
        return True

    def sweep(self) -> None:
        """Cut whoever took too long. To be called about once a second."""
        for number in self.doorman.overdue(now_ms()):
            self._visits[number].cut()

    def find(self, client: tuple[str, int] | None) -> Visit | None:
        """The visit that a request comes by; None where it came by no watched socket."""
        return self._by_peer.get(client) if client else None

    def forget(self, visit: Visit) -> None:
        self.doorman.leaves(visit.number)
        self._visits.pop(visit.number, None)
        if self._by_peer.get(visit.peer) is visit:
            del self._by_peer[visit.peer]

    def _tell(self, address: str) -> None:
        """Once a minute at most: what fills the door must not fill the log."""
        if self._told_ms is None or now_ms() - self._told_ms >= TELL_EVERY_MS:
            self._told_ms = now_ms()
            log.warning(str(DoorFull(port=self.port, most=self.doorman.limits.at_once, address=address)))


class _Listener(socket.socket):
    door: Door
    in_a_row = 0

    def accept(self) -> tuple[socket.socket, Any]:
        """The next visit that is let in. Raises BlockingIOError when there is none, as any socket does, and now and
        then all the same: asyncio, which would go on for as long as somebody comes, then does other work first."""
        while self.in_a_row < ACCEPTED_AT_ONCE:
            self.in_a_row += 1
            handle, address = self._accept()  # type: ignore[attr-defined]
            visit = Visit(self.family, self.type, self.proto, fileno=_lifted(handle))
            if self.door.lets_in(visit, address):
                return visit, address
        self.in_a_row = 0
        raise BlockingIOError


def _lifted(handle: int) -> int:
    """The same file by a high number. What waits by select(), as paho does, knows no number from 1024 on: a crowd at
    the door must leave the low ones to it, or the broker is not found again once it was lost."""
    try:
        high = fcntl.fcntl(handle, fcntl.F_DUPFD_CLOEXEC, SELECTABLE)
    except OSError:  # so many files may not be opened here
        return handle
    os.close(handle)
    return high


def now_ms() -> int:
    return time.monotonic_ns() // 1_000_000


def _usual() -> Limits:
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    most = Limits().at_once
    return Limits(at_once=most if files == resource.RLIM_INFINITY else min(most, files // 4))
