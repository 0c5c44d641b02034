"""A crowd that leaves and sends nonsense: our server stays what it was, and one that does not is found out."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from benchmarks.serving import soak as soaking
from benchmarks.serving.prompts import Words
from benchmarks.serving.target import Target
from benchmarks.serving.traces.trace import Row
from kinflow.main import run
from tests.benchmarks.serving.house import TOKEN, serving
from tests.benchmarks.serving.test_replay import HEAD, LAST, PIECE, talking


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(soaking, "QUIET_S", 0.1)
    monkeypatch.setattr(soaking, "AT_ONCE", 8)


def test_our_server_stays_what_it_was(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    key = tmp_path / "key"
    key.write_text(TOKEN)
    with serving() as url:
        command = ["bench", "serving", "--url", url, "--soak", "--minutes", "0.05", "--clients", "10", "--json"]
        assert run([*command, "--token-file", str(key)]) == 0
    figures = json.loads(capsys.readouterr().out)
    soaked = figures["soak"]
    assert (soaked["stuck_slots"], soaked["slots_before"]) == (0, 4)
    assert (soaked["incomplete"], soaked["swallowed"]) == (0, 0)
    assert soaked["complete"] > 0
    assert soaked["left"] > 0
    assert soaked["nonsense"]
    assert all(": 4" in what or what.endswith("no answer") for what in soaked["nonsense"])
    assert figures["rss_growth"] == soaked["rss_growth"]
    assert figures["rss_growth"] is not None


def test_a_server_that_keeps_what_nobody_wants_any_more_is_found_out() -> None:
    """Three answers at once; the first who leaves takes a place along."""
    places = 3

    async def work() -> soaking.Soaked:
        free = asyncio.Semaphore(places)
        lost = 0

        async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal lost
            body = await asyncio.wait_for(reader.read(1 << 16), 0.2)
            if b'"stream":true' not in body:
                writer.write(b"HTTP/1.1 400 No\r\nContent-Length: 0\r\n\r\n")
                return
            await free.acquire()
            writer.write(HEAD + b"\r\n")
            for _ in range(6):
                writer.write(PIECE)
                await asyncio.sleep(0.01)
                if writer.is_closing() or reader.at_eof():
                    lost += 1
                    if lost == 1:
                        return
                    break
            free.release()
            writer.write(LAST)

        async with talking(talk) as server:
            target = Target(server, "completions", "m", Words("ab", 0, 1))
            setting = soaking.Setting(clients=6, seconds=1.0, patience_s=20)
            found, _ = await soaking.soak(target, [Row(0, 5, 6)], setting, None, lambda _: None)
            return found

    soaked = asyncio.run(work())
    assert soaked.slots_before == places
    assert soaked.stuck_slots == 1
    assert soaked.rss_growth is None


def test_nonsense_that_is_taken_is_told() -> None:
    async def work() -> soaking.Soaked:
        async def talk(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(HEAD + b"\r\n" + PIECE + PIECE[:-9])

        async with talking(talk) as server:
            target = Target(server, "completions", "m", Words("ab", 0, 1))
            setting = soaking.Setting(clients=10, seconds=1.0, patience_s=20)
            found, _ = await soaking.soak(target, [Row(0, 5, 6)], setting, None, lambda _: None)
            return found

    soaked = asyncio.run(work())
    assert soaked.swallowed > 0
    assert soaked.incomplete > 0
    assert soaked.complete == 0
