"""`kinflow support-bundle`: one file with what a helper needs, and nothing that is a secret or shows a road.

In it: the settings, the doctor's findings, versions, how many rows each store holds, and the last lines of each log.
Not in it: pictures, observations, messages, tokens, keys. Every text passes the redaction last, together with each
secret that is known by its value (passwords from the settings and the environment, whatever lies in token files).
"""

from __future__ import annotations

import json
import os
import platform
import re
import sqlite3
import sys
import zipfile
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import closing
from importlib.metadata import distributions
from pathlib import Path
from typing import Annotated
from urllib.parse import unquote, urlsplit

import typer

from node.clock import SystemClock
from node.config.cli import described
from node.config.load import FILE_NAME
from node.config.sources import FIELDS
from node.doctor.check import Context
from node.doctor.runner import discover, examine
from node.home import find_home
from node.redaction import is_secret_key, redact, redact_text

LOG_LINES = 500
SECRET_FILE_LIMIT_BYTES = 4096


def support_bundle(
    out: Annotated[Path, typer.Option("--out", help="The zip file to write.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Gather what a helper needs, without secrets."""
    names = write_bundle(out, Context(find_home(), SystemClock(), os.environ))
    if as_json:
        typer.echo(json.dumps({"path": str(out), "files": names}))
    else:
        typer.echo(f"Wrote {out} with {', '.join(names)}. Look into it before you send it.")


def write_bundle(out: Path, context: Context) -> list[str]:
    """Write the zip file, for its owner only, and return the names in it."""
    known = known_secrets(context)
    parts = {
        "doctor.json": _json(_findings(context), known),
        "settings.json": _json(_settings(context), known),
        "versions.json": _json(_versions(), known),
        "counts.json": _json(_counts(context), known),
        **{f"log/{redact_text(name, known)}": redact_text(text, known) for name, text in _logs(context)},
    }
    out.unlink(missing_ok=True)
    with (
        os.fdopen(os.open(out, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file,
        zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as bundle,
    ):
        for name, text in parts.items():
            bundle.writestr(name, text)
    return list(parts)


def known_secrets(context: Context) -> frozenset[str]:
    """Every secret whose value can be found out: it is struck out wherever it stands, whatever stands around it."""
    settings = context.settings().settings
    urls = [settings.broker.url, *(one.source for one in settings.agent.cameras), *context.environment.values()]
    # A settings file that can't be used may hold secrets all the same.
    urls += re.findall(r"[^\s\"']+://[^\s\"']+", _text(context.home / FILE_NAME))
    found = {password for url in urls for password in _passwords(url)}
    found.update(value for name, value in context.environment.items() if is_secret_key(name) and len(value) >= 4)
    for path in context.files("*"):
        if is_secret_key(path.name) and path.is_file() and path.stat().st_size <= SECRET_FILE_LIMIT_BYTES:
            found.update(line.strip() for line in _text(path).splitlines() if len(line.strip()) >= 4)
    return frozenset(found)


def _passwords(url: str) -> Iterator[str]:
    try:
        password = urlsplit(url).password
    except ValueError:
        return
    if password:
        yield password
        yield unquote(password)


def _json(value: object, known: frozenset[str]) -> str:
    return json.dumps(redact(value, known), indent=1, ensure_ascii=False)


def _findings(context: Context) -> dict[str, object]:
    results = examine(discover(), context)
    return {slug: {"code": one.code, "ok": one.ok, "advice": one.advice} for slug, one in results.items()}


def _settings(context: Context) -> Mapping[str, object]:
    return described(context.settings(), list(FIELDS))


def _versions() -> dict[str, object]:
    return {
        "python": sys.version,
        "system": platform.platform(),
        "machine": platform.machine(),
        "sqlite": sqlite3.sqlite_version,
        "packages": {one.metadata["Name"]: one.version for one in distributions()},
    }


def _counts(context: Context) -> dict[str, object]:
    return {str(path.relative_to(context.home)): _count(path) for path in context.files("*.db")}


def _count(path: Path) -> dict[str, object]:
    found: dict[str, object] = {"size_bytes": path.stat().st_size}
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as sql:
            found["schema"] = sql.execute("PRAGMA user_version").fetchone()[0]
            for (table,) in sql.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
                quoted = table.replace('"', '""')
                found[table] = sql.execute(f'SELECT count(*) FROM "{quoted}"').fetchone()[0]  # noqa: S608
    except sqlite3.Error as error:
        found["unreadable"] = str(error)
    return found


def _logs(context: Context) -> Iterator[tuple[str, str]]:
    for pattern in ("log/*", "*.log"):
        for path in context.files(pattern):
            if path.is_file():
                with path.open(encoding="utf-8", errors="replace") as log:
                    name = str(path.relative_to(context.home)).replace(os.sep, "-")
                    yield name, "".join(deque(log, LOG_LINES))


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8", errors="replace")
    except OSError:
        return ""
