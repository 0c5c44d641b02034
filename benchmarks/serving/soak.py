"""Many clients at once for a long time, some of whom leave or send nonsense: does the server stay what it was?

What is looked at from outside, so that any server can be: its process's memory, how many answers it gives at once
before and after, and whether each stream that nobody left had its end.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random

from msgspec import Struct

from benchmarks.serving.answer import PATHS, Answer, Asking
from benchmarks.serving.process import resident_bytes
from benchmarks.serving.target import Target
from benchmarks.serving.traces.trace import Row
from benchmarks.serving.wire import BadHttp, Server, exchange

# What a client does next: of a hundred.
LEAVES_EARLY, LEAVES_LATE, NONSENSE = 10, 25, 40
WARM_SHARE = 0.15
QUIET_S = 3.0
HALF, LEAVE_S = "half a request", 0.3
AT_ONCE, AT_ONCE_TOKENS = 96, 48
REFUSED = ("http 429", "http 503")


@dataclass(frozen=True)
class Setting:
    """clients: at once. seconds: in all. patience_s: of one answer."""

    clients: int = 200
    seconds: float = 1800.0
    patience_s: float = 600.0
    seed: int = 0


class Soaked(Struct, frozen=True, kw_only=True):
    """complete: streams with an end and all that belongs to it; incomplete: that had begun, were not left and had none;
    refused: told to come again. left: by us. nonsense: bodies that are no request, by what they were answered with;
    swallowed: of them, how many were answered as if they were one. rss_growth: the process's memory after all of it
    against after the first part, both while nobody asks; None where the process is not known. slots_before,
    slots_after: most answers that came at once. stuck_slots: the difference."""

    seconds: float
    clients: int
    complete: int
    incomplete: int
    refused: int
    left: int
    failures: dict[str, int]
    nonsense: dict[str, int]
    swallowed: int
    rss_growth: float | None
    rss_mb: tuple[float, ...]
    slots_before: int
    slots_after: int
    stuck_slots: int


Say = Callable[[str], None]


async def soak(
    target: Target, rows: Sequence[Row], setting: Setting, pid: int | None, say: Say
) -> tuple[Soaked, list[Answer]]:
    """rows: whose lengths are drawn from. The answers are those of clients that sent something sensible."""
    before = await slots(target, setting.patience_s)
    say(f"{before} answers at once; {setting.clients} clients for {setting.seconds:g} s")
    crowd = _Crowd(target, rows, setting)
    await crowd.run(setting.seconds * WARM_SHARE)
    sizes = [await _rss(pid)]
    rounds = 4
    for number in range(rounds):
        await crowd.run(setting.seconds * (1 - WARM_SHARE) / rounds)
        sizes.append(await _rss(pid))
        say(f"part {number + 1} of {rounds}: {len(crowd.answers)} answers, {sizes[-1] / 1e6:.0f} MB")
    after = await slots(target, setting.patience_s)
    return crowd.told(sizes, before, after), crowd.answers


async def slots(target: Target, patience_s: float) -> int:
    """The most answers that come at the same time when more are asked for than any small server gives."""
    row = Row(0.0, 8, AT_ONCE_TOKENS)
    found = await asyncio.gather(*(target.one(row, f"slot-{number}", patience_s) for number in range(AT_ONCE)))
    spans = [(one.first_s, one.first_s + sum(one.gaps_s)) for one in found if one.first_s is not None]
    moments = sorted([(begin, 1) for begin, _ in spans] + [(end, -1) for _, end in spans])
    most = now = 0
    for _, step in moments:
        now += step
        most = max(most, now)
    return most


async def _rss(pid: int | None) -> float:
    """Once nobody asks any more; 0 where nobody knows."""
    await asyncio.sleep(QUIET_S)
    return 0.0 if pid is None else float(await asyncio.to_thread(resident_bytes, pid) or 0)


class _Crowd:
    def __init__(self, target: Target, rows: Sequence[Row], setting: Setting) -> None:
        self._target, self._rows, self._setting = target, rows, setting
        self._random = Random(setting.seed)  # noqa: S311 (no secret)
        self._asked = 0
        self._seconds = 0.0
        self.answers: list[Answer] = []
        self._nonsense: Counter[str] = Counter()

    async def run(self, seconds: float) -> None:
        """All clients, until the time is over and each has had its last answer."""
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        await asyncio.gather(*(self._client(began_s + seconds) for _ in range(self._setting.clients)))
        self._seconds += loop.time() - began_s

    async def _client(self, until_s: float) -> None:
        loop = asyncio.get_running_loop()
        while loop.time() < until_s:
            await asyncio.sleep(self._random.random() * 0.2)
            what = self._random.randrange(100)
            if LEAVES_LATE <= what < NONSENSE:
                self._nonsense[await self._talk_nonsense()] += 1
                continue
            self._asked += 1
            row = self._random.choice(self._rows)
            leave_after = None
            if what < LEAVES_EARLY:
                leave_after = 0
            elif what < LEAVES_LATE:
                leave_after = self._random.randint(1, max(1, row.output_tokens - 1))
            request = self._target.request(row, f"soak-{self._asked}")
            asking = Asking(loop.time(), row.input_tokens, row.output_tokens)
            answer = await asking.of(self._target.server, request, self._setting.patience_s, leave_after)
            self.answers.append(answer)
            if answer.failure in REFUSED:
                await asyncio.sleep(0.5 + self._random.random())

    async def _talk_nonsense(self) -> str:
        server = self._target.server
        path = PATHS[self._target.api]
        whole = self._target.request(self._rows[0], "nonsense")
        name, request = self._random.choice(nonsense(server, path, whole))
        try:
            # Half a request is not waited for: we go away in the middle of it.
            patience_s = LEAVE_S if name == HALF else self._setting.patience_s
            async with asyncio.timeout(patience_s), exchange(server, request) as reply:
                return f"{name}: {reply.status}"
        except (OSError, EOFError, BadHttp):
            return f"{name}: no answer"

    def told(self, sizes: Sequence[float], before: int, after: int) -> Soaked:
        good = [one for one in self.answers if not one.failure and not one.left]
        failures = Counter(one.failure for one in self.answers if one.failure)
        refused = sum(failures[one] for one in REFUSED)
        broken = [one for one in self.answers if one.failure and one.failure not in REFUSED]
        return Soaked(
            seconds=round(self._seconds, 1),
            clients=self._setting.clients,
            complete=len(good),
            incomplete=len(broken),
            refused=refused,
            left=sum(one.left for one in self.answers),
            failures=dict(sorted(failures.items())),
            nonsense=dict(sorted(self._nonsense.items())),
            swallowed=sum(count for what, count in self._nonsense.items() if what.endswith(": 200")),
            rss_growth=round(sizes[-1] / sizes[0] - 1, 4) if sizes[0] else None,
            rss_mb=tuple(round(one / 1e6, 1) for one in sizes),
            slots_before=before,
            slots_after=after,
            stuck_slots=max(0, before - after),
        )


def nonsense(server: Server, path: str, whole: bytes) -> list[tuple[str, bytes]]:
    """Requests that no server should take. whole: a sensible one, half of which is sent, too."""
    body = whole.partition(b"\r\n\r\n")[2]
    bodies = {
        "no JSON": b"{messages: oh",
        "half a body of JSON": body[: len(body) // 2],
        "no UTF-8": b'{"model": "\xff\xfe", "prompt": 1}',
        "wrong types": b'{"model": "", "prompt": {"a": 1}, "messages": 7, "max_tokens": "many"}',
        "nested without end": b"[" * 20_000,
        "empty": b"",
    }
    return [(name, server.request("POST", path, one)) for name, one in bodies.items()] + [
        (HALF, whole[: -len(body) // 2]),
        ("no HTTP", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\r\n\r\n"),
    ]
