"""What can happen to the pre-emption of one intersection, and what it does about it.

Every event that changed something stands in the audit log as it is here, so each carries all that the decision needs:
what a signature was found to be worth, how far a clock was off, whether the vehicle was on shift.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from msgspec import Struct

from protocol.ids import ApproachId, PhaseId
from protocol.messages.priority_status import PriorityAnswer
from protocol.preemption import Evidence, Level, VehicleRole

# What the check of a signature found (edge_server.signals.preemption.signature).
Proof = Literal["verified", "forged", "unsigned", "unknown-vehicle"]
# What outranks us, and is never overridden: the controller's own inputs, or another system.
HigherKind = Literal["railway", "bridge", "other-system"]
Refusal = Literal[
    "forged",
    "unsigned",
    "unknown-vehicle",
    "expired",
    "clock-ahead",
    "replayed",
    "role-not-allowed",
    "off-shift",
    "no-such-route",
    "route-gap",
    "no-evidence",
    "too-often",
    "locked-out",
    "queue-full",
]
Ending = Literal["passed", "lapsed", "cap", "rerouted", "displaced", "outranked", "by-hand", "out-of-sight", "delayed"]


class Event(Struct, frozen=True, kw_only=True, tag_field="event"):
    """at_ms: the log's clock, which never runs backwards."""

    at_ms: int


class Signed(Event, frozen=True, kw_only=True):
    """What a vehicle sends. request: its own number of the request, 0 to 255 (SRM requestID). sequence: rises with each
    message of this vehicle, renewals and cancellations included. mark: tells this very message from another of the same
    number, where its fields here do not. off_ms: its time less ours. on_shift: by the key file."""

    vehicle: str
    request: int = 0
    sequence: int
    mark: str = ""
    off_ms: int = 0
    proof: Proof = "verified"
    on_shift: bool = True


class Request(Signed, frozen=True, kw_only=True, tag=True):
    """The signals are asked for. own_role: it is the one of the key file. egress: where it leaves, None when not told.
    arrives_in_ms: until it is at the stop line, by its own estimate or ours. ahead_ms: how long before that it needs
    the signals, None for as long as is allowed. linked: the leg before leads here. importance: SRM
    RequestImportanceLevel."""

    role: VehicleRole
    own_role: bool = True
    approach: ApproachId
    egress: str | None = None
    arrives_in_ms: int = 0
    ahead_ms: int | None = None
    linked: bool = True
    importance: int = 14
    evidence: tuple[Evidence, ...] = ()


class Renew(Request, frozen=True, kw_only=True, tag=True):
    """The same again. Where the request before it was lost, this one is the request."""


class Cancel(Signed, frozen=True, kw_only=True, tag=True):
    """The vehicle has passed, or needs nothing any more. passed: it had what it asked for; else it drives elsewhere."""

    passed: bool = True


class Tick(Event, frozen=True, kw_only=True, tag=True):
    """Time passes. heard: the controller is. red_ms: for how long each phase that somebody waits for has been without
    green; serving: what is green or walk."""

    heard: bool = False
    red_ms: Mapping[PhaseId, int] = {}
    serving: tuple[PhaseId, ...] = ()


class Observed(Event, frozen=True, kw_only=True, tag=True):
    """What a camera or microphone alone holds of an approach: does an emergency vehicle there ask for way?"""

    approach: ApproachId
    asks: bool


class Higher(Event, frozen=True, kw_only=True, tag=True):
    """A pre-emption that outranks ours began or ended."""

    source: str
    kind: HigherKind
    active: bool


class HandEnded(Event, frozen=True, kw_only=True, tag=True):
    """A person ended or refused what a vehicle holds or waits for."""

    vehicle: str
    by: str
    reason: str


Happening = Request | Renew | Cancel | Tick | Observed | Higher | HandEnded


class Answer(Struct, frozen=True):
    """To the vehicle, as an SSM says it. reason: the refusal or the ending, "" where the status says all."""

    vehicle: str
    request: int
    status: PriorityAnswer
    reason: str = ""


class Granted(Struct, frozen=True):
    """until_ms: the lease's cap, if it is renewed until then."""

    vehicle: str
    request: int
    approach: ApproachId
    until_ms: int
    level: Level


class Ended(Struct, frozen=True):
    """held: it was a lease; else it waited."""

    vehicle: str
    request: int
    approach: ApproachId
    ending: Ending
    level: Level
    held: bool


class Refused(Struct, frozen=True):
    """Of a message that did not come from a vehicle that we know, vehicle is only what it says."""

    vehicle: str
    request: int
    refusal: Refusal


class Recovering(Struct, frozen=True):
    """begun: the others' turn began, or is over."""

    begun: bool


Effect = Answer | Granted | Ended | Refused | Recovering
