"""The way to a prefill worker: kept open, measured, and left alone for a while when it fails."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from models.engine.port import Facts, Portion
from models.errors import PrefillGarbled, PrefillLost
from models.serving.separation.channel import Channel, connect
from models.serving.separation.collect import Collected, take
from models.serving.separation.cost import PIECE_ROWS, Link, Worker
from models.serving.separation.identity import identity_of, most_token_bytes, require_ranges, require_same
from models.serving.separation.secret import read_secret
from protocol.errors import KinflowError
from protocol.kv_frames import Ask, Done, Frame, Ping, Pong, Ready, Refusal, Speed, packed

log = logging.getLogger(__name__)
PING_S = 60.0
PROBE_BYTES = 256 * 1024
PROBE_S = 15.0
FIRST_WAIT_S, LONGEST_WAIT_S = 1.0, 60.0
# A sample this small tells nothing of a link.
TELLING_BYTES = 64 * 1024
KEPT = 0.5
# Between two frames: as long as a worker may compute at a piece, with room for a machine that is busy.
LEAST_SILENCE_S, SILENCE_FACTOR = 5.0, 16.0
AHEAD = 4


@dataclass
class _Open:
    """A connection to a worker that fits, and what is known of both."""

    channel: Channel
    limit_tokens: int
    worker: Worker
    asked: int = 0


class Fetcher:
    """where: host:port of the worker. facts: of the engine here. Belongs to one event loop."""

    def __init__(self, where: str, secret_file: Path, facts: Facts) -> None:
        self.where = where
        self._secret_file, self._facts = secret_file, facts
        self._identity = identity_of(facts)
        self._open: _Open | None = None
        self._turn = asyncio.Lock()
        self._broken = asyncio.Event()
        self._told = ""
        self._keeping: asyncio.Task[None] | None = None
        self.ahead_s = 0.0

    def start(self) -> None:
        self._keeping = asyncio.create_task(self._keep())

    async def close(self) -> None:
        if self._keeping is not None:
            self._keeping.cancel()
            await asyncio.wait([self._keeping])
        self._drop()

    @property
    def worker(self) -> Worker | None:
        """As measured; None while there is no way to it."""
        return None if self._open is None else self._open.worker

    @property
    def limit_tokens(self) -> int:
        return 0 if self._open is None else self._open.limit_tokens

    def adopted(self, tokens: int, seconds: float) -> None:
        """So long it took to put a range into a context here."""
        if self._open is not None:
            known, found = self._open.worker.adopt_s, seconds / tokens
            self._open.worker = replace(self._open.worker, adopt_s=_mixed(known, found) if known else found)

    async def fetch(
        self, tokens: Sequence[int], held: int, expected_s: float, deadline_s: float
    ) -> AsyncIterator[Portion]:
        """Ranges behind the first `held`, in order, up to the last token but one. deadline_s: by the loop's monotonic
        clock. Only when this has ended without an error are they all there. Raises PrefillLost (KF527),
        PrefillGarbled (KF528), MessageMalformed (KF11), MessageTooLarge (KF12)."""
        self.ahead_s += expected_s
        try:
            async with self._own_turn(deadline_s) as opened:
                portions: asyncio.Queue[Portion | None] = asyncio.Queue(AHEAD)
                reading = asyncio.create_task(self._read(opened, tokens, held, deadline_s, portions))
                try:
                    while (portion := await portions.get()) is not None:
                        yield portion
                    await reading
                finally:
                    reading.cancel()
                    await asyncio.gather(reading, return_exceptions=True)
        finally:
            self.ahead_s = max(0.0, self.ahead_s - expected_s)

    @asynccontextmanager
    async def _own_turn(self, deadline_s: float) -> AsyncIterator[_Open]:
        """One asks at a time: two that share a link are both late. Who doesn't end in good order leaves no connection
        behind that others would read the rest from."""
        try:
            async with asyncio.timeout_at(deadline_s):
                await self._turn.acquire()
        except TimeoutError as error:
            raise PrefillLost(detail="others were asking it until too late") from error
        try:
            opened = self._open
            if opened is None:
                raise PrefillLost(detail="there is no connection")
            try:
                yield opened
            except BaseException:
                self._drop()
                raise
        finally:
            self._turn.release()

    async def _read(
        self,
        opened: _Open,
        tokens: Sequence[int],
        held: int,
        deadline_s: float,
        portions: asyncio.Queue[Portion | None],
    ) -> None:
        """In a task of its own, so that what is measured is the link and not whoever takes the ranges."""
        try:
            opened.asked += 1
            number, end = opened.asked, len(tokens) - 1
            await opened.channel.send(
                Ask(number=number, identity=self._identity, tokens=packed(list(tokens)), start=held, rows=PIECE_ROWS)
            )
            state = Collected(number, self._identity, held, end, most_token_bytes(self._facts))
            begun_s = 0.0
            while not state.done:
                frame = await opened.channel.receive(self._patience_s(opened, deadline_s))
                if isinstance(frame, Refusal):
                    raise PrefillLost(detail=f"it refused, {frame.code}: {frame.detail}")
                opening = state.open is None
                state, portion = take(state, frame)
                if opening:
                    begun_s = time.monotonic()
                if isinstance(frame, Done):
                    opened.worker = replace(opened.worker, speed=frame.speed)
                if portion is not None:
                    self._measure(opened, portion, time.monotonic() - begun_s)
                    await portions.put(portion)
            await portions.put(None)
        except BaseException:
            self._drop()
            # Whoever waits for the next one is to look why there is none.
            while not portions.empty():
                portions.get_nowait()
            portions.put_nowait(None)
            raise

    def _patience_s(self, opened: _Open, deadline_s: float) -> float:
        piece_s = opened.worker.speed.seconds(PIECE_ROWS, opened.limit_tokens)
        silence_s = max(LEAST_SILENCE_S, SILENCE_FACTOR * piece_s)
        return max(0.0, min(silence_s, deadline_s - asyncio.get_running_loop().time()))

    def _measure(self, opened: _Open, portion: Portion, seconds: float) -> None:
        size, worker = len(portion.data), opened.worker
        worker = replace(worker, bytes_per_token=size / (portion.end - portion.start))
        if size >= TELLING_BYTES:
            byte_s = _mixed(worker.link.byte_s, seconds / size)
            worker = replace(worker, link=replace(worker.link, byte_s=byte_s))
        opened.worker = worker

    # --- keeping it open ----------------------------------------------------------------------------------------------

    async def _keep(self) -> None:
        wait_s = FIRST_WAIT_S
        while True:
            try:
                self._open = await self._opened()
                self._tell("")
                wait_s = FIRST_WAIT_S
                await self._watch(self._open)
            except KinflowError as error:
                self._tell(str(error))
            except Exception as error:
                log.exception("the way to the prefill worker failed")
                self._tell(type(error).__name__)
            self._drop()
            await asyncio.sleep(wait_s)
            wait_s = min(LONGEST_WAIT_S, 2 * wait_s)

    async def _opened(self) -> _Open:
        require_ranges(self._facts)
        host, _, port = self.where.rpartition(":")
        channel = await connect(host.strip("[]"), int(port), read_secret(self._secret_file))
        try:
            ready = await channel.receive(PROBE_S)
            if not isinstance(ready, Ready):
                raise PrefillGarbled(detail=f"it began with a frame {type(ready).__name__.lower()}")
            require_same(self._identity, ready.identity)
            worker = Worker(ready.speed, Link(0.0, 0.0), ready.bytes_per_token)
            opened = _Open(channel, ready.limit_tokens, worker)
            await self._probe(opened)
        except BaseException:
            channel.close()
            raise
        return opened

    async def _watch(self, opened: _Open) -> None:
        """Until it breaks."""
        self._broken.clear()
        while True:
            try:
                async with asyncio.timeout(PING_S):
                    await self._broken.wait()
                raise PrefillLost(detail="the connection is gone")
            except TimeoutError:
                async with self._turn:
                    if self._open is opened:
                        await self._probe(opened)

    async def _probe(self, opened: _Open) -> None:
        """A small answer, then two large ones, of which the faster counts: the first warms the link up."""
        small_s, speed = await self._ping(opened, 0)
        large_s = min([(await self._ping(opened, PROBE_BYTES))[0] for _ in range(2)])
        link = Link(small_s, max(0.0, large_s - small_s) / PROBE_BYTES)
        opened.worker = replace(opened.worker, speed=speed, link=link)

    async def _ping(self, opened: _Open, size_bytes: int) -> tuple[float, Speed]:
        opened.asked += 1
        began_s = time.monotonic()
        await opened.channel.send(Ping(number=opened.asked, size_bytes=size_bytes))
        pong: Frame = await opened.channel.receive(PROBE_S)
        if not isinstance(pong, Pong) or (pong.number, len(pong.filling)) != (opened.asked, size_bytes):
            raise PrefillGarbled(detail="what came is no answer to a ping")
        return time.monotonic() - began_s, pong.speed

    def _drop(self) -> None:
        opened, self._open = self._open, None
        if opened is not None:
            opened.channel.close()
        self._broken.set()

    def _tell(self, trouble: str) -> None:
        """Once for each trouble, and when it is over."""
        if trouble == self._told:
            return
        if trouble:
            log.warning("prompts are computed here; the prefill worker %s: %s", self.where, trouble)
        else:
            log.info("the prefill worker %s is there", self.where)
        self._told = trouble


def _mixed(old: float, new: float) -> float:
    return KEPT * old + (1 - KEPT) * new
