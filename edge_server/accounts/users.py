"""People's accounts: a name, a role, a password. There is always an admin once there is anybody."""

from __future__ import annotations

from edge_server.accounts.audit import Audit
from edge_server.accounts.file import AccountsFile
from edge_server.accounts.need import ROLES, Role, suffices
from edge_server.accounts.passwords import Hasher, check_password
from edge_server.accounts.rows import Actor, User
from edge_server.accounts.sessions import Sessions
from edge_server.accounts.tokens import Tokens
from edge_server.errors import AccountTaken, FirstAccountRefused, LastAdmin, NotKnown
from node.clock import Clock
from protocol.ids import slug


class Users:
    """Every change is noted in the audit, and a change that takes something away ends that person's sessions."""

    def __init__(
        self, file: AccountsFile, clock: Clock, hasher: Hasher, *, audit: Audit, sessions: Sessions, tokens: Tokens
    ) -> None:
        self._file, self._clock, self._audit = file, clock, audit
        self._sessions, self._tokens, self._hasher = sessions, tokens, hasher

    def exist(self) -> bool:
        """Raises AccountsUnusable (KF211)."""
        return bool(self._file.ask("SELECT EXISTS (SELECT 1 FROM users) AS found")[0]["found"])

    def all(self) -> list[User]:
        rows = self._file.ask("SELECT name, role, made_ms, password_ms, signed_in_ms FROM users ORDER BY name")
        return [User(**row) for row in rows]

    def hash_of(self, name: str) -> str | None:
        rows = self._file.ask("SELECT hash FROM users WHERE name = ?", name)
        return str(rows[0]["hash"]) if rows else None

    def add(self, name: str, role: Role, password: str, by: Actor) -> User:
        """Raises InvalidId (KF10), PasswordRefused (KF209), AccountTaken (KF213), FirstAccountRefused (KF214)."""
        slug(name, "account name")
        check_password(password, name)
        hashed, now_ms = self._hasher.hash(password), self._clock.wall_ms()
        with self._file.change() as connection:
            if self._file.ask("SELECT 1 FROM users WHERE name = ?", name):
                raise AccountTaken(kind="account", name=name)
            if role != "admin" and not self.exist():
                raise FirstAccountRefused
            connection.execute("INSERT INTO users VALUES (?, ?, ?, ?, ?, NULL)", (name, role, hashed, now_ms, now_ms))
            self._sessions.end_local()
            self._audit.note(by, "user-added", name, role)
        return User(name, role, now_ms, now_ms, None)

    def set_role(self, name: str, role: Role, by: Actor) -> None:
        """Ends the person's sessions, and tokens that they made and could not make now. Raises NotKnown (KF92),
        LastAdmin (KF212)."""
        with self._file.change() as connection:
            self._keep_an_admin(name, role)
            connection.execute("UPDATE users SET role = ? WHERE name = ?", (role, name))
            self._sessions.end_all(name)
            self._audit.note(by, "role-set", name, role)
            if role != "admin":  # only an admin makes tokens, so what is left is no higher than what they are
                self._tokens.revoke_of(name, by, tuple(one for one in ROLES if not suffices(role, one)))

    def set_password(self, name: str, password: str, by: Actor) -> None:
        """Ends the person's sessions. Raises NotKnown (KF92), PasswordRefused (KF209)."""
        check_password(password, name)
        hashed = self._hasher.hash(password)
        with self._file.change() as connection:
            values = (hashed, self._clock.wall_ms(), name)
            if not connection.execute("UPDATE users SET hash = ?, password_ms = ? WHERE name = ?", values).rowcount:
                raise NotKnown(kind="account", name=name[:63])
            self._sessions.end_all(name)
            self._audit.note(by, "password-set", name)

    def remove(self, name: str, by: Actor) -> None:
        """With their sessions and the tokens that they made. Raises NotKnown (KF92), LastAdmin (KF212)."""
        with self._file.change() as connection:
            self._keep_an_admin(name, None)
            self._sessions.end_all(name)
            self._tokens.revoke_of(name, by, ROLES)
            connection.execute("DELETE FROM known_places WHERE user = ?", (name,))
            connection.execute("DELETE FROM users WHERE name = ?", (name,))
            self._audit.note(by, "user-removed", name)

    def _keep_an_admin(self, name: str, role: Role | None) -> None:
        """Within a change: whether `name` may become `role`, or go."""
        rows = {row["name"]: row["role"] for row in self._file.ask("SELECT name, role FROM users")}
        if name not in rows:
            raise NotKnown(kind="account", name=name[:63])
        if role != "admin" and rows[name] == "admin" and list(rows.values()).count("admin") == 1:
            raise LastAdmin(name=name)
