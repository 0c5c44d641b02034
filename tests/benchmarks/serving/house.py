"""A real server of ours with the fake engine, on a port of its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

from models.engine.fake import FakeEngine
from models.escalation.served import Served
from models.escalation.standalone import TierServer
from models.serving.service import Service
from models.serving.stall_free import StallFreeScheduler

TOKEN = "t" * 40


@contextmanager
def serving(sequences: int = 4, context_tokens: int = 4096) -> Iterator[str]:
    """Its address."""

    async def make() -> Any:
        return await StallFreeScheduler.open(lambda: FakeEngine(sequences=sequences, context_tokens=context_tokens))

    def nobody(*_: object) -> NoReturn:
        raise AssertionError("there is no other tier")

    server = TierServer(Served(Service("fake", make), nobody, nobody), 0, TOKEN)
    server.start()
    try:
        yield f"http://127.0.0.1:{server.port}"
    finally:
        server.stop()
