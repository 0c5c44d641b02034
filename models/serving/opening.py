"""From settings to what a server mounts."""

from __future__ import annotations

from pathlib import Path

from models.family.manifest import Tier
from models.serving.fifo import FifoScheduler
from models.serving.holding import Holding, find_holding
from models.serving.port import Scheduler
from models.serving.service import Service
from node.config.schema import Serving


def service_of(home: Path, settings: Serving, tier: Tier) -> Service | None:
    """None where no family is set. Raises NothingServed (KF500), ManifestWrong (KF403)."""
    holding = find_holding(home, settings, tier)
    return None if holding is None else serve(holding)


def serve(holding: Holding) -> Service:
    async def make() -> Scheduler:
        return await FifoScheduler.open(holding.engine)

    return Service(holding.name, make, after=holding.close)
