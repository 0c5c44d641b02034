"""The store's schema, step by step: m001, m002, … are only ever appended, never changed once released."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable

from sqlite_utils import Database


def steps() -> list[Callable[[Database], None]]:
    """Each migration's apply(), in order. The number of steps is the schema's version (PRAGMA user_version)."""
    names = sorted(module.name for module in pkgutil.iter_modules(__path__) if module.name.startswith("m"))
    return [importlib.import_module(f"{__name__}.{name}").apply for name in names]
