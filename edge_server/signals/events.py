"""What steering adds to the edge server's bus."""

from __future__ import annotations

from msgspec import Struct

from edge_server.events import Event
from edge_server.signals.modes.mode import Setting
from edge_server.signals.preemption.state import State
from protocol.ids import IntersectionId, PhaseId
from protocol.messages import SignalCommand


class SignalCommanded(Event, frozen=True, kw_only=True, tag=True):
    """A command was handed to the link; whether it is obeyed is in the heartbeats."""

    command: SignalCommand
    sent_ms: int


class ModeChanged(Event, frozen=True, kw_only=True, tag=True):
    intersection: IntersectionId
    setting: Setting


class WouldCommand(Event, frozen=True, kw_only=True, tag=True):
    """What would be commanded where nothing is; agrees: the signals show or head for it by themselves."""

    intersection: IntersectionId
    controller: str
    phases: tuple[PhaseId, ...]
    reason: str
    overruled: bool
    agrees: bool
    at_ms: int


class PreemptionChanged(Event, frozen=True, kw_only=True, tag=True):
    """shift_ms: the wall clock less the clock of the log of pre-emption, on which the state's times are."""

    state: State
    shift_ms: int


class Proposed(Struct, frozen=True, kw_only=True):
    """A proposal to operators, or what one has confirmed. ends_ms: wall clock; by then it has expired, or is over."""

    id: str
    stage: str
    phases: tuple[PhaseId, ...]
    controller: str
    reason: str
    ends_ms: int
    confirmed: bool


class AdviceChanged(Event, frozen=True, kw_only=True, tag=True):
    intersection: IntersectionId
    proposal: Proposed | None
