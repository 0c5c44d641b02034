"""The accounts of one edge server, and the ways in: by password, by the machine's key, by a program's token."""

from __future__ import annotations

import hmac
import threading
from pathlib import Path

from edge_server.accounts.audit import Audit
from edge_server.accounts.caller import Caller
from edge_server.accounts.file import AccountsFile
from edge_server.accounts.passwords import LONGEST, Hasher
from edge_server.accounts.rows import Actor
from edge_server.accounts.secret import digest
from edge_server.accounts.sessions import Sessions
from edge_server.accounts.shared import Shared
from edge_server.accounts.throttle import Throttle, network
from edge_server.accounts.tokens import Tokens
from edge_server.accounts.users import Users
from edge_server.errors import AccountsUnusable, SignInRefused, SignInTooOften
from node.clock import Clock

PLACE_KEPT_MS = 180 * 86_400_000
MACHINE = "(the machine's key)"


class Accounts:
    """Safe from any thread; other processes (the command line) may change the same file meanwhile.

    root: the machine's own key, which is an admin. path: None for none at all, which
    lets nobody in. Opening never raises (see AccountsFile).
    """

    def __init__(self, path: Path | None, clock: Clock, root: str, hasher: Hasher | None = None) -> None:
        self._file = AccountsFile(path)
        self._clock = clock
        self._root = root
        self._proof = digest(f"proof of {root}")
        self._hasher = hasher or Hasher()
        self._throttle = Throttle()
        self._throttle_lock = threading.Lock()
        self.audit = Audit(self._file, clock)
        self.sessions = Sessions(self._file, clock)
        self.tokens = Tokens(self._file, clock, self.audit)
        self.shared = Shared(self._file, self.audit, self.sessions)
        self.users = Users(
            self._file, clock, self._hasher, audit=self.audit, sessions=self.sessions, tokens=self.tokens
        )

    def close(self) -> None:
        self._file.close()

    def exist(self) -> bool:
        """Whether everybody signs in. A file that can't be read is no reason to let anybody in."""
        try:
            return self.users.exist()
        except AccountsUnusable:
            return True

    # Who asks

    def by_bearer(self, secret: str) -> Caller | None:
        """By the machine's key or a program's token. Raises AccountsUnusable (KF211) for the latter."""
        if self._is_root(secret):
            return Caller("root", "root", "admin")
        return self.tokens.of(secret)

    def by_cookie(self, secret: str) -> Caller | None:
        """Raises AccountsUnusable (KF211)."""
        return self.sessions.of(secret, self._proof)

    # Ways in: each returns the id of a new session

    def sign_in(self, name: str, password: str, address: str, local: bool = False) -> str:
        """local: the request comes from this very machine. Raises SignInRefused (KF207), SignInTooOften (KF208),
        AccountsUnusable (KF211)."""
        name = name.strip().lower()[:64]
        self._take_a_try(name, address, local or self._is_known_place(name, address))
        hashed = self.users.hash_of(name)
        fits = self._hasher.verify(hashed, password[: LONGEST + 1])
        if hashed is None or not fits:
            # A password typed into the wrong field is no name to write down.
            who = name if hashed is not None else "(unknown name)"
            self.audit.note(Actor(who, address), "sign-in-refused")
            raise SignInRefused
        self._succeed(name, address)
        return self._begin(name, password, hashed, address)

    def sign_in_by_root(self, secret: str, address: str, local: bool = False) -> str:
        """By the machine's key, typed into the page. Raises as sign_in does."""
        self._take_a_try(MACHINE, address, local)
        if not self._is_root(secret.strip()):
            self.audit.note(Actor("root", address), "sign-in-refused")
            raise SignInRefused
        self._succeed(MACHINE, address)
        session = self.sessions.begin("root", None, self._proof, address)
        self.audit.note(Actor("root", address), "signed-in")
        return session

    def open_local(self, address: str) -> str:
        """For a page on this machine, as long as there is no account."""
        return self.sessions.begin("local", None, self._proof, address)

    def change_password(self, caller: Caller, old: str, new: str, address: str) -> str:
        """A person's own; the page's session goes on under a new id, their others end. Raises as sign_in does, and
        PasswordRefused (KF209)."""
        self._take_a_try(caller.name, address, trusted=True)
        hashed = self.users.hash_of(caller.name)
        if not self._hasher.verify(hashed, old[: LONGEST + 1]):
            raise SignInRefused
        self._succeed(caller.name, address)
        self.users.set_password(caller.name, new, Actor(caller.name, address))
        return self.sessions.begin("session", caller.name, "", address)

    def _begin(self, name: str, password: str, hashed: str, address: str) -> str:
        renewed = self._hasher.hash(password) if self._hasher.outdated(hashed) else hashed
        now_ms = self._clock.wall_ms()
        with self._file.change() as connection:
            values = (renewed, now_ms, name, hashed)
            # The password may have been changed, or the account removed, while this one was being looked at.
            if not connection.execute(
                "UPDATE users SET hash = ?, signed_in_ms = ? WHERE name = ? AND hash = ?", values
            ).rowcount:
                raise SignInRefused
            connection.execute("INSERT OR REPLACE INTO known_places VALUES (?, ?, ?)", (name, network(address), now_ms))
            connection.execute("DELETE FROM known_places WHERE at_ms < ?", (now_ms - PLACE_KEPT_MS,))
            self.audit.note(Actor(name, address), "signed-in")
            return self.sessions.begin("session", name, "", address)

    def _is_root(self, secret: str) -> bool:
        return bool(self._root) and hmac.compare_digest(digest(secret), digest(self._root))

    def _is_known_place(self, name: str, address: str) -> bool:
        return bool(self._file.ask("SELECT 1 FROM known_places WHERE user = ? AND address = ?", name, network(address)))

    def _take_a_try(self, name: str, address: str, trusted: bool) -> None:
        """A try counts as failed from its beginning, so that many at once are no more than one after another."""
        now_ms = self._clock.monotonic_ms()
        with self._throttle_lock:
            wait_ms = self._throttle.wait_ms(name, address, now_ms, trusted)
            if wait_ms == 0:
                self._throttle.failed(name, address, now_ms)
        if wait_ms:
            raise SignInTooOften(wait_s=-(-wait_ms // 1000))

    def _succeed(self, name: str, address: str) -> None:
        with self._throttle_lock:
            self._throttle.succeeded(name, address)
