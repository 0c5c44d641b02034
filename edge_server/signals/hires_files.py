"""The files of the high-resolution event log: one a day, `hires/2026-11-29.csv` in the state folder."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

import structlog

from edge_server.events import Event, HeartbeatReceived
from edge_server.signals.hires import HiresEvent, of_effects, of_views
from edge_server.signals.j2735.numbers import Numbers
from edge_server.signals.preemption.events import Effect
from edge_server.signals.view import View
from protocol.ids import IntersectionId
from protocol.site import Site

HEAD = "SignalID,Timestamp,EventCode,EventParam\n"
FOLDER = "hires"
KEPT_FILES = 30
# About 20 intersections' day; a site that fills it loses the evening, and no disk.
DAY_BYTES = 20_000_000

log = structlog.get_logger("edge.hires")


class HiresFiles:
    """Safe from any thread. Times are UTC, to the millisecond. What can't be written is left out, which is said
    once."""

    def __init__(self, folder: Path, site: Site) -> None:
        self._folder = folder
        self._numbers = Numbers.of(site)
        self._pedestrians = {
            one.id: frozenset(phase.id for phase in one.phases if phase.kind == "pedestrian")
            for one in site.intersections
        }
        self._views: dict[IntersectionId, View] = {}
        self._lock = threading.Lock()
        self._day = ""
        self._failing = False

    def handle(self, event: Event) -> None:
        """A heartbeat, from the edge's bus."""
        if not isinstance(event, HeartbeatReceived) or event.heartbeat.intersection not in self._pedestrians:
            return
        place = event.heartbeat.intersection
        view = View.of(event.heartbeat, event.received_mono_ms)
        before = self._views.get(place)
        self._views[place] = view
        if before is not None:
            self._write(place, of_views(before, view, self._pedestrians[place], event.received_ms))

    def told(self, place: IntersectionId, effects: Iterable[Effect], wall_ms: int) -> None:
        """What the pre-emption did."""
        self._write(place, of_effects(place, effects, self._numbers, wall_ms))

    def _write(self, place: IntersectionId, events: list[HiresEvent]) -> None:
        if not events:
            return
        number = self._numbers.intersections[place]
        with self._lock:
            try:
                for event in events:
                    at = datetime.fromtimestamp(event.at_ms / 1000, UTC)
                    stamp = at.isoformat(sep=" ", timespec="milliseconds").removesuffix("+00:00")
                    self._append(stamp[:10], f"{number},{stamp},{event.code},{event.param}\n")
                self._failing = False
            except OSError as error:
                if not self._failing:
                    log.warning("the high-resolution log can't be written", detail=str(error))
                self._failing = True

    def _append(self, day: str, line: str) -> None:
        if day != self._day:
            self._folder.mkdir(parents=True, exist_ok=True)
            for old in sorted(self._folder.glob("????-??-??.csv"))[:-KEPT_FILES]:
                old.unlink(missing_ok=True)
            self._day = day
        path = self._folder / f"{day}.csv"
        with path.open("a", encoding="ascii") as file:
            size_bytes = file.tell()
            if not size_bytes:
                file.write(HEAD)
            if size_bytes < DAY_BYTES:
                file.write(line)
