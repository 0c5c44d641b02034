from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from edge_server.store import migrations
from edge_server.store.file import FILE_NAME
from node.doctor.check import Context
from node.errors import StoreDamaged, StoreNewer


class StoreVersion:
    title = "The stores are of this version"
    error = StoreNewer

    def run(self, context: Context) -> str:
        configured = context.settings().settings.edge.database
        known = len(migrations.steps())
        stores = context.files(FILE_NAME) + ([Path(configured)] if configured and Path(configured).is_file() else [])
        for path in stores:
            found = _schema(path)
            if found > known:
                raise StoreNewer(path=str(path), found=found, known=known)
        return f"{len(stores)} stores; this Kinflow writes schema {known}."


def _schema(path: Path) -> int:
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as sql:
            return int(sql.execute("PRAGMA user_version").fetchone()[0])
    except sqlite3.Error as error:
        raise StoreDamaged(path=str(path), detail=str(error)) from error
