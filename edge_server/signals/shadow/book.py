"""What shadowing has counted, kept on the disk: `shadow/2026-11-29.jsonl` in the state folder, a quarter of an hour a
line for each intersection. What a power cut takes is the quarter that was open."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import structlog
from msgspec import Struct

from edge_server.signals.shadow.tally import Tally
from protocol.ids import IntersectionId

FOLDER = "shadow"
QUARTER_MS = 15 * 60 * 1000
KEPT_FILES = 31

log = structlog.get_logger("edge.shadow")


class Row(Struct, frozen=True, kw_only=True):
    """from_ms, to_ms: wall clock. control: ours, by its name in the site file."""

    intersection: IntersectionId
    control: str
    from_ms: int
    to_ms: int
    tally: Tally


Taken = Mapping[IntersectionId, tuple[str, Tally]]


class ShadowBook:
    """Safe from any thread. take: what each intersection has counted since it was last asked; peek: the same, and it
    goes on being counted."""

    def __init__(
        self, folder: Path, wall_ms: Callable[[], int], take: Callable[[], Taken], peek: Callable[[], Taken]
    ) -> None:
        self._folder, self._wall_ms, self._take, self._peek = folder, wall_ms, take, peek
        self._from_ms = wall_ms()
        self._lock = threading.Lock()
        self._failing = False

    def keep(self) -> None:
        """Once a second or so: write a quarter of an hour that is over."""
        if self._wall_ms() // QUARTER_MS != self._from_ms // QUARTER_MS:
            self.flush()

    def flush(self) -> None:
        with self._lock:
            to_ms = self._wall_ms()
            rows = self._rows(self._take(), to_ms)
            day = datetime.fromtimestamp(self._from_ms / 1000, UTC).strftime("%Y-%m-%d")
            self._from_ms = to_ms
            if not rows:
                return
            try:
                self._folder.mkdir(parents=True, exist_ok=True)
                with (self._folder / f"{day}.jsonl").open("ab") as file:
                    file.write(b"".join(msgspec.json.encode(row) + b"\n" for row in rows))
                for old in sorted(self._folder.glob("????-??-??.jsonl"))[:-KEPT_FILES]:
                    old.unlink(missing_ok=True)
                self._failing = False
            except OSError as error:
                if not self._failing:
                    log.warning("what shadowing has counted can't be written", detail=str(error))
                self._failing = True

    def rows(self, since_ms: int) -> list[Row]:
        """Oldest first, the open quarter among them."""
        with self._lock:
            written = list(read_rows(self._folder, since_ms))
            return written + self._rows(self._peek(), self._wall_ms())

    def _rows(self, taken: Taken, to_ms: int) -> list[Row]:
        return [
            Row(intersection=place, control=control, from_ms=self._from_ms, to_ms=to_ms, tally=tally)
            for place, (control, tally) in taken.items()
            if not tally.empty
        ]


def read_rows(folder: Path, since_ms: int) -> Iterator[Row]:
    """Of the files that are there; half a line that a power cut left is passed over."""
    decoder = msgspec.json.Decoder(Row)
    first = datetime.fromtimestamp(max(0, since_ms) / 1000, UTC).strftime("%Y-%m-%d")
    for path in sorted(folder.glob("????-??-??.jsonl")):
        if path.stem < first:
            continue
        with path.open("rb") as file:
            for line in file:
                try:
                    row = decoder.decode(line)
                except (msgspec.MsgspecError, UnicodeDecodeError):
                    log.warning("a line of what shadowing has counted can't be read", file=path.name)
                    continue
                if row.to_ms > since_ms:
                    yield row
