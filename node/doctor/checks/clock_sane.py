from __future__ import annotations

from datetime import UTC, datetime

from node.doctor.check import Context
from node.errors import ClockInsane
from node.time.plausible import EARLIEST, LATEST


class ClockSane:
    title = "The clock can be right"
    error = ClockInsane

    def run(self, context: Context) -> str:
        try:
            now = datetime.fromtimestamp(context.clock.wall_ms() / 1000, UTC)
        except (ValueError, OverflowError) as error:
            raise ClockInsane(now=f"{context.clock.wall_ms()} ms") from error
        text = f"{now:%Y-%m-%d %H:%M:%S} UTC"
        if not EARLIEST <= now < LATEST:
            raise ClockInsane(now=text)
        return f"{text}."
