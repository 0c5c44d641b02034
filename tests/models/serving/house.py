"""A member behind a door of its own on loopback, for clients that know no other way in."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from models.engine.fake import FakeEngine
from models.engine.port import Engine
from models.escalation.desk import Identity
from models.escalation.served import Served
from models.serving.fifo import FifoScheduler
from models.serving.service import Service
from models.serving.stall_free import StallFreeScheduler
from tests.models.escalation.tiers import listening


def served(make: Callable[[], Engine], name: str = "fake", **more: object) -> Served:
    """Of any engine; alone: that of one sequence."""

    async def opened() -> FifoScheduler:
        return await StallFreeScheduler.open(make)

    async def go_on(after: int) -> FifoScheduler:
        raise AssertionError(after)

    return Served(Service(name, opened, **more), lambda: Identity(name, "1", "a" * 64, "", name), go_on)  # type: ignore[arg-type]


def fake(sequences: int = 4, context_tokens: int = 4096) -> Served:
    return served(lambda: FakeEngine(sequences=sequences, context_tokens=context_tokens))


@contextmanager
def door(house: Served) -> Iterator[str]:
    """Its address."""
    with listening(house) as port:
        yield f"http://127.0.0.1:{port}"


@contextmanager
def until(limit_s: float = 20.0) -> Iterator[Callable[[], bool]]:
    """For loops that wait for something: true until it has taken too long, which fails."""
    end_s = time.monotonic() + limit_s

    def look() -> bool:
        assert time.monotonic() < end_s
        time.sleep(0.01)
        return True

    yield look
