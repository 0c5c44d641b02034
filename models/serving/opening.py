"""From a family's member to a service of it."""

from __future__ import annotations

from models.serving.holding import Holding
from models.serving.port import Scheduler
from models.serving.service import Service
from models.serving.stall_free import StallFreeScheduler


def serve(holding: Holding) -> Service:
    async def make() -> Scheduler:
        return await StallFreeScheduler.open(holding.engine)

    return Service(holding.name, make, after=holding.close)
