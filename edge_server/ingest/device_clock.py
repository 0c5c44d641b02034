"""How old a message is, told by its device's monotonic clock alone.

The smallest difference ever seen between our clock at receipt and the device's at sending belongs to the message that
waited least: whatever a later one shows beyond it is time that it waited. The estimate may rise by DRIFT, because two
quartz clocks drift apart by up to some ten seconds a day.
"""

from __future__ import annotations

from msgspec import Struct

DRIFT = 1e-4
SETTLED_AFTER_MS = 3_000
STEP_MS = 1_000


class DeviceClock(Struct, frozen=True):
    """offset_ms: our monotonic clock less the device's. since_ms: our clock when the estimate last stood a step higher
    than settled_ms: a backlog that drains lowers it with each message, so until it rests no age can be believed."""

    offset_ms: float
    at_ms: int
    since_ms: int
    settled_ms: float

    def age_ms(self, device_mono_ms: int, received_mono_ms: int) -> int:
        return max(0, round(received_mono_ms - device_mono_ms - self.offset_ms))

    def settled(self, now_mono_ms: int) -> bool:
        return now_mono_ms - self.since_ms >= SETTLED_AFTER_MS


def observe(clock: DeviceClock | None, device_mono_ms: int, received_mono_ms: int, fresh: bool = False) -> DeviceClock:
    """The estimate after one more message. fresh: it can't have waited (a birth as it happens), so it settles this."""
    seen = float(received_mono_ms - device_mono_ms)
    if clock is None:
        clock = DeviceClock(seen, received_mono_ms, received_mono_ms, seen)
    risen = clock.offset_ms + max(0, received_mono_ms - clock.at_ms) * DRIFT
    offset_ms = min(risen, seen)
    if fresh:
        return DeviceClock(offset_ms, received_mono_ms, received_mono_ms - SETTLED_AFTER_MS, offset_ms)
    if offset_ms < clock.settled_ms - STEP_MS:
        return DeviceClock(offset_ms, received_mono_ms, received_mono_ms, offset_ms)
    return DeviceClock(offset_ms, received_mono_ms, clock.since_ms, max(clock.settled_ms, offset_ms))
