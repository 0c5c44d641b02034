"""What one server does with a member: answers by itself, and makes answers together with the tiers below it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastapi import APIRouter

from models.assistant.reply import TIERS
from models.engine.port import Engine
from models.errors import MiddleMute, TierUnreachable, WayImpossible
from models.escalation.api import tiers_api
from models.escalation.desk import Identity, SessionDesk
from models.escalation.elsewhere import Elsewhere
from models.escalation.lower import above_of, external_above, identity_of, lower_of
from models.escalation.onward import Onward, Place, open_above, place_of
from models.escalation.port import Above
from models.family.manifest import Tier
from models.serving.api import serving_api
from models.serving.fifo import FifoScheduler
from models.serving.holding import Holding, find_holding, serves
from models.serving.keys import FILE_NAME, KeyFile
from models.serving.port import Scheduler
from models.serving.separation.opening import Opener, opener_of
from models.serving.service import Service
from models.serving.stall_free import StallFreeScheduler
from node.config.schema import Serving
from protocol.tiers import Opening

# A stop that takes longer is noticed; what is still being said then ends in the middle.
DRAIN_S = 5.0


@dataclass(frozen=True)
class Middle:
    """The way up from a tier that takes hidden states. place: as `place_of`. above: the tier above, None for none;
    raises TierUnreachable (KF493). engine: on this tier's own part. The three block."""

    tier: Tier
    place: Callable[[int], Place | None]
    above: Callable[[], Above | None]
    engine: Callable[[Place], Engine]


class Served:
    """go_on: opens a scheduler that goes on behind a block of the whole; raises WayImpossible (KF505). middle: where
    hidden states may be handed on. Each event loop that asks has a desk and schedulers of its own."""

    def __init__(
        self,
        service: Service,
        identity: Callable[[], Identity],
        go_on: Callable[[int], Coroutine[Any, Any, Scheduler]],
        desk: Callable[..., SessionDesk] = SessionDesk,
        middle: Middle | None = None,
    ) -> None:
        self.service, self._identity, self._go_on, self._desk = service, identity, go_on, desk
        self._middle = middle
        self._desks: dict[asyncio.AbstractEventLoop, SessionDesk] = {}
        self._behind: dict[tuple[asyncio.AbstractEventLoop, int, bool], asyncio.Future[Scheduler]] = {}

    def routers(self) -> tuple[APIRouter, APIRouter]:
        return serving_api(self.service), tiers_api(self.desk)

    def drain(self) -> None:
        """Begin no more answers, and give those under way some time to end. Not on a thread that answers."""
        self.service.visits.drain(DRAIN_S)

    def desk(self) -> SessionDesk:
        loop = asyncio.get_running_loop()
        if loop not in self._desks:
            self._desks[loop] = self._desk(self._identity, self._open_way, pass_on=self._pass_on)
        return self._desks[loop]

    async def close(self) -> None:
        """What this event loop has opened."""
        loop = asyncio.get_running_loop()
        desk = self._desks.pop(loop, None)
        if desk is not None:
            await desk.close_all()
        for key in [key for key in self._behind if key[0] is loop]:
            await (await self._behind.pop(key)).close()
        await self.service.close()

    async def _open_way(self, way: str, after: int) -> Scheduler:
        if way == "draft":
            scheduler = await self.service.scheduler()
            if not scheduler.facts.takes_tokens:
                raise WayImpossible(way=way, detail="the member here begins behind the first block of its whole")
            return scheduler
        return await self._kept(after, False, lambda: self._go_on(after))

    async def _pass_on(self, asked: Opening) -> tuple[Onward | None, str]:
        """A session above for one here, or what keeps it from being. Raises MiddleMute (KF410) where this tier can't do
        without, and what opening weights does."""
        middle = self._middle
        place = None if middle is None or asked.way != "hidden" else await asyncio.to_thread(middle.place, asked.after)
        if middle is None or place is None:
            return None, ""
        why = ""
        if TIERS.index(asked.max_tier) > TIERS.index(middle.tier):
            try:
                if (above := await asyncio.to_thread(middle.above)) is not None and above.same_family:
                    return await self._onward(middle, place, above, asked), ""
            except TierUnreachable as error:
                why = error.cause_text.rstrip(".")
        if place.file is None:
            raise MiddleMute(detail=why or "no tier above it is set and allowed")
        return None, why

    async def _onward(self, middle: Middle, place: Place, above: Above, asked: Opening) -> Onward:
        async def make() -> Scheduler:
            return await StallFreeScheduler.open(lambda: middle.engine(place))

        try:
            scheduler = await self._kept(asked.after, True, make)
            opened = await asyncio.to_thread(open_above, above, asked, place.after)
        except BaseException:
            above.close()
            raise
        return Onward(above, scheduler, asked.source, place.after, opened)

    async def _kept(self, after: int, hands_on: bool, make: Callable[[], Coroutine[Any, Any, Scheduler]]) -> Scheduler:
        key = asyncio.get_running_loop(), after, hands_on
        found = self._behind.get(key)
        if found is None:
            found = self._behind[key] = asyncio.ensure_future(make())
        try:
            return await asyncio.shield(found)
        except Exception:
            self._behind.pop(key, None)
            raise


def nothing_served() -> tuple[APIRouter, APIRouter]:
    """The same routes, where no family is set."""
    return serving_api(None), tiers_api(None)


class Finder:
    """The holding, looked for when it is first needed: what is wrong with a family is told to who asks it, and keeps no
    server from starting."""

    def __init__(self, find: Callable[[], Holding]) -> None:
        self._find = find
        self._lock = threading.Lock()
        self._found: Holding | None = None

    def holding(self) -> Holding:
        with self._lock:
            if self._found is None:
                self._found = self._find()
            return self._found

    def close(self) -> None:
        with self._lock:
            if self._found is not None:
                self._found.close()


def served_of(home: Path, settings: Serving, tier: Tier) -> Served | None:
    """None where there is no family to look for."""
    if not serves(settings):
        return None

    def above(holding: Holding) -> Above | None:
        return above_of(home, settings, tier) or external_above(holding, settings, tier)

    keys = KeyFile(home / FILE_NAME)
    return served(lambda: find_holding(home, settings, tier), tier, above, opener_of(home, settings), keys)


def served(
    find: Callable[[], Holding],
    tier: Tier = "edge",
    above: Callable[[Holding], Above | None] = lambda _: None,
    opener: Opener = StallFreeScheduler.open,
    keys: KeyFile | None = None,
) -> Served:
    """above: the tier that may be asked by this one, for each answer anew. opener: of the scheduler on the member.
    keys: of programs that may ask."""
    finder = Finder(find)

    async def make() -> Scheduler:
        return await opener(lambda: finder.holding().engine())

    async def go_on(after: int) -> Scheduler:
        return await StallFreeScheduler.open(lambda: _behind(finder.holding(), after))

    def elsewhere() -> Elsewhere:
        return Elsewhere(tier, lambda: lower_of(finder.holding(), tier), lambda: above(finder.holding()))

    async def alone() -> Scheduler:
        return await FifoScheduler.open(lambda: finder.holding().engine(sequences=1))

    async def embeddings() -> Scheduler:
        return await FifoScheduler.open(lambda: _tapped(finder.holding()))

    service = Service(
        lambda: finder.holding().name,
        make,
        after=finder.close,
        tier=tier,
        elsewhere=elsewhere,
        alone=alone,
        embeddings=embeddings,
        keys=keys,
    )
    middle = Middle(
        tier,
        lambda after: place_of(finder.holding(), after),
        lambda: above(finder.holding()),
        lambda place: finder.holding().engine(place.file, tap=place.tap),
    )
    return Served(service, lambda: identity_of(finder.holding()), go_on, middle=middle)


def _tapped(holding: Holding) -> Engine:
    """The member, its last block to be read."""
    return holding.engine(sequences=1, tap=holding.blocks() - 1)


def _behind(holding: Holding, after: int) -> Engine:
    """A continuation of the member, or the member itself where it is a segment that begins there."""
    continuation = holding.continuation(after)
    if continuation is not None:
        return holding.engine(continuation.file)
    if holding.manifest.realisation == "segments":
        engine = holding.engine()
        if engine.facts.first_block == after + 1 and engine.facts.gives_logits:
            return engine
        engine.close()
    raise WayImpossible(
        way="hidden", detail=f"{holding.member.name} has no continuation behind block {after} in this family"
    )
