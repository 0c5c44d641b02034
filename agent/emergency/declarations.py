"""What vehicles have declared for this agent's approaches: taken once, and only for as long as it is valid."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from agent.emergency.evidence import Declared
from protocol.ids import ApproachId, BootId, DeviceId
from protocol.messages import Declaration

Refusal = Literal["another boot", "replayed", "unknown approach", "too many senders"]
# Only edge servers may write here, and a site has few.
MOST_SENDERS = 16


@dataclass(frozen=True)
class Standing:
    """until_ms: on the monotonic clock by which it was taken."""

    declared: Declared
    until_ms: int


@dataclass(frozen=True)
class Declarations:
    """sequences: the highest of each sender, for as long as this process runs."""

    standing: Mapping[tuple[ApproachId, DeviceId], Standing] = field(default_factory=dict)
    sequences: Mapping[DeviceId, int] = field(default_factory=dict)


NONE = Declarations()


def take(
    held: Declarations, said: Declaration, boot: BootId, approaches: Collection[ApproachId], mono_ms: int
) -> tuple[Declarations, Refusal | None]:
    """boot, approaches: this agent's own."""
    if said.agent_boot != boot:
        return held, "another boot"
    before = held.sequences.get(said.source)
    if before is None and len(held.sequences) >= MOST_SENDERS:
        return held, "too many senders"
    if before is not None and said.sequence <= before:
        return held, "replayed"
    held = replace(held, sequences={**held.sequences, said.source: said.sequence})
    if said.approach not in approaches:
        return held, "unknown approach"
    key = said.approach, said.source
    standing = {name: one for name, one in held.standing.items() if one.until_ms > mono_ms and name != key}
    if said.valid_ms:
        declared = Declared(said.vehicle, said.authenticated, said.beacons, mono_ms)
        standing[key] = Standing(declared, mono_ms + said.valid_ms)
    return replace(held, standing=standing), None


def on(held: Declarations, approach: ApproachId, mono_ms: int) -> Declared | None:
    """What stands for an approach: the weightiest where several vehicles come by it, the newest of those alike."""
    found = [one.declared for (name, _), one in held.standing.items() if name == approach and one.until_ms > mono_ms]
    return max(found, key=lambda one: (one.beacons, one.authenticated, one.mono_ms), default=None)
