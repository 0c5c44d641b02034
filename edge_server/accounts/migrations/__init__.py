"""The schema of accounts.db, step by step: m001, m002, … are only ever appended, never changed once released."""

from __future__ import annotations

import importlib
import pkgutil
import sqlite3
from collections.abc import Callable


def steps() -> list[Callable[[sqlite3.Connection], None]]:
    """Each migration's apply(), in order. The number of steps is the schema's version (PRAGMA user_version)."""
    names = sorted(module.name for module in pkgutil.iter_modules(__path__) if module.name.startswith("m"))
    return [importlib.import_module(f"{__name__}.{name}").apply for name in names]
