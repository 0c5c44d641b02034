"""What was measured so far, a line for each turn of all servers: a bench of hours can be done in parts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from benchmarks.errors import LogOther
from benchmarks.serving.figures import Slo
from benchmarks.serving.peers.row import Row


class Turn(Struct, frozen=True, kw_only=True):
    """Rows of all servers that were measured one after the other. slo, bears_per_s: of the first turn of a trace."""

    name: str
    rows: tuple[Row, ...]
    slo: Slo | None = None
    bears_per_s: float = 0.0


class Log:
    """path: None to keep nothing. about: what is measured; a file about anything else is refused, KF532. A turn that
    was not finished is measured anew: its servers are to meet the same machine."""

    def __init__(self, path: Path | None, about: Mapping[str, Any]) -> None:
        self._path, self._turns = path, dict[str, Turn]()
        head = msgspec.json.encode(about)
        if path is None:
            return
        if not path.exists():
            path.write_bytes(head + b"\n")
            return
        first, *lines = path.read_bytes().split(b"\n") or [b""]
        if first != head:
            raise LogOther(path=path)
        # What follows the last line's end was cut off.
        for line in lines[:-1]:
            try:
                turn = msgspec.json.decode(line, type=Turn)
            except msgspec.MsgspecError as error:
                raise LogOther(path=path) from error
            self._turns[turn.name] = turn
        kept = b"\n".join([first, *lines[:-1]]) + b"\n"
        if lines and lines[-1]:
            path.write_bytes(kept)

    def turn(self, name: str, measure: Callable[[], Turn]) -> Turn:
        if name in self._turns:
            return self._turns[name]
        found = self._turns[name] = measure()
        if self._path is not None:
            with self._path.open("ab") as file:
                file.write(msgspec.json.encode(found) + b"\n")
        return found
