"""How a version reaches a fleet: by stages, each waiting for the one before, and stopping when too many fail.

Pure: what is asked of whom follows from the rollout and from who is there. Which devices come first is decided by a
hash of the rollout's and the device's ids, so it stays the same across restarts, another rollout begins with other
devices, and a later stage holds every earlier one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Annotated, Literal

from msgspec import Meta, Struct
from msgspec.structs import replace

from protocol.ids import DeviceId, MessageId

STAGES_PERCENT = (1, 10, 100)
FAILURE_PERCENT = 20
# A device that says nothing for so long has not come back from its update.
PATIENCE_MS = 2 * 3_600_000

Status = Literal["running", "paused", "aborted", "done"]
MemberState = Literal["asked", "successful", "failed"]
Action = Literal["pause", "resume", "abort"]


class Seen(Struct, frozen=True, kw_only=True):
    """A device as the registry knows it now. version: that it runs, None when it does not say."""

    present: bool
    version: str | None


class Member(Struct, frozen=True, kw_only=True):
    """A device that was asked. command: None until the question is on its way. code: why it failed, for programs."""

    state: MemberState
    asked_ms: int
    command: MessageId | None = None
    code: str = ""
    reason: str = ""


class Rollout(Struct, frozen=True, kw_only=True):
    """stage counts from 0. forgiven: failures that an operator has gone on after. why: the latest change in words."""

    id: str
    version: str
    started_ms: int
    stages_percent: tuple[Annotated[int, Meta(ge=1, le=100)], ...] = STAGES_PERCENT
    failure_percent: Annotated[int, Meta(ge=0, le=100)] = FAILURE_PERCENT
    stage: int = 0
    status: Status = "running"
    members: dict[DeviceId, Member] = {}
    forgiven: int = 0
    why: str = ""

    @property
    def percent(self) -> int:
        return self.stages_percent[min(self.stage, len(self.stages_percent) - 1)]


class Ask(Struct, frozen=True):
    """Effect: tell this device to install the version."""

    device: DeviceId
    version: str


def chosen(rollout: Rollout, fleet: Iterable[DeviceId]) -> frozenset[DeviceId]:
    """Who belongs to the present stage: at least one device, where there is any."""
    places = {device: _place(rollout.id, device) for device in fleet}
    if not places:
        return frozenset()
    inside = {device for device, place in places.items() if place < rollout.percent * 100}
    return frozenset(inside or {min(places, key=lambda device: (places[device], device))})


def plan(rollout: Rollout, fleet: Mapping[DeviceId, Seen], now_ms: int) -> tuple[Rollout, tuple[Ask, ...]]:
    """Give up on who is silent, pause when too many have failed, go on to the next stage, and ask whoever is next."""
    if rollout.status != "running":
        return rollout, ()
    rollout = _give_up(rollout, now_ms)
    while True:
        stage = chosen(rollout, fleet)
        if (paused := _pause(rollout, stage)) is not None:
            return paused, ()
        asks = tuple(
            Ask(device, rollout.version)
            for device in sorted(stage)
            if device not in rollout.members and fleet[device].present and fleet[device].version != rollout.version
        )
        if asks:
            members = {one.device: Member(state="asked", asked_ms=now_ms) for one in asks}
            return replace(rollout, members={**rollout.members, **members}), asks
        if not _is_complete(rollout, fleet, stage):
            return rollout, ()
        if rollout.stage + 1 >= len(rollout.stages_percent):
            return replace(rollout, status="done", why="every device that is there has it"), ()
        rollout = replace(rollout, stage=rollout.stage + 1, why=f"{rollout.percent} % have it; the next stage begins")


def on_its_way(rollout: Rollout, device: DeviceId, command: MessageId) -> Rollout:
    member = rollout.members.get(device)
    if member is None or member.state != "asked":
        return rollout
    return replace(rollout, members={**rollout.members, device: replace(member, command=command)})


def not_asked(rollout: Rollout, device: DeviceId) -> Rollout:
    """The question could not be sent: it is asked again."""
    members = {name: member for name, member in rollout.members.items() if name != device}
    return replace(rollout, members=members)


def answered(rollout: Rollout, device: DeviceId, command: MessageId, successful: bool, reason: str) -> Rollout:
    """A device has told the end. A word on a command that is not this rollout's changes nothing."""
    member = rollout.members.get(device)
    if member is None or member.command != command:
        return rollout
    code, _, text = reason.partition(": ")
    ended = replace(
        member,
        state="successful" if successful else "failed",
        code="" if successful else (code or "failed"),
        reason="" if successful else (text or reason),
    )
    return replace(rollout, members={**rollout.members, device: ended})


def act(rollout: Rollout, action: Action, who: str) -> Rollout:
    """What an operator decides. Resuming forgives the failures so far; an end is an end."""
    if rollout.status in {"aborted", "done"}:
        return rollout
    match action:
        case "pause":
            return replace(rollout, status="paused", why=f"paused by {who}")
        case "resume":
            failed = sum(one.state == "failed" for one in rollout.members.values())
            return replace(rollout, status="running", forgiven=failed, why=f"resumed by {who}")
        case "abort":
            return replace(rollout, status="aborted", why=f"aborted by {who}")


def _place(salt: str, device: DeviceId) -> int:
    """0 to 9999, evenly."""
    return int.from_bytes(hashlib.sha256(f"{salt}/{device}".encode()).digest()[:8]) % 10_000


def _give_up(rollout: Rollout, now_ms: int) -> Rollout:
    late = {
        device: replace(member, state="failed", code="silent", reason="it has not answered for two hours")
        for device, member in rollout.members.items()
        if member.state == "asked" and now_ms - member.asked_ms > PATIENCE_MS
    }
    return replace(rollout, members={**rollout.members, **late}) if late else rollout


def _pause(rollout: Rollout, stage: frozenset[DeviceId]) -> Rollout | None:
    failed = [member for member in rollout.members.values() if member.state == "failed"]
    asked = max(1, len(rollout.members), len(stage & rollout.members.keys()))
    if (len(failed) - rollout.forgiven) * 100 <= rollout.failure_percent * asked:
        return None
    codes = ", ".join(sorted({member.code for member in failed}))
    why = f"{len(failed)} of {len(rollout.members)} devices failed ({codes})"
    return replace(rollout, status="paused", why=why)


def _is_complete(rollout: Rollout, fleet: Mapping[DeviceId, Seen], stage: frozenset[DeviceId]) -> bool:
    """Nobody is under way, and at least one device has it: a stage whose devices are all away proves nothing."""
    if any(member.state == "asked" for member in rollout.members.values()):
        return False
    has_it = any(
        fleet[device].version == rollout.version
        or (device in rollout.members and rollout.members[device].state == "successful")
        for device in stage
    )
    everybody = all(fleet[device].present or device in rollout.members for device in stage)
    last = rollout.stage + 1 >= len(rollout.stages_percent)
    return not stage or (has_it and (everybody or not last))
