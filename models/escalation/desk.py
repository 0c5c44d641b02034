"""The upper tier's side: sequences that a lower tier fills and drafts for, each on its own until it ends or is idle."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable, Coroutine, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

from msgspec.structs import replace

from models.engine.port import Engine, Floats, Masker, Piece
from models.engine.sampling import Sampler, Sampling
from models.engine.schema import grammar_of
from models.engine.verify import Verified, verify
from models.errors import (
    ContextTooLong,
    HiddenForeign,
    MiddleMute,
    QueueFull,
    RequestUnserved,
    SessionGone,
    TierForeign,
    TierUnreachable,
)
from models.escalation.onward import Onward, advanced
from models.escalation.spread import rows as spread_rows
from models.family.handover import unpack
from models.serving.fifo import WAIT_S
from models.serving.port import Scheduler
from protocol.errors import KinflowError
from protocol.tiers import Chosen, Opened, Opening, Round, Verdict, Way, Wish

IDLE_S = 30.0


@dataclass(frozen=True)
class Identity:
    """Whose weights these are, and what a lower tier has to share with them."""

    family: str
    version: str
    tokenizer: str
    source: str
    member: str

    def refuse(self, asked: Opening) -> None:
        """Raises TierForeign (KF503). A draft is only tokens: it asks for the tokenizer alone."""
        if asked.tokenizer != self.tokenizer:
            raise TierForeign(detail=f"the tokenizer below is {asked.tokenizer[:12]}, this one {self.tokenizer[:12]}")
        if asked.way == "draft":
            return
        if not self.source or asked.source != self.source:
            here = f"{self.family} {self.version}"
            raise TierForeign(
                detail=f"below is {asked.family} {asked.version}, this is {here}, cut from another family file"
            )


@dataclass
class _Session:
    """onward: the tier above, while it chooses; held, said: what it has told that stands here, and why: why it does not
    any more."""

    scheduler: Scheduler
    sequence: int
    stack: AsyncExitStack
    sampler: Sampler
    masker: Masker | None
    onward: Onward | None = None
    held: int = 0
    said: list[int] = field(default_factory=list)
    why: str = ""
    number: int = 0
    verdict: Verdict | None = None
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    timer: asyncio.TimerHandle | None = None


async def never_onward(_: Opening) -> tuple[Onward | None, str]:
    return None, ""


class SessionDesk:
    """identity: of what is served, looked up on a thread. open_way: the scheduler for a way and the block behind which
    it goes on. pass_on: a session of the tier above, where one is to choose, else why there is none; raises MiddleMute
    (KF410). Used on one event loop. most: sessions at once, None for half of a scheduler's sequences."""

    def __init__(
        self,
        identity: Callable[[], Identity],
        open_way: Callable[[Way, int], Coroutine[Any, Any, Scheduler]],
        idle_s: float = IDLE_S,
        most: int | None = None,
        *,
        pass_on: Callable[[Opening], Coroutine[Any, Any, tuple[Onward | None, str]]] = never_onward,
    ) -> None:
        self._identity, self._open_way, self._idle_s, self._most = identity, open_way, idle_s, most
        self._pass_on = pass_on
        self._sessions: dict[str, _Session] = {}
        self._tidying: set[asyncio.Task[None]] = set()

    @property
    def count(self) -> int:
        return len(self._sessions)

    async def open(self, asked: Opening) -> Opened:
        """Raises TierForeign (KF503), WayImpossible (KF505), QueueFull (KF502), SchemaRefused (KF397), SamplingInvalid
        (KF401), MiddleMute (KF410), or what opening weights does."""
        began_s = time.monotonic()
        identity = await asyncio.to_thread(self._identity)
        identity.refuse(asked)
        sampling = sampling_of(asked.wish)
        onward, why = await self._pass_on(asked)
        async with AsyncExitStack() as stack:
            if onward is not None:
                stack.push_async_callback(asyncio.to_thread, onward.close)
            scheduler = await self._open_way(asked.way, asked.after) if onward is None else onward.scheduler
            most = max(1, scheduler.facts.sequences // 2) if self._most is None else self._most
            if len(self._sessions) >= most:
                raise QueueFull(waiting=len(self._sessions), wait_s=WAIT_S)
            sequence = await stack.enter_async_context(scheduler.hold())
            masker = await scheduler.call(lambda engine: _masker(engine, sampling))
            kept = stack.pop_all()
        session = _Session(scheduler, sequence, kept, Sampler(sampling, masker), masker, onward, why=why)
        name = secrets.token_hex(16)
        self._sessions[name] = session
        self._wait(name, session)
        load, facts = scheduler.load, scheduler.facts
        opened = Opened(
            session=name,
            member=identity.member,
            blocks=facts.blocks,
            limit_tokens=scheduler.limit_tokens,
            step_s=load.step_s,
            row_s=load.row_s,
            seconds=time.monotonic() - began_s,
            why=why[:500],
        )
        return opened if onward is None else _joined(opened, onward)

    async def round(self, asked: Round) -> Verdict:
        """Raises SessionGone (KF504), HiddenForeign (KF402), RequestUnserved (KF501), ContextTooLong (KF394), or what
        `Engine.decode` does. After an error the session is closed."""
        session = self._sessions.get(asked.session)
        if session is None:
            raise SessionGone(detail="it is not open here, or not any more")
        async with session.lock:
            # The answer to a round may get lost on its way: asked again, it is told again.
            if session.verdict is not None and asked.number == session.number:
                return session.verdict
            began_s = time.monotonic()
            try:
                if asked.number != session.number + 1:
                    raise SessionGone(detail=f"round {asked.number} came after round {session.number}")
                self._wait(asked.session, session)
                session.verdict = await self._verdict(session, asked, began_s)
            except (KinflowError, asyncio.CancelledError):
                self.close(asked.session)
                raise
            session.number = asked.number
            return session.verdict

    async def _verdict(self, session: _Session, asked: Round, began_s: float) -> Verdict:
        if session.onward is not None:
            try:
                verdict = await self._passed(session, session.onward, asked)
                return replace(verdict, seconds=time.monotonic() - began_s)
            except TierUnreachable as error:
                await self._alone(session, session.onward, error)
        # How long a row takes is told by rounds whose rows are known before they are read.
        count = len(asked.tokens) if not asked.hidden else (asked.drafted + 1) * bool(asked.start)
        verified, held = await session.scheduler.call(
            lambda engine: _computed(engine, session, asked), rows=count, context=asked.start
        )
        return Verdict(
            number=asked.number,
            accepted=verified.accepted,
            chosen=tuple(Chosen(token=one.token, logprob=one.logprob, top=one.top) for one in verified.choices),
            held=held,
            seconds=time.monotonic() - began_s,
            why=session.why[:500],
        )

    @staticmethod
    async def _passed(session: _Session, onward: Onward, asked: Round) -> Verdict:
        """Raises TierUnreachable (KF493) when the tier above gives none, or one that can't be."""
        scheduler, sequence, held = session.scheduler, session.sequence, session.held
        hidden, kind = await scheduler.call(
            lambda engine: advanced(engine, sequence, held, scheduler.limit_tokens, asked),
            rows=(asked.drafted + 1) * bool(asked.start),
            context=asked.start,
        )
        verdict = await asyncio.to_thread(onward.round, asked, hidden, kind)
        if not held <= verdict.held <= held + len(hidden) or verdict.number != asked.number:
            raise TierUnreachable(tier=onward.above.tier, detail="its verdict is of another round")
        session.held = verdict.held
        session.said += [one.token for one in verdict.chosen]
        return verdict

    @staticmethod
    async def _alone(session: _Session, onward: Onward, error: TierUnreachable) -> None:
        """The tier above has gone: what stands is kept, and this one chooses from now on. Raises MiddleMute (KF410)."""
        session.onward = None
        why = error.cause_text.rstrip(".")
        if not session.scheduler.facts.gives_logits:
            raise MiddleMute(detail=why) from error
        session.why = f"{why}; the tier below it goes on"

        def restore(engine: Engine) -> None:
            if engine.length(session.sequence) > session.held:
                engine.rollback(session.sequence, session.held)
            for token in session.said:
                session.sampler.accept(token)

        await session.scheduler.call(restore)
        onward.above.close()

    def close(self, name: str) -> None:
        """Nothing happens for one that is not open."""
        session = self._sessions.pop(name, None)
        if session is None:
            return
        if session.timer is not None:
            session.timer.cancel()
        task = asyncio.get_running_loop().create_task(_ended(session))
        self._tidying.add(task)
        task.add_done_callback(self._tidying.discard)

    async def close_all(self) -> None:
        for name in list(self._sessions):
            self.close(name)
        if self._tidying:
            await asyncio.wait(self._tidying)

    def _wait(self, name: str, session: _Session) -> None:
        if session.timer is not None:
            session.timer.cancel()
        session.timer = asyncio.get_running_loop().call_later(self._idle_s, self.close, name)


async def _ended(session: _Session) -> None:
    masker = session.masker
    try:
        if masker is not None:
            await session.scheduler.call(lambda _: masker.close())
    finally:
        await session.stack.aclose()


def _joined(opened: Opened, onward: Onward) -> Opened:
    """What the tier below is told of two tiers above it."""
    further = onward.opened
    return replace(
        opened,
        blocks=opened.blocks + further.blocks,
        limit_tokens=min(opened.limit_tokens, further.limit_tokens),
        tier=onward.tier,
        further={onward.above.tier: further.blocks - sum(further.further.values()), **further.further},
        step_s=opened.step_s + further.step_s,
        row_s=opened.row_s + further.row_s,
        why=further.why,
    )


def sampling_of(wish: Wish) -> Sampling:
    """Raises SamplingInvalid (KF401)."""
    return Sampling(
        temperature=wish.temperature,
        top_k=wish.top_k,
        top_p=wish.top_p,
        min_p=wish.min_p,
        seed=wish.seed,
        bias=wish.bias,
        schema=wish.schema,
        logprobs=wish.logprobs,
    )


def wish_of(sampling: Sampling) -> Wish:
    return Wish(
        temperature=sampling.temperature,
        top_k=sampling.top_k,
        top_p=sampling.top_p,
        min_p=sampling.min_p,
        seed=sampling.seed,
        bias=dict(sampling.bias),
        schema=None if sampling.schema is None else dict(sampling.schema),
        logprobs=sampling.logprobs,
    )


def _masker(engine: Engine, sampling: Sampling) -> Masker | None:
    return None if sampling.schema is None else engine.masker(grammar_of(sampling.schema))


def _computed(engine: Engine, session: _Session, asked: Round) -> tuple[Verified, int]:
    """On the engine's thread: what only goes in, then what is checked."""
    sequence, held = session.sequence, engine.length(session.sequence)
    if asked.start != held:
        raise SessionGone(detail=f"it begins at token {asked.start}, and {held} are held")
    hidden = unpack(asked.hidden, engine.facts, held) if asked.hidden else None
    total = len(asked.tokens) if hidden is None else len(hidden)
    limit = session.scheduler.limit_tokens
    if held + total > limit:
        raise ContextTooLong(tokens=held + total, excess_tokens=held + total - limit, limit_tokens=limit)
    if not all(token < engine.facts.vocabulary for token in asked.tokens):
        raise RequestUnserved(detail="a token is outside of the vocabulary")
    checked = asked.drafted + 1 if asked.wants else 0
    draft = asked.tokens[len(asked.tokens) - asked.drafted :] if asked.drafted else ()
    if total < max(1, checked) or len(draft) != asked.drafted:
        raise HiddenForeign(detail=f"{total} rows came, and {checked} are to be checked")
    feed = total - checked
    if feed:
        rows = hidden[:feed] if hidden is not None else None
        engine.decode([_piece(sequence, asked.tokens[:feed], rows)])
    if not asked.wants:
        return Verified(0, ()), engine.length(sequence)
    spreads = spread_rows(asked.spreads, draft, engine.facts.vocabulary) if asked.spreads else None
    verified = verify(
        engine,
        sequence,
        0 if hidden is not None else asked.tokens[feed],
        draft,
        session.sampler,
        drafted=spreads,
        hidden=None if hidden is None else hidden[feed:],
    )
    return verified, engine.length(sequence)


def _piece(sequence: int, tokens: Sequence[int], hidden: Floats | None) -> Piece:
    if hidden is not None:
        return Piece(sequence, hidden=hidden, wanted="none")
    return Piece(sequence, tokens, wanted="none")
