"""Tokens for programs: named, with a role and an end, shown once, kept as a digest."""

from __future__ import annotations

from contextlib import suppress

from edge_server.accounts.audit import Audit
from edge_server.accounts.caller import Caller
from edge_server.accounts.file import AccountsFile
from edge_server.accounts.need import Role
from edge_server.accounts.rows import Actor, ProgramToken
from edge_server.accounts.secret import digest, new_secret
from edge_server.errors import AccountsUnusable, AccountTaken, NotKnown
from node.clock import Clock
from protocol.ids import slug

PREFIX = "kinflow_"
DAY_MS = 86_400_000
NOTED_EVERY_MS = 60_000


class Tokens:
    def __init__(self, file: AccountsFile, clock: Clock, audit: Audit) -> None:
        self._file = file
        self._clock = clock
        self._audit = audit

    def make(self, name: str, role: Role, days: int, by: Actor) -> tuple[ProgramToken, str]:
        """The token and its secret, which is never shown again. Raises InvalidId (KF10), AccountTaken (KF213)."""
        slug(name, "token name")
        secret, now_ms = new_secret(PREFIX), self._clock.wall_ms()
        with self._file.change() as connection:
            if self._file.ask("SELECT 1 FROM tokens WHERE name = ?", name):
                raise AccountTaken(kind="token", name=name)
            number = connection.execute(
                "INSERT INTO tokens VALUES (NULL, ?, ?, ?, ?, ?, ?, NULL)",
                (name, role, digest(secret), by.who, now_ms, now_ms + days * DAY_MS),
            ).lastrowid
            self._audit.note(by, "token-made", name, f"{role}, {days} days")
        return next(token for token in self.all() if token.id == number), secret

    def all(self) -> list[ProgramToken]:
        rows = self._file.ask("SELECT * FROM tokens ORDER BY name")
        return [ProgramToken(**{key: value for key, value in row.items() if key != "digest"}) for row in rows]

    def revoke(self, name: str, by: Actor) -> None:
        """Raises NotKnown (KF92)."""
        with self._file.change() as connection:
            if not connection.execute("DELETE FROM tokens WHERE name = ?", (name,)).rowcount:
                raise NotKnown(kind="token", name=name[:63])
            self._audit.note(by, "token-revoked", name)

    def revoke_of(self, maker: str, by: Actor, roles: tuple[Role, ...]) -> None:
        """Revoke what `maker` made and may no longer make."""
        for token in self.all():
            if token.made_by == maker and token.role in roles:
                self.revoke(token.name, by)

    def of(self, secret: str) -> Caller | None:
        """Raises AccountsUnusable (KF211)."""
        if not secret.startswith(PREFIX):
            return None
        rows = self._file.ask("SELECT id, name, role, expires_ms, used_ms FROM tokens WHERE digest = ?", digest(secret))
        now_ms = self._clock.wall_ms()
        if not rows or rows[0]["expires_ms"] <= now_ms:
            return None
        row = rows[0]
        if row["used_ms"] is None or abs(now_ms - row["used_ms"]) >= NOTED_EVERY_MS:
            # On a full disk people still come in.
            with suppress(AccountsUnusable), self._file.change() as connection:
                connection.execute("UPDATE tokens SET used_ms = ? WHERE id = ?", (now_ms, row["id"]))
        return Caller(row["name"], "token", row["role"])
