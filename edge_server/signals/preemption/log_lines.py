"""The lines of the log of pre-emption: every step that changed something, each chained to the one before.

A line is `HASH JSON`. HASH is SHA-256 of the hash of the line before and of this line's JSON, in hexadecimal; so no
line can be changed, taken out or put in without every later one showing it. What could be cut off unseen is the end.
`after` is a digest of the state that the step led to: a replay has to arrive at the same.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import msgspec
from msgspec import Struct

from edge_server.errors import PreemptionLogBroken
from edge_server.signals.preemption import admission, arbitration, events, machine
from edge_server.signals.preemption import state as states
from edge_server.signals.preemption.events import Effect, Happening
from edge_server.signals.preemption.machine import step
from edge_server.signals.preemption.state import State
from protocol.ids import IntersectionId, SiteId

BEGIN = "0" * 64
# What decides: a log that another edition wrote can be checked for its chain, and not replayed.
_DECIDING = (admission, arbitration, events, machine, states)


class Begun(Struct, frozen=True, kw_only=True, tag=True):
    """The first line of each file. before: the last hash of the file before, BEGIN where there was none."""

    at_ms: int
    before: str
    edition: str


class Opened(Struct, frozen=True, kw_only=True, tag=True):
    """What an intersection's story goes on from: at a first start, under new terms, or in a new file."""

    at_ms: int
    intersection: IntersectionId
    state: State


class Stepped(Struct, frozen=True, kw_only=True, tag=True):
    intersection: IntersectionId
    event: Happening
    after: str


class Unwritten(Struct, frozen=True, kw_only=True, tag=True):
    """So many refusals of forged messages were not written one by one: there were too many within a minute."""

    at_ms: int
    count: int


class Routed(Struct, frozen=True, kw_only=True, tag=True):
    """A vehicle's route, each time that it leads elsewhere than before: where it was planned, to which sites it was
    handed on, at which leg it breaks and why, and which neighbour handed it over ("": the vehicle sent it here)."""

    at_ms: int
    vehicle: str
    legs: tuple[IntersectionId, ...]
    onward: tuple[SiteId, ...]
    fault: tuple[int, str] | None = None
    by: str = ""


Line = Begun | Opened | Stepped | Unwritten | Routed
_DECODER: msgspec.json.Decoder[Line] = msgspec.json.Decoder(Line)


@dataclass(frozen=True)
class Told:
    """One step as a replay finds it."""

    number: int
    intersection: IntersectionId
    event: Happening
    effects: tuple[Effect, ...]


@dataclass
class Reading:
    """What a file's lines lead to. head: the hash of the last. size_bytes: of what is whole; a power cut may leave half
    a line behind it."""

    states: dict[IntersectionId, State] = field(default_factory=dict)
    lines: int = 0
    head: str = BEGIN
    size_bytes: int = 0
    begun: Begun | None = None


@cache
def edition() -> str:
    """Of the code that decides, by its text."""
    text = b"".join(Path(str(one.__file__)).read_bytes() for one in _DECIDING)
    return hashlib.sha256(text).hexdigest()[:16]


def digest(state: State) -> str:
    return hashlib.sha256(msgspec.json.encode(state)).hexdigest()[:16]


def chained(line: Line, head: str) -> tuple[bytes, str]:
    """A line as it is written after the one with the hash `head`, and its own hash."""
    body = msgspec.json.encode(line)
    after = _hash(head, body)
    return after.encode("ascii") + b" " + body + b"\n", after


def read_lines(path: Path, reading: Reading) -> Iterator[Line]:
    """The whole lines of a file, the chain checked. Raises PreemptionLogBroken (KF321) at the first that breaks it."""
    with path.open("rb") as file:
        for raw in file:
            if not raw.endswith(b"\n"):
                return  # half a line: what it told was not done
            number = reading.lines + 1
            head, _, body = raw[:-1].partition(b" ")
            after = _hash(reading.head, body)
            if head.decode("latin-1") != after:
                raise PreemptionLogBroken(path=path, line=number, detail="it does not follow from the line before")
            line = _decode(path, number, body)
            if isinstance(line, Begun):
                reading.begun = line
            reading.lines, reading.head = number, after
            reading.size_bytes += len(raw)
            yield line


def replay(path: Path, reading: Reading) -> Iterator[Told]:
    """Each step, in order; `reading` holds what they led to. Raises PreemptionLogBroken (KF321), also for a step that
    leads elsewhere than it did."""
    for line in read_lines(path, reading):
        if isinstance(line, Opened):
            reading.states[line.intersection] = line.state
        elif isinstance(line, Stepped):
            yield _replay_step(path, line, reading)


def _replay_step(path: Path, line: Stepped, reading: Reading) -> Told:
    before = reading.states.get(line.intersection)
    if before is None:
        raise PreemptionLogBroken(path=path, line=reading.lines, detail=f"{line.intersection} was never opened")
    state, effects = step(before, line.event)
    if digest(state) != line.after:
        raise PreemptionLogBroken(path=path, line=reading.lines, detail="its step leads to another state than it did")
    reading.states[line.intersection] = state
    return Told(reading.lines, line.intersection, line.event, effects)


def _decode(path: Path, number: int, body: bytes) -> Line:
    try:
        return _DECODER.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise PreemptionLogBroken(path=path, line=number, detail=str(error)[:200]) from error


def _hash(before: str, body: bytes) -> str:
    return hashlib.sha256(before.encode("ascii") + body).hexdigest()
