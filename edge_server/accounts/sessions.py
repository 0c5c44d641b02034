"""Sessions: who signed in, on which page, until when. Only a digest of the id that a browser holds is kept."""

from __future__ import annotations

from contextlib import suppress

from edge_server.accounts.caller import Caller, Way
from edge_server.accounts.file import AccountsFile
from edge_server.accounts.secret import digest, new_secret
from edge_server.errors import AccountsUnusable
from node.clock import Clock

IDLE_MS = 24 * 3600_000
LONGEST_MS = 30 * 24 * 3600_000
NOTED_EVERY_MS = 60_000
KEPT = 2_000


class Sessions:
    """A session ends when nothing used it for IDLE_MS, and LONGEST_MS after it began in any case."""

    def __init__(self, file: AccountsFile, clock: Clock) -> None:
        self._file = file
        self._clock = clock

    def begin(self, way: Way, user: str | None, proof: str, address: str) -> str:
        """Returns the id for the browser. user: whose it is, None for the machine's key and for a page before there is
        any account. proof: what it hangs on; it ends when `of` is given another."""
        secret, now_ms = new_secret(), self._clock.wall_ms()
        with self._file.change() as connection:
            self._sweep(now_ms)
            connection.execute(
                "INSERT INTO sessions VALUES (?, ?, ?, ?, ?, ?, ?)",
                (digest(secret), way, user, proof, address, now_ms, now_ms),
            )
        return secret

    def of(self, secret: str, proof: str) -> Caller | None:
        """proof: what a session of the machine's key hangs on now. Raises AccountsUnusable (KF211)."""
        now_ms = self._clock.wall_ms()
        key = digest(secret)
        rows = self._file.ask(
            """SELECT way, user, proof, sessions.made_ms, used_ms, users.role FROM sessions
               LEFT JOIN users ON users.name = sessions.user WHERE digest = ?""",
            key,
        )
        if not rows or _is_over(rows[0]["made_ms"], rows[0]["used_ms"], now_ms):
            return None
        row = rows[0]
        if abs(now_ms - row["used_ms"]) >= NOTED_EVERY_MS:
            # On a full disk people still come in.
            with suppress(AccountsUnusable), self._file.change() as connection:
                connection.execute("UPDATE sessions SET used_ms = ? WHERE digest = ?", (now_ms, key))
        if row["way"] == "session":
            return Caller(row["user"], "session", row["role"], key) if row["role"] else None
        if row["proof"] != proof:
            return None
        return (
            Caller("root", "root", "admin", key) if row["way"] == "root" else Caller("local", "local", "operator", key)
        )

    def end(self, key: str) -> None:
        """key: a caller's `session`."""
        with self._file.change() as connection:
            connection.execute("DELETE FROM sessions WHERE digest = ?", (key,))

    def end_all(self, user: str) -> int:
        with self._file.change() as connection:
            return connection.execute("DELETE FROM sessions WHERE user = ?", (user,)).rowcount

    def end_local(self) -> None:
        """The first account is there: a page on this machine is no longer let in by itself."""
        with self._file.change() as connection:
            connection.execute("DELETE FROM sessions WHERE way = 'local'")

    def _sweep(self, now_ms: int) -> None:
        with self._file.change() as connection:
            connection.execute(
                "DELETE FROM sessions WHERE used_ms < ? OR made_ms < ?", (now_ms - IDLE_MS, now_ms - LONGEST_MS)
            )
            # Whoever opens the door again and again can't fill the disk; the least used go first.
            connection.execute(
                """DELETE FROM sessions WHERE digest IN
                   (SELECT digest FROM sessions ORDER BY way = 'local', used_ms DESC LIMIT -1 OFFSET ?)""",
                (KEPT,),
            )


def _is_over(made_ms: int, used_ms: int, now_ms: int) -> bool:
    """A clock that was set back makes no session older."""
    return now_ms - used_ms > IDLE_MS or now_ms - made_ms > LONGEST_MS
