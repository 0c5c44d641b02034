"""The scheduler that the settings ask for: with a prefill worker, or without."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from models.engine.port import Engine
from models.serving.port import Scheduler
from models.serving.prefix.opened import pool_of
from models.serving.separation.scheduler import SeparatedScheduler
from models.serving.separation.secret import FILE
from models.serving.stall_free import StallFreeScheduler
from node.config.schema import Serving

Opener = Callable[[Callable[[], Engine]], Coroutine[Any, Any, Scheduler]]


def opener_of(home: Path, settings: Serving) -> Opener:
    """What opens a scheduler on the engine that it is given. The worker need not be there: it is looked for over and
    over."""

    async def alone(make: Callable[[], Engine]) -> Scheduler:
        return await StallFreeScheduler.open(make, pool=await asyncio.to_thread(pool_of, home, settings))

    if not settings.prefill:
        return alone
    secret_file = Path(settings.prefill_secret_file) if settings.prefill_secret_file else home / FILE

    async def opened(make: Callable[[], Engine]) -> Scheduler:
        pool = await asyncio.to_thread(pool_of, home, settings)
        return await SeparatedScheduler.open_with(make, settings.prefill, secret_file, pool)

    return opened
