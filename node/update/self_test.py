"""`kinflow self-test`: does this version work on this machine? Run by the updater in a child, before any switch.

Every tier that is installed is imported, samples of messages are read, and copies of the stores that are here are
opened, migrated and brought back to their old schemas. The stores themselves are only read.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import shutil
import sqlite3
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from node.errors import VersionUnfit
from node.home import find_home
from node.sqlite import connect
from node.update import schemas
from node.update.health import running_version
from node.update.samples import SAMPLES
from protocol.codec import decode_addressed, encode

# What each tier's process begins with, and the library without which that tier is not installed here. Names, as in
# kinflow/mounts.py: no package of the tree imports upwards.
PARTS = {
    "protocol.messages": "msgspec",
    "node.update.runner": "tuf",
    "node.link": "paho",
    "agent.run": "cv2",
    "edge_server.server": "fastapi",
}
# Who opens which store, and so migrates it.
OPENERS = {"edge.db": "edge_server.store.file:open_store", "outbox-": "node.outbox.store:OutboxStore"}
COPY_LIMIT_BYTES = 512 * 1024 * 1024


def self_test(as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False) -> None:
    """Import what is installed, read sample messages, and open copies of the stores. Raises VersionUnfit (KF182)."""
    done: dict[str, list[str]] = {}
    for name, check in (("imports", imports), ("messages", messages), ("stores", lambda: stores(find_home()))):
        done[name] = _run(name, check)
    if as_json:
        typer.echo(json.dumps({"ok": True, "version": running_version(), "checked": done}))
        return
    for name, found in done.items():
        typer.echo(f"{name:<10}{', '.join(found) or 'nothing to check'}")


def imports() -> list[str]:
    found = []
    for module, library in PARTS.items():
        if importlib.util.find_spec(library) is None or importlib.util.find_spec(module.partition(".")[0]) is None:
            continue
        importlib.import_module(module)
        found.append(module)
    return found


def messages() -> list[str]:
    kinds = []
    for topic, text in SAMPLES:
        _, message = decode_addressed(topic, text.encode())
        if decode_addressed(topic, encode(message))[1] != message:
            raise ValueError(f"a {type(message).__name__} does not survive its own codec")
        kinds.append(type(message).__name__)
    return kinds


def stores(home: Path) -> list[str]:
    found = []
    with tempfile.TemporaryDirectory(prefix="kinflow-self-test-") as folder:
        for path in schemas.stores(home):
            opener = next((value for key, value in OPENERS.items() if path.name.startswith(key)), None)
            if opener is None or path.stat().st_size > COPY_LIMIT_BYTES or not _is_installed(opener):
                continue
            copy = Path(folder) / path.name
            _copy(path, copy)
            before = schemas.note(Path(folder))[path.name]
            module, _, name = opener.partition(":")
            opened = getattr(importlib.import_module(module), name)(copy)
            getattr(opened, "connection", opened).close()
            with_new = connect(copy, newest=1 << 30)
            try:
                # A version that can't be gone back from is not put on trial.
                schemas.take_back(with_new, before)
            finally:
                with_new.close()
            found.append(path.name)
    return found


def _copy(path: Path, copy: Path) -> None:
    """As it is at one moment, its log included, while another process writes."""
    if shutil.disk_usage(copy.parent).free < 2 * path.stat().st_size + (16 << 20):
        raise OSError(28, "No space left on device")
    source = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)
    target = sqlite3.connect(copy)
    try:
        source.backup(target)
    finally:
        source.close()
        target.close()


def _is_installed(opener: str) -> bool:
    top = opener.partition(".")[0]
    return importlib.util.find_spec(PARTS.get(f"{top}.server", "msgspec")) is not None


def _run(name: str, check: Callable[[], list[str]]) -> list[str]:
    try:
        return check()
    except Exception as error:
        raise VersionUnfit(
            version=running_version(), detail=f"{name}: {type(error).__name__}: {error}"[:300]
        ) from error
