"""The routes by which an event of pre-emption is looked at again, out of the logs."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from fastapi import APIRouter
from pydantic import BaseModel

from edge_server.accounts.need import need
from edge_server.errors import NotKnown
from edge_server.signals.hires_files import FOLDER as HIRES
from edge_server.signals.hires_reading import read_lamps
from edge_server.signals.j2735.numbers import Numbers
from edge_server.signals.preemption import episodes as found_episodes
from edge_server.signals.preemption.episodes import Episode, Frame, Held
from edge_server.signals.preemption.log_file import FILE_NAME
from edge_server.store.reader import StoreReader

# So much of one that still goes on is looked for.
OPEN_MS = 3_600_000


class EpisodeView(BaseModel):
    """id: names it while the log goes on in the same file. ended_ms: null while it goes on."""

    id: str
    intersection: str
    begun_ms: int
    ended_ms: int | None
    vehicles: list[str]
    granted: int


class HeldView(BaseModel):
    vehicle: str
    role: str
    level: str
    approach: str
    egress: str
    phases: list[int]
    left_ms: int | None
    arrives_in_ms: int


class FrameView(BaseModel):
    """One step, with all that was known by then. kind: whose record it comes from."""

    at_ms: int
    kind: Literal["claims", "lamps", "decision"]
    text: str
    holder: HeldView | None
    queue: list[HeldView]
    higher: dict[str, str]
    recovering: int | None
    lamps: dict[int, str]
    commanded: str


class Episodes:
    """The last reading of the log is kept until the log has grown."""

    def __init__(self, home: Path, read: StoreReader, numbers: Numbers) -> None:
        self._path, self._hires, self._read, self._numbers = home / FILE_NAME, home / HIRES, read, numbers
        self._known: tuple[tuple[int, int], list[Episode]] | None = None

    def all(self) -> list[Episode]:
        """Newest first. Raises PreemptionLogBroken (KF321)."""
        try:
            size = self._path.stat()
        except OSError:
            return []
        stamp = (size.st_ino, size.st_size)
        if self._known is None or self._known[0] != stamp:
            self._known = (stamp, found_episodes.episodes(self._path))
        return sorted(self._known[1], key=lambda one: -one.begun_ms)

    def frames(self, name: str) -> list[Frame]:
        """Raises NotKnown (KF92), PreemptionLogBroken (KF321)."""
        one = next((one for one in self.all() if _id(one) == name), None)
        if one is None:
            raise NotKnown(kind="event", name=name[:63])
        until_ms = one.ended_ms or one.begun_ms + OPEN_MS
        number = self._numbers.intersections.get(one.intersection, 0)
        lamps = sorted(read_lamps(self._hires, number, one.begun_ms, until_ms), key=lambda row: row.at_ms)
        decisions = self._read.signal_log_between(one.intersection, one.begun_ms, until_ms)
        return found_episodes.frames(self._path, one.intersection, one.line, lamps, decisions)


def episodes_api(episodes: Episodes) -> APIRouter:
    router = APIRouter(prefix="/api/v1/preemption/episodes", tags=["preemption"])

    @router.get("")
    @need("viewer")
    def listed() -> list[EpisodeView]:
        """Events of pre-emption in the present file of the log, newest first: each from its first claim to normal
        control."""
        return [
            EpisodeView(
                id=_id(one),
                intersection=one.intersection,
                begun_ms=one.begun_ms,
                ended_ms=one.ended_ms,
                vehicles=list(one.vehicles),
                granted=one.granted,
            )
            for one in episodes.all()
        ]

    @router.get("/{episode}")
    @need("viewer")
    def replayed(episode: str) -> list[FrameView]:
        """One event, step by step: claims, lamps, decisions."""
        return [_frame(frame) for frame in episodes.frames(episode)]

    return router


def _id(one: Episode) -> str:
    return f"{one.intersection}-{one.line}"


def _frame(one: Frame) -> FrameView:
    return FrameView(
        at_ms=one.at_ms,
        kind=one.kind,
        text=one.text,
        holder=_held(one.holder) if one.holder is not None else None,
        queue=[_held(claim) for claim in one.queue],
        higher=dict(one.higher),
        recovering=one.recovering,
        lamps={int(phase): aspect for phase, aspect in one.lamps.items()},
        commanded=one.commanded,
    )


def _held(one: Held) -> HeldView:
    return HeldView(
        vehicle=one.vehicle,
        role=one.role,
        level=one.level,
        approach=one.approach,
        egress=one.egress,
        phases=[int(phase) for phase in one.phases],
        left_ms=one.left_ms,
        arrives_in_ms=one.arrives_in_ms,
    )
