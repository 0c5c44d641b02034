"""A worker as a process of its own: it is killed in the middle, and what it was told by its settings."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from models.engine.llama.engine import LlamaEngine, Options
from models.engine.llama.weights import Loaded, load
from models.engine.port import Output, Piece, Portion
from models.engine.sampling import Sampling
from models.engine.trust import Trust, fingerprint
from models.serving.prefix.pool import Pool
from models.serving.separation.opening import opener_of
from models.serving.separation.scheduler import SeparatedScheduler
from models.serving.stall_free import StallFreeScheduler
from node.config.load import load as load_settings
from tests.models.engine import tiny

KINFLOW = [sys.executable, "-W", "error", "-c", "from kinflow.main import main; main()"]
ROOM = 4096
# No two begin alike: what is known of one would not be asked for again.
LENGTHS = {40: 3_499, 41: 3_499, 42: 600, 43: 29}
FIRST, KILLED, LAST, SHORT = [
    [begin, *(5 + place * 7 % 200 for place in range(length))] for begin, length in LENGTHS.items()
]
SAYS = Sampling(temperature=0.0, max_tokens=6, bias={tiny.END: float("-inf")})


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("home")
    file = tiny.dense(home / "little.gguf")
    Trust(home / "models").accept(file, fingerprint(file))
    return file


@pytest.fixture
def weights(file: Path) -> Iterator[Loaded]:
    weights = load(file, Trust(file.parent / "models"))
    yield weights
    weights.close()


@pytest.fixture
def worker(file: Path) -> Iterator[tuple[subprocess.Popen[str], str, Path]]:
    command = [*KINFLOW, "serving", "prefill", "--file", str(file), "--listen", "127.0.0.1:0", "--threads", "1"]
    command += ["--context-tokens", str(ROOM), "--sequences", "1", "--home", str(file.parent)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    told = json.loads(process.stdout.readline())
    yield process, told["listen"], Path(told["secret_file"])
    process.kill()
    process.wait()
    process.stdout.close()


class Watched(LlamaEngine):
    """slow: whether steps take so long that bringing pays. at_range: called with each range's number when it is in."""

    slow = True
    ranges = 0

    def at_range(self, number: int) -> None:
        """Nothing."""

    def decode(self, pieces: Sequence[Piece]) -> list[Output]:
        if self.slow:
            time.sleep(0.005 * sum(piece.rows for piece in pieces))
        return super().decode(pieces)

    def adopt(self, sequence: int, portion: Portion) -> None:
        super().adopt(sequence, portion)
        self.ranges += 1
        self.at_range(self.ranges)


def opened(weights: Loaded, *, slow: bool = True) -> Watched:
    engine = Watched(weights, Options(context_tokens=ROOM, sequences=1, batch_tokens=512, threads=1))
    engine.slow = slow
    return engine


async def said(scheduler: StallFreeScheduler, prompt: Sequence[int]) -> list[int]:
    return [step.choice.token async for step in scheduler.answer(prompt, SAYS)]


def test_a_worker_that_is_killed_in_the_middle_costs_no_token(
    worker: tuple[subprocess.Popen[str], str, Path], weights: Loaded, caplog: pytest.LogCaptureFixture
) -> None:
    process, where, secret_file = worker
    assert stat.S_IMODE(secret_file.stat().st_mode) == 0o600
    engine = opened(weights)

    async def work() -> None:
        scheduler = await SeparatedScheduler.open_with(lambda: engine, where, secret_file, Pool(0))
        assert scheduler.fetcher is not None
        while scheduler.fetcher.worker is None:
            await asyncio.sleep(0.01)
        await said(scheduler, SHORT)
        engine.slow = False
        await said(scheduler, FIRST)
        assert (scheduler.tally.prefill_fetched, engine.ranges) == (1, 14)

        engine.at_range = lambda number: process.send_signal(signal.SIGKILL) if number == 15 else None  # type: ignore[method-assign]
        found = await said(scheduler, KILLED)
        assert (scheduler.tally.prefill_fetched, scheduler.tally.prefill_failed) == (1, 1)
        assert 15 <= engine.ranges < 28
        assert await said(scheduler, LAST)
        assert scheduler.tally.prefill_failed == 1
        await scheduler.close()

        plain = await StallFreeScheduler.open(lambda: opened(weights, slow=False))
        assert await said(plain, KILLED) == found
        await plain.close()

    asyncio.run(work())
    assert "computed here after all: KF527" in caplog.text


def test_it_ends_in_good_order_and_listens_nowhere_else_unasked(
    worker: tuple[subprocess.Popen[str], str, Path], file: Path
) -> None:
    process, _, _ = worker
    process.terminate()
    assert process.wait(30) == 0
    command = [*KINFLOW, "serving", "prefill", "--file", str(file), "--listen", "0.0.0.0:0", "--home", str(file.parent)]
    refused = subprocess.run(command, capture_output=True, text=True, timeout=50, check=False)
    assert refused.returncode != 0
    assert "--allow-lan" in refused.stderr


def test_the_settings_name_the_worker(tmp_path: Path, weights: Loaded) -> None:
    (tmp_path / "kinflow.toml").write_text('[serving]\nprefill = "closet.local:8805"\n')
    settings = load_settings(tmp_path, environment={}).settings.serving

    async def work() -> None:
        scheduler = await opener_of(tmp_path, settings)(lambda: opened(weights))
        assert isinstance(scheduler, SeparatedScheduler)
        assert scheduler.fetcher is not None
        assert scheduler.fetcher.where == "closet.local:8805"
        await scheduler.close()

    asyncio.run(work())
    assert os.listdir(tmp_path) == ["kinflow.toml"]
