"""Who did what, when and from where. Lines are only ever added; the oldest beyond a limit go."""

from __future__ import annotations

from edge_server.accounts.file import AccountsFile
from edge_server.accounts.rows import Actor, AuditLine
from node.clock import Clock

KEPT = 50_000


class Audit:
    def __init__(self, file: AccountsFile, clock: Clock) -> None:
        self._file = file
        self._clock = clock

    def note(self, by: Actor, what: str, subject: str = "", detail: str = "") -> None:
        """Within a change of the file it is part of that change. what: a slug."""
        row = (self._clock.wall_ms(), by.who, what, subject, by.address, detail)
        with self._file.change() as connection:
            cursor = connection.execute("INSERT INTO audit VALUES (NULL, ?, ?, ?, ?, ?, ?)", row)
            connection.execute("DELETE FROM audit WHERE id <= ?", ((cursor.lastrowid or 0) - KEPT,))

    def lines(self, limit: int = 200, before: int | None = None) -> list[AuditLine]:
        """Newest first, from those with an id below `before`."""
        rows = self._file.ask("SELECT * FROM audit WHERE id < ? ORDER BY id DESC LIMIT ?", before or 1 << 62, limit)
        return [AuditLine(**row) for row in rows]
