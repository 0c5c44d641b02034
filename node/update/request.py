"""What somebody asks the updater for: a file that the agent, the edge server or a person writes, and that starts it.

Only this crosses from the processes that talk to the network to the one that may change programs; it can name a version
and a place to look, and neither makes anything trusted.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from node.update.durable import remove_durably, write_durably
from node.update.version import PATTERN

LIMIT_BYTES = 4_096


class Request(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """version: None for whatever is current. source: None for the configured one. command: the edge's own id."""

    action: Literal["update", "rollback"] = "update"
    version: Annotated[str, Meta(pattern=PATTERN)] | None = None
    source: Annotated[str, Meta(max_length=500)] | None = None
    command: Annotated[str, Meta(max_length=64)] | None = None


def ask(path: Path, request: Request) -> None:
    write_durably(path, msgspec.json.encode(request))


def peek(path: Path) -> Request | None:
    """None when nobody asked; what can't be read is nothing that anybody asked."""
    try:
        with path.open("rb") as file:
            return msgspec.json.decode(file.read(LIMIT_BYTES), type=Request)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return None


def forget(path: Path) -> None:
    remove_durably(path)
