"""A prefill worker: computes prompts for others, piece by piece, and sends each piece while it computes the next."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from typing import Any

from models.engine.port import Engine, Piece, Portion
from models.errors import ContextTooLong, PrefillLost
from models.serving.separation.channel import Channel, accept
from models.serving.separation.cost import PIECE_ROWS, pieces
from models.serving.separation.identity import identity_of, require_ranges, require_same, speed_of
from models.serving.stall_free import StallFreeScheduler
from protocol.errors import KinflowError, MessageMalformed
from protocol.kv_frames import (
    PART_BYTES,
    TOPIC,
    Ask,
    Done,
    Frame,
    Part,
    Ping,
    Pong,
    Range,
    Ready,
    Refusal,
    unpacked,
)

log = logging.getLogger(__name__)
# Who asks nothing for so long has left without saying so: whoever is there pings each minute.
IDLE_S = 1800.0
MOST_LINKS = 64
# Of pieces that are computed and not sent yet; computing waits then.
AHEAD = 2
_LEARN_ROWS = (64, 1)


class PrefillWorker:
    """On one event loop. scheduler: whose engine computes; each asking has a sequence of it."""

    def __init__(self, scheduler: StallFreeScheduler, secret: bytes) -> None:
        self._scheduler, self._secret = scheduler, secret
        self._identity = identity_of(scheduler.facts)
        self._bytes_per_token = 0.0
        self._visits: set[asyncio.Task[None]] = set()
        self._unproven: dict[asyncio.Task[None], None] = {}
        self._server: asyncio.Server | None = None

    async def start(self, host: str, port: int) -> int:
        """Measure how fast this machine computes, then listen; the port. Raises OSError, PrefillForeign (KF525) where
        keys and values can't be sent in ranges."""
        require_ranges(self._scheduler.facts)
        await self._learn()
        self._server = await asyncio.start_server(self._visited, host, port, limit=2 * PART_BYTES)
        return int(self._server.sockets[0].getsockname()[1])

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
        for visit in self._visits:
            visit.cancel()
        if self._visits:
            await asyncio.wait(self._visits)
        await self._scheduler.close()

    async def _learn(self) -> None:
        scheduler = self._scheduler
        rows = min(PIECE_ROWS, scheduler.limit_tokens // 2)
        async with scheduler.hold() as sequence:
            # The first one loads what is not loaded yet, and tells nothing.
            for number, size in enumerate((1, rows, *(min(rows, one) for one in _LEARN_ROWS))):
                compute = _Piece(sequence, [0] * size, 0, 0, size)
                portion = await scheduler.call(compute.on, rows=size if number else 0)
                await scheduler.call(lambda engine: engine.rollback(sequence, 0))
                if number == 1 and portion is not None:
                    self._bytes_per_token = len(portion.data) / size

    def _visited(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._visits) >= MOST_LINKS:
            if not self._unproven:
                writer.transport.abort()
                return
            # The oldest of those who have not said who they are goes for one who may.
            oldest = next(iter(self._unproven))
            self._ended(oldest)
            oldest.cancel()
        visit = asyncio.create_task(self._visit(reader, writer))
        self._visits.add(visit)
        self._unproven[visit] = None
        visit.add_done_callback(self._ended)

    def _ended(self, visit: asyncio.Task[None]) -> None:
        self._visits.discard(visit)
        self._unproven.pop(visit, None)

    async def _visit(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            channel = await accept(reader, writer, self._secret)
        except KinflowError as error:
            # Anybody can make these: they are no lines in a log.
            log.debug("a visit ended before it began: %s", error)
            return
        self._proven()
        try:
            await channel.send(self._ready())
            await self._talk(channel)
        except KinflowError as error:
            log.info("a visit ended: %s", error)
        finally:
            channel.close()

    def _proven(self) -> None:
        visit = asyncio.current_task()
        if visit is not None:
            self._unproven.pop(visit, None)

    async def _talk(self, channel: Channel) -> None:
        """Until they leave, which is PrefillLost (KF527)."""
        incoming = asyncio.create_task(channel.receive(IDLE_S))
        try:
            while True:
                frame = await incoming
                incoming = asyncio.create_task(channel.receive(IDLE_S))
                if isinstance(frame, Ping):
                    speed = speed_of(self._scheduler.step_time)
                    await channel.send(Pong(number=frame.number, speed=speed, filling=bytes(frame.size_bytes)))
                elif isinstance(frame, Ask):
                    await self._until(incoming, self._answer(channel, frame))
                else:
                    raise MessageMalformed(topic=TOPIC, detail=f"a worker is not told {type(frame).__name__}")
        finally:
            await _end(incoming)

    @staticmethod
    async def _until(incoming: asyncio.Task[Frame], answer: Coroutine[None, None, None]) -> None:
        """Whoever asks says nothing until they have it all: what comes before is that they leave."""
        work = asyncio.create_task(answer)
        try:
            await asyncio.wait((work, incoming), return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                raise PrefillLost(detail="who asked has left")
            work.result()
        finally:
            await _end(work)

    def _ready(self) -> Ready:
        return Ready(
            identity=self._identity,
            limit_tokens=self._scheduler.limit_tokens,
            bytes_per_token=self._bytes_per_token,
            speed=speed_of(self._scheduler.step_time),
        )

    async def _answer(self, channel: Channel, ask: Ask) -> None:
        """Raises PrefillLost (KF527); what is wrong otherwise is told to who asked."""
        try:
            await self._prefill(channel, ask, self._checked(ask))
        except PrefillLost:
            raise
        except KinflowError as error:
            detail = error.cause_text[:400]
            await channel.send(Refusal(number=ask.number, code=error.code, detail=detail))

    def _checked(self, ask: Ask) -> list[int]:
        require_same(self._identity, ask.identity)
        tokens, limit = unpacked(ask.tokens), self._scheduler.limit_tokens
        if len(tokens) > limit:
            raise ContextTooLong(tokens=len(tokens), excess_tokens=len(tokens) - limit, limit_tokens=limit)
        if not 0 <= ask.start < len(tokens) - 1:
            raise MessageMalformed(topic=TOPIC, detail=f"nothing lies between {ask.start} and {len(tokens) - 1}")
        if not all(token < self._scheduler.facts.vocabulary for token in tokens):
            raise MessageMalformed(topic=TOPIC, detail="a token that is not in the vocabulary")
        return tokens

    async def _prefill(self, channel: Channel, ask: Ask, tokens: Sequence[int]) -> None:
        end, scheduler = len(tokens) - 1, self._scheduler
        queue: asyncio.Queue[Portion | None] = asyncio.Queue(AHEAD)
        sending = asyncio.create_task(self._send(channel, ask, queue))
        try:
            async with scheduler.hold() as sequence:
                for begin, stop in pieces(end, ask.rows):
                    compute = _Piece(sequence, tokens, ask.start, begin, stop)
                    portion = await scheduler.call(compute.on, rows=stop - begin, context=begin)
                    if portion is not None:
                        await _either(queue.put(portion), sending)
            await _either(queue.put(None), sending)
            await sending
            await channel.send(Done(number=ask.number, end=end, speed=speed_of(scheduler.step_time)))
        finally:
            await _end(sending)

    @staticmethod
    async def _send(channel: Channel, ask: Ask, queue: asyncio.Queue[Portion | None]) -> None:
        while (portion := await queue.get()) is not None:
            data = portion.data
            await channel.send(
                Range(
                    number=ask.number,
                    start=portion.start,
                    end=portion.end,
                    whole=portion.whole,
                    size_bytes=len(data),
                    sha256=portion.sha256,
                )
            )
            for begin in range(0, len(data), PART_BYTES):
                await channel.send(Part(data=data[begin : begin + PART_BYTES]))


@dataclass(frozen=True)
class _Piece:
    """Tokens begin..end of a prompt; what of them stands behind `start` is wanted."""

    sequence: int
    tokens: Sequence[int]
    start: int
    begin: int
    end: int

    def on(self, engine: Engine) -> Portion | None:
        engine.decode([Piece(self.sequence, self.tokens[self.begin : self.end], wanted="none")])
        start = max(self.start, self.begin)
        return engine.export(self.sequence, start, self.end) if start < self.end else None


async def _either(work: Coroutine[None, None, None], sending: asyncio.Task[None]) -> None:
    """Wait for `work`, and no longer once nothing is sent any more: then raises what kept it."""
    task = asyncio.create_task(work)
    try:
        await asyncio.wait((task, sending), return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            sending.result()
    finally:
        await _end(task)


async def _end(task: asyncio.Task[Any]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
