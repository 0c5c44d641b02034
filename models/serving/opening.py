"""From a family's member to a service of it."""

from __future__ import annotations

from models.serving.fifo import FifoScheduler
from models.serving.holding import Holding
from models.serving.port import Scheduler
from models.serving.service import Service


def serve(holding: Holding) -> Service:
    async def make() -> Scheduler:
        return await FifoScheduler.open(holding.engine)

    return Service(holding.name, make, after=holding.close)
