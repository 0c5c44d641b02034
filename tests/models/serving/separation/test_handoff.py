"""A worker and a scheduler that goes on, over a real connection; and workers that are faulty, hostile or gone. Whatever
comes, the answer is the one that is computed here."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from models.engine.fake import FakeEngine
from models.engine.llama.engine import LlamaEngine
from models.engine.port import Engine, Output, Piece, Portion
from models.engine.sampling import Sampling
from models.errors import PrefillForeign, PrefillLost
from models.serving.prefix.pool import Pool
from models.serving.separation.channel import Channel, connect
from models.serving.separation.identity import identity_of
from models.serving.separation.scheduler import SeparatedScheduler
from models.serving.separation.worker import MOST_LINKS, PrefillWorker
from models.serving.stall_free import StallFreeScheduler
from protocol.kv_frames import Ask, Done, Frame, Part, Range, Ready, Refusal, Speed, packed
from tests.models.engine.conftest import Open

SECRET = "s" * 40
PROMPT = [7 + place % 90 for place in range(600)]
SAYS = Sampling(temperature=0.0, max_tokens=12, bias={1: float("-inf")})


class SlowEngine(FakeEngine):
    """So slow that bringing pays; computed: rows, by itself."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__(context_tokens=2 * 1024, sequences=2, seed=seed)
        self.computed = 0

    def decode(self, pieces: Sequence[Piece]) -> list[Output]:
        rows = sum(piece.rows for piece in pieces)
        self.computed += rows
        time.sleep(0.001 * rows)
        return super().decode(pieces)


class StoppingEngine(FakeEngine):
    """A worker's, that waits before it goes on behind its first piece. at: how far it came."""

    def __init__(self, go_on_s: float) -> None:
        super().__init__(context_tokens=2 * 1024, sequences=2)
        self._go_on_s = go_on_s
        self.held: list[int] = []

    def decode(self, pieces: Sequence[Piece]) -> list[Output]:
        self.held.append(self.length(pieces[0].sequence))
        if self.held[-1] >= 256:
            time.sleep(self._go_on_s)
        return super().decode(pieces)


def fast(seed: int = 0) -> FakeEngine:
    return FakeEngine(context_tokens=2 * 1024, sequences=2, seed=seed)


def secret_file(folder: Path, text: str = SECRET) -> Path:
    path = folder / f"secret-{text[:1]}"
    path.write_text(text)
    path.chmod(0o600)
    return path


Make = Callable[[], Engine]


@asynccontextmanager
async def working(make: Make, kind: type[PrefillWorker] = PrefillWorker, secret: str = SECRET):
    worker = kind(await StallFreeScheduler.open(make), secret.encode())
    port = await worker.start("127.0.0.1", 0)
    try:
        yield port
    finally:
        await worker.close()


@asynccontextmanager
async def going_on(make: Make, port: int, secret: Path, *, wait: bool = True):
    scheduler = await SeparatedScheduler.open_with(make, f"127.0.0.1:{port}", secret, Pool(0))
    assert scheduler.fetcher is not None
    try:
        while wait and scheduler.fetcher.worker is None:
            await asyncio.sleep(0.002)
        await said(scheduler, [6] * 30)  # it gets to know how slow it is
        yield scheduler
    finally:
        await scheduler.close()


async def said(scheduler: StallFreeScheduler, prompt: Sequence[int] = PROMPT) -> list[int]:
    return [step.choice.token async for step in scheduler.answer(prompt, SAYS)]


@pytest.fixture(scope="module")
def expected() -> list[int]:
    return asyncio.run(alone(PROMPT))


async def alone(prompt: Sequence[int]) -> list[int]:
    """What is said without any worker."""
    scheduler = await StallFreeScheduler.open(fast)
    try:
        return await said(scheduler, prompt)
    finally:
        await scheduler.close()


def run(work: Callable[[], Coroutine[None, None, None]]) -> None:
    asyncio.run(work())


def test_a_prompt_is_computed_there_and_the_answer_said_here(tmp_path: Path, expected: list[int]) -> None:
    async def work() -> None:
        engine = SlowEngine()
        async with working(fast) as port, going_on(lambda: engine, port, secret_file(tmp_path)) as scheduler:
            before = engine.computed
            assert await said(scheduler) == expected
            assert engine.computed - before == 12, "one row for each token that is said"
            tally = scheduler.tally
            assert (tally.prefill_fetched, tally.prefill_tokens, tally.prefill_failed) == (1, 599, 0)
            assert tally.prefill_bytes > 599
            # Two at once, and again: the connection is good for more.
            others = [PROMPT[::-1], PROMPT[100:500]]
            found = await asyncio.gather(*(said(scheduler, other) for other in others))
            assert found == [await alone(other) for other in others]
            assert scheduler.tally.prefill_fetched == 3

    run(work)


def test_what_is_faster_here_is_computed_here(tmp_path: Path, expected: list[int]) -> None:
    async def work() -> None:
        async with working(SlowEngine) as port, going_on(fast, port, secret_file(tmp_path)) as scheduler:
            assert await said(scheduler) == expected
            assert (scheduler.tally.prefill_fetched, scheduler.tally.prefill_failed) == (0, 0)

    run(work)


class Half(PrefillWorker):
    """Ends in the middle of the second range."""

    async def _send(self, channel: Channel, ask, queue) -> None:  # type: ignore[override]
        await _ranges(channel, ask, await queue.get())
        portion = await queue.get()
        await channel.send(_head(ask, portion))
        await channel.send(Part(data=portion.data[:10]))
        channel.close()


class Garbage(PrefillWorker):
    """Sends bytes that are no keys and values, and vouches for them."""

    async def _send(self, channel: Channel, ask, queue) -> None:  # type: ignore[override]
        while (portion := await queue.get()) is not None:
            data = bytes(len(portion.data))
            await _ranges(channel, ask, replace(portion, data=data, sha256=hashlib.sha256(data).hexdigest()))


class Changed(PrefillWorker):
    """Its memory is faulty: a bit is another one than was vouched for."""

    async def _send(self, channel: Channel, ask, queue) -> None:  # type: ignore[override]
        while (portion := await queue.get()) is not None:
            await _ranges(channel, ask, replace(portion, data=portion.data[:-1] + b"\xff"))


class Short(PrefillWorker):
    """Leaves a range out and says that all is there."""

    async def _send(self, channel: Channel, ask, queue) -> None:  # type: ignore[override]
        await _ranges(channel, ask, await queue.get())
        await channel.send(Done(number=ask.number, end=ask_end(ask), speed=Speed()))


class Again(PrefillWorker):
    """Sends the first range twice."""

    async def _send(self, channel: Channel, ask, queue) -> None:  # type: ignore[override]
        portion = await queue.get()
        await _ranges(channel, ask, portion)
        await _ranges(channel, ask, portion)
        await asyncio.sleep(60)


class Refusing(PrefillWorker):
    async def _send(self, channel: Channel, ask, queue) -> None:  # type: ignore[override]
        await channel.send(Refusal(number=ask.number, code="KF502", detail="\x1b[2J too many"))
        await asyncio.sleep(60)


class Noisy(PrefillWorker):
    """Sends bytes that open to nothing."""

    async def _send(self, channel: Channel, ask, queue) -> None:  # type: ignore[override]
        channel._writer.write(b"\0\0\1\0" + bytes(256))
        await asyncio.sleep(60)


def ask_end(ask) -> int:
    return len(ask.tokens) // 4 - 1


def _head(ask, portion: Portion) -> Range:
    return Range(
        number=ask.number, start=portion.start, end=portion.end, whole=portion.whole,
        size_bytes=len(portion.data), sha256=portion.sha256,
    )  # fmt: skip


async def _ranges(channel: Channel, ask, portion: Portion) -> None:
    await channel.send(_head(ask, portion))
    await channel.send(Part(data=portion.data))


@pytest.mark.parametrize("kind", [Half, Garbage, Changed, Short, Again, Refusing, Noisy])
def test_whatever_a_faulty_worker_sends_the_answer_is_the_same(
    tmp_path: Path, expected: list[int], kind: type[PrefillWorker], caplog: pytest.LogCaptureFixture
) -> None:
    async def work() -> None:
        engine = SlowEngine()
        async with working(fast, kind) as port, going_on(lambda: engine, port, secret_file(tmp_path)) as scheduler:
            before = engine.computed
            assert await said(scheduler) == expected
            assert engine.computed - before == 600 + 11, "all of the prompt, once"
            assert (scheduler.tally.prefill_fetched, scheduler.tally.prefill_failed) == (0, 1)

    run(work)
    assert "is computed here after all: KF" in caplog.text


def test_a_worker_that_falls_silent_is_not_waited_for(tmp_path: Path, expected: list[int]) -> None:
    async def work() -> None:
        engine = SlowEngine()
        async with (
            working(lambda: StoppingEngine(3.0)) as port,
            going_on(lambda: engine, port, secret_file(tmp_path)) as scheduler,
        ):
            assert await said(scheduler) == expected
            assert scheduler.tally.prefill_failed == 1

    run(work)


def test_who_leaves_while_a_prompt_is_under_way_stops_it_there_too(tmp_path: Path, expected: list[int]) -> None:
    async def work() -> None:
        worker = StoppingEngine(0.3)
        async with working(lambda: worker) as port, going_on(SlowEngine, port, secret_file(tmp_path)) as scheduler:
            worker.held.clear()
            asked = asyncio.create_task(said(scheduler))
            while 256 not in worker.held:
                await asyncio.sleep(0.002)
            asked.cancel()
            await asyncio.gather(asked, return_exceptions=True)
            while worker.length(0) or worker.length(1):
                await asyncio.sleep(0.01)
            assert 512 not in worker.held
            assert await said(scheduler) == expected

    run(work)


@pytest.mark.parametrize(
    ("seed", "secret", "told"),
    [(1, "s", "KF525"), (0, "t", "KF526"), (0, "-", "KF529")],
    ids=["another model", "another secret", "no secret"],
)
def test_a_stranger_is_asked_for_nothing(  # noqa: PLR0917 (its cases)
    tmp_path: Path, expected: list[int], seed: int, secret: str, told: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def work() -> None:
        path = tmp_path / "none" if secret == "-" else secret_file(tmp_path, secret * 40)
        async with working(lambda: fast(seed)) as port, going_on(SlowEngine, port, path, wait=False) as scheduler:
            while told not in caplog.text:
                await asyncio.sleep(0.01)
            assert scheduler.fetcher is not None
            assert scheduler.fetcher.worker is None
            assert await said(scheduler) == expected
            assert scheduler.tally.prefill_failed == 0

    run(work)
    assert SECRET not in caplog.text
    assert "t" * 40 not in caplog.text


def test_a_worker_that_comes_later_is_found(tmp_path: Path, expected: list[int]) -> None:
    async def work() -> None:
        async with working(fast) as port:
            pass
        async with going_on(SlowEngine, port, secret_file(tmp_path), wait=False) as scheduler:
            assert await said(scheduler) == expected
            worker = PrefillWorker(await StallFreeScheduler.open(fast), SECRET.encode())
            await worker.start("127.0.0.1", port)
            assert scheduler.fetcher is not None
            while scheduler.fetcher.worker is None:
                await asyncio.sleep(0.01)
            assert await said(scheduler) == expected
            assert scheduler.tally.prefill_fetched == 1
            await worker.close()

    run(work)


def test_a_door_full_of_strangers_and_noise_serves_those_who_know_the_secret(
    tmp_path: Path, expected: list[int]
) -> None:
    async def work() -> None:
        async with working(fast) as port:
            strangers = [await asyncio.open_connection("127.0.0.1", port) for _ in range(MOST_LINKS + 10)]
            for number, (_, writer) in enumerate(strangers):
                writer.write(bytes([number]) * 200 if number % 3 else b"KFKV\0\1" + bytes(number % 32))
            async with going_on(SlowEngine, port, secret_file(tmp_path)) as scheduler:
                assert await said(scheduler) == expected
                assert scheduler.tally.prefill_fetched == 1
            for _, writer in strangers:
                writer.close()

    run(work)


def test_what_a_worker_is_asked_wrongly_is_refused_and_it_goes_on(tmp_path: Path, expected: list[int]) -> None:
    own = identity_of(fast().facts)
    wrong: list[tuple[Frame, str]] = [
        (Ask(number=1, identity=identity_of(fast(1).facts), tokens=packed(PROMPT)), "KF525"),
        (Ask(number=2, identity=own, tokens=packed([5] * 1025)), "KF394"),
        (Ask(number=3, identity=own, tokens=packed([5, 1 << 31, 5])), "KF11"),
        (Ask(number=4, identity=own, tokens=packed([5, 6, 7]), start=2), "KF11"),
        (Ask(number=5, identity=own, tokens=b"123"), "KF11"),
        (Ask(number=6, identity=own, tokens=b""), "KF11"),
    ]

    async def work() -> None:
        async with working(fast) as port:
            channel = await connect("127.0.0.1", port, SECRET.encode())
            assert isinstance(await channel.receive(5), Ready)
            for frame, code in wrong:
                await channel.send(frame)
                told = await channel.receive(5)
                assert isinstance(told, Refusal)
                assert (told.number, told.code) == (frame.number, code)
            await channel.send(Part(data=b"none of yours"))
            with pytest.raises(PrefillLost):
                await channel.receive(5)
            channel.close()
            async with going_on(SlowEngine, port, secret_file(tmp_path)) as scheduler:
                assert await said(scheduler) == expected
                assert scheduler.tally.prefill_fetched == 1

    run(work)


def test_a_memory_without_ranges_is_no_workers(open_engine: Open) -> None:
    async def work() -> None:
        with pytest.raises(PrefillForeign, match="recurrent"):
            async with working(lambda: open_engine("recurrent")):
                pass

    run(work)


@pytest.mark.parametrize("name", ["dense", "window"])
def test_real_keys_and_values_give_the_very_logits(tmp_path: Path, open_engine: Open, name: str) -> None:
    class Slow:
        """A real engine that takes its time; logits: of steps with one row."""

        def __init__(self, engine: LlamaEngine) -> None:
            self._engine = engine
            self.logits: list[bytes] = []

        def __getattr__(self, name: str) -> object:
            return getattr(self._engine, name)

        def decode(self, pieces: Sequence[Piece]) -> list[Output]:
            time.sleep(0.005 * sum(piece.rows for piece in pieces))
            outputs = self._engine.decode(pieces)
            self.logits += [one.logits.tobytes() for one in outputs if len(one.logits)]
            return outputs

    options = {"context_tokens": 1024, "sequences": 2, "batch_tokens": 256, "kv": "f16", "flash": True}
    prompt = [5 + place * 7 % 200 for place in range(400)]

    async def work() -> None:
        engine = Slow(open_engine(name, **options))
        async with (
            working(lambda: open_engine(name, **options)) as port,
            going_on(lambda: engine, port, secret_file(tmp_path)) as scheduler,
        ):  # type: ignore[arg-type,return-value]
            engine.logits.clear()
            found = await said(scheduler, prompt)
            assert scheduler.tally.prefill_fetched == 1
            assert len(found) == len(engine.logits) == 12
            fetched, here = list(engine.logits), open_engine(name, **options)
            for begin in range(0, 399, 256):  # the same pieces, computed here
                here.decode([Piece(0, prompt[begin : min(begin + 256, 399)], wanted="none")])
            for token, logits in zip([prompt[-1], *found], fetched, strict=False):
                assert here.decode([Piece(0, [token])])[0].logits.tobytes() == logits

    run(work)
