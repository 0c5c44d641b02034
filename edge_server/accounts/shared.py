"""Accounts and tokens as the other edge server of a pair needs them, and taking over what is newer there.

Each account and each token by itself: what was changed more often is newer, then what was changed later.
So a change at either holds at both, also after a split; where both changed the same one meanwhile, one change is lost.
Sessions, known places and the audit stay where they are.
"""

from __future__ import annotations

import sqlite3

from msgspec import Struct, structs

from edge_server.accounts.audit import Audit
from edge_server.accounts.file import AccountsFile
from edge_server.accounts.need import Role
from edge_server.accounts.rows import Actor
from edge_server.accounts.sessions import Sessions


class Change(Struct, frozen=True, kw_only=True):
    """gone: it was removed, and the other fields say nothing."""

    name: str
    version: int
    at_ms: int
    gone: bool = False


class SharedUser(Change, frozen=True, kw_only=True):
    role: Role = "viewer"
    hash: str = ""
    made_ms: int = 0
    password_ms: int = 0


class SharedToken(Change, frozen=True, kw_only=True):
    role: Role = "viewer"
    digest: str = ""
    made_by: str = ""
    made_ms: int = 0
    expires_ms: int = 0


class SharedAccounts(Struct, frozen=True, kw_only=True):
    users: tuple[SharedUser, ...]
    tokens: tuple[SharedToken, ...]


class Shared:
    """Raises AccountsUnusable (KF211)."""

    def __init__(self, file: AccountsFile, audit: Audit, sessions: Sessions) -> None:
        self._file, self._audit, self._sessions = file, audit, sessions

    def all(self) -> SharedAccounts:
        with self._file.change():  # both as of one moment
            return SharedAccounts(users=tuple(self._users()), tokens=tuple(self._tokens()))

    def merge(self, theirs: SharedAccounts, peer: str) -> bool:
        """Take over what is newer there; whether anything was. Who is removed, or whose password or role changed, is
        signed out here as well."""
        by = Actor(peer)
        with self._file.change() as connection:
            mine = {one.name: one for one in self._users()}
            users = [one for one in theirs.users if _is_newer(one, mine.get(one.name))]
            for user in users:
                self._take_user(connection, user, mine.get(user.name), by)
            kept = {one.name: one for one in self._tokens()}
            tokens = [one for one in theirs.tokens if _is_newer(one, kept.get(one.name))]
            for token in tokens:
                self._take_token(connection, token, by)
        return bool(users or tokens)

    def _users(self) -> list[SharedUser]:
        rows = self._file.ask(
            "SELECT changes.name, version, at_ms, gone, coalesce(role, 'viewer') AS role, coalesce(hash, '') AS hash,"
            " coalesce(made_ms, 0) AS made_ms, coalesce(password_ms, 0) AS password_ms"
            " FROM changes LEFT JOIN users ON users.name = changes.name WHERE kind = 'user' ORDER BY changes.name"
        )
        return [SharedUser(**{**row, "gone": bool(row["gone"])}) for row in rows]

    def _tokens(self) -> list[SharedToken]:
        rows = self._file.ask(
            "SELECT changes.name, version, at_ms, gone, coalesce(role, 'viewer') AS role,"
            " coalesce(digest, '') AS digest, coalesce(made_by, '') AS made_by, coalesce(made_ms, 0) AS made_ms,"
            " coalesce(expires_ms, 0) AS expires_ms"
            " FROM changes LEFT JOIN tokens ON tokens.name = changes.name WHERE kind = 'token' ORDER BY changes.name"
        )
        return [SharedToken(**{**row, "gone": bool(row["gone"])}) for row in rows]

    def _take_user(self, connection: sqlite3.Connection, user: SharedUser, mine: SharedUser | None, by: Actor) -> None:
        known = mine is not None and not mine.gone
        if user.gone:
            connection.execute("DELETE FROM known_places WHERE user = ?", (user.name,))
            connection.execute("DELETE FROM users WHERE name = ?", (user.name,))
        else:
            connection.execute(
                "INSERT INTO users VALUES (?, ?, ?, ?, ?, NULL) ON CONFLICT (name) DO UPDATE SET role = excluded.role,"
                " hash = excluded.hash, made_ms = excluded.made_ms, password_ms = excluded.password_ms",
                (user.name, user.role, user.hash, user.made_ms, user.password_ms),
            )
            # From the first account on everybody signs in.
            self._sessions.end_local()
        if mine is None or (mine.gone, mine.role, mine.hash) != (user.gone, user.role, user.hash):
            self._sessions.end_all(user.name)
            what = "user-removed" if user.gone else "user-changed" if known else "user-added"
            if known or not user.gone:
                self._audit.note(by, what, user.name, "" if user.gone else user.role)
        _set(connection, "user", user)

    def _take_token(self, connection: sqlite3.Connection, token: SharedToken, by: Actor) -> None:
        gone = connection.execute("DELETE FROM tokens WHERE name = ?", (token.name,)).rowcount
        if not token.gone:
            connection.execute(
                "INSERT INTO tokens VALUES (NULL, ?, ?, ?, ?, ?, ?, NULL)",
                (token.name, token.role, token.digest, token.made_by, token.made_ms, token.expires_ms),
            )
            self._audit.note(by, "token-made", token.name, token.role)
        elif gone:
            self._audit.note(by, "token-revoked", token.name)
        _set(connection, "token", token)


def _is_newer(theirs: Change, mine: Change | None) -> bool:
    """What is of the same age and yet another one is decided alike on both sides, by what it says."""
    return mine is None or _age(theirs) > _age(mine)


def _age(one: Change) -> tuple[object, ...]:
    said = structs.asdict(one)
    return (one.version, one.at_ms, one.gone, *(said[name] for name in sorted(said)))


def _set(connection: sqlite3.Connection, kind: str, one: Change) -> None:
    """As it is there, and not as one change more."""
    row = (kind, one.name, one.version, one.at_ms, one.gone)
    connection.execute("INSERT OR REPLACE INTO changes VALUES (?, ?, ?, ?, ?)", row)
