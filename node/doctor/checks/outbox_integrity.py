from __future__ import annotations

import sqlite3
from contextlib import closing

from node.doctor.check import Context
from node.errors import StoreDamaged, StoreNewer
from node.outbox.store import SCHEMA_VERSION


class OutboxIntegrity:
    title = "The outboxes are sound"
    error = StoreDamaged

    def run(self, context: Context) -> str:
        outboxes = context.files("*outbox*.db")
        waiting = 0
        for path in outboxes:
            try:
                with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as sql:
                    found = sql.execute("PRAGMA quick_check(1)").fetchone()[0]
                    schema = sql.execute("PRAGMA user_version").fetchone()[0]
                    if schema > SCHEMA_VERSION:
                        raise StoreNewer(path=str(path), found=schema, known=SCHEMA_VERSION)
                    if found == "ok" and schema:
                        waiting += sql.execute("SELECT count(*) FROM message").fetchone()[0]
            except sqlite3.Error as error:
                raise StoreDamaged(path=str(path), detail=str(error)) from error
            if found != "ok":
                raise StoreDamaged(path=str(path), detail=found)
        return f"{len(outboxes)} outboxes; {waiting} messages wait in them."
