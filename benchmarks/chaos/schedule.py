"""Which fault comes when: pure, and the same for the same seed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Literal, get_args

Kind = Literal["link", "broker", "edge", "disk", "camera", "clock", "agent", "controller"]
KINDS: tuple[Kind, ...] = get_args(Kind)
WAYS: dict[Kind, tuple[str, ...]] = {
    "link": ("refused", "black-hole", "slow", "resets"),
    "broker": ("kill", "hang"),
    "edge": ("kill", "hang", "stop"),
    "disk": ("full",),
    "camera": ("gone", "garbage"),
    "clock": ("ahead", "behind"),
    "agent": ("kill", "hang"),
    "controller": ("kill",),
}
LEAST_GAP_S, MOST_GAP_S = 5.0, 8.0
LEAST_S, MOST_S = 1.5, 8.0
LEAST_SHIFT_S, MOST_SHIFT_S = 10.0, 26 * 3600.0
# This share of the faults comes while the one before may still be felt.
OVERLAPPING = 0.2


@dataclass(frozen=True)
class Fault:
    """gap_s: from the beginning of the one before to this one's, at least. waits: also until all is well again.
    lasts_s: 0 for a kill, which is over at once. shift_s: of a clock."""

    kind: Kind
    way: str
    target: str
    gap_s: float
    lasts_s: float
    waits: bool
    shift_s: float = 0.0


def schedule(count: int, seed: str, kinds: Sequence[Kind], agents: Sequence[str]) -> list[Fault]:
    """Each kind comes equally often, give or take one, in random order."""
    random = Random(seed)  # noqa: S311 (a simulation's)
    wanted = [kinds[number % len(kinds)] for number in range(count)]
    random.shuffle(wanted)
    faults: list[Fault] = []
    for kind in wanted:
        fault = _draw(kind, random, agents)
        faults.append(_apart(faults[-1], fault) if faults else fault)
    return faults


def _draw(kind: Kind, random: Random, agents: Sequence[str]) -> Fault:
    way = random.choice(WAYS[kind])
    target = {
        "link": random.choice(("agents", "controllers", "all")),
        "disk": random.choice(("edge", *agents)),
        "clock": random.choice(("edge", *agents)),
        "camera": random.choice(agents),
        "agent": random.choice(agents),
    }.get(kind, kind)
    shift_s = LEAST_SHIFT_S * (MOST_SHIFT_S / LEAST_SHIFT_S) ** random.random()
    return Fault(
        kind,
        way,
        target,
        gap_s=random.uniform(LEAST_GAP_S, MOST_GAP_S),
        lasts_s=0.0 if way in ("kill", "stop") else random.uniform(LEAST_S, MOST_S),
        waits=random.random() >= OVERLAPPING,
        shift_s=(shift_s if way == "ahead" else -shift_s) if kind == "clock" else 0.0,
    )


def _apart(before: Fault, fault: Fault) -> Fault:
    """An agent that can't write keeps its alarms in memory, and says so: to kill it then loses them, as is documented
    (docs/outbox.md). And what is stopped or out of the way already can't fail in another way."""
    same = before.target == fault.target or "edge" in (before.kind, before.target)
    if same and not fault.waits:
        return replace(fault, waits=True)
    return fault
