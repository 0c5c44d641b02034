"""An assistant for the page's tests: a small world, and an understanding that knows some questions by heart."""

from __future__ import annotations

import threading
from pathlib import Path

from agent.page.assistant import PageAssistant, Parts
from models.assistant.desk import Desk
from models.assistant.understanding.choice import Choice, Entities
from node.clock import SystemClock
from tests.models.assistant.doubles import ByHeart, SmallFacts


class Slow(ByHeart):
    """Thinks about the question `slowly` until it is let go."""

    def __init__(self, go_on: threading.Event) -> None:
        super().__init__()
        self._go_on = go_on

    def choose(self, question: str, entities: Entities) -> Choice:
        if question == "slowly":
            self._go_on.wait(30)
        return super().choose(question, entities)


def by_heart(
    home: Path,
    facts: SmallFacts | None = None,
    go_on: threading.Event | None = None,
    tiers: tuple[str, ...] = ("device",),
) -> PageAssistant:
    clock = SystemClock()
    given, world = go_on or threading.Event(), facts or SmallFacts()
    return PageAssistant(lambda: Parts(Desk(home, clock, open_=lambda: Slow(given)), world, tiers, clock.wall_ms))
