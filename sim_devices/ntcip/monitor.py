"""The simulated cabinet's malfunction monitor (NEMA TS 2: MMU).

It watches what the lamps get, knows nothing of why, and shares no code with the controller's rings or with the edge's
safety check. What it finds, it keeps until it is reset.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

# The programming card: channels that may be lit together. Everything else is a conflict.
PERMITTED = frozenset({(1, 5), (1, 6), (2, 5), (2, 6), (3, 7), (3, 8), (4, 7), (4, 8)})
# TS 2 4.4.3.5: a yellow below 2.7 s is a fault.
YELLOW_LEAST_MS = 2_700

# What a phase's heads get: vehicle (green, yellow, red), pedestrian (walk, clear, dont-walk).
Output = tuple[str, str]


@dataclass(frozen=True)
class Monitor:
    """yellow_ms: since when each yellow has been lit."""

    yellow_ms: Mapping[int, int] = field(default_factory=dict)
    tripped: str | None = None


def watch(monitor: Monitor, outputs: Mapping[int, Output], now_ms: int) -> Monitor:
    if monitor.tripped is not None:
        return monitor
    lit = sorted(one for one, (vehicle, walk) in outputs.items() if vehicle != "red" or walk != "dont-walk")
    for at, one in enumerate(lit):
        for other in lit[at + 1 :]:
            if (one, other) not in PERMITTED:
                return Monitor(tripped=f"conflict of channels {one} and {other}")
    yellow = {one: monitor.yellow_ms.get(one, now_ms) for one, (vehicle, _) in outputs.items() if vehicle == "yellow"}
    for one, since_ms in monitor.yellow_ms.items():
        if one not in yellow and now_ms - since_ms < YELLOW_LEAST_MS:
            return Monitor(tripped=f"short yellow on channel {one}")
    return Monitor(yellow)
