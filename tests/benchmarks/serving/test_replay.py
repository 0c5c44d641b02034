"""A trace against real servers on loopback: ours, and ones that behave badly on purpose."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from benchmarks.errors import ServerUnmeasured
from benchmarks.serving.answer import Answer, Asking
from benchmarks.serving.prompts import Words
from benchmarks.serving.replay import Plan, replay, sendable
from benchmarks.serving.target import Target
from benchmarks.serving.traces.trace import Row, Trace
from benchmarks.serving.wire import Server
from kinflow.main import run
from tests.benchmarks.serving.house import TOKEN, serving

MOONCAKE = [
    {"timestamp": at, "input_length": 40 * size, "output_length": 4 * size, "hash_ids": [0]}
    for at, size in ((0, 1), (200, 3), (200, 2), (600, 2))
]


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    path = tmp_path / "little.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in MOONCAKE))
    return path


@pytest.fixture
def key(tmp_path: Path) -> Path:
    path = tmp_path / "key"
    path.write_text(f"{TOKEN}\n")
    return path


@pytest.mark.parametrize("api", ["chat", "completions"])
def test_every_request_is_answered_and_counted(
    trace: Path, key: Path, api: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plot = tmp_path / "plot.png"
    with serving() as url:
        command = ["bench", "serving", "--url", url, "--trace", str(trace), "--scale", "0.5", "--json"]
        assert run([*command, "--api", api, "--token-file", str(key), "--plot", str(plot)]) == 0
    figures = json.loads(capsys.readouterr().out)
    assert (figures["requests"], figures["failed"], figures["failures"]) == (4, 0, {})
    assert (figures["time_scale"], figures["trace"], figures["model"]) == (0.5, "little", "fake")
    # Each prompt has as many tokens as the trace says, by the server's own count.
    assert (figures["prompt_off"], figures["prompt_off_most"]) == (0, 0)
    assert 0 < figures["said_share"] <= 1
    assert figures["ttft_s"]["p50"] <= figures["ttft_s"]["p99"]
    assert set(figures["tbt_ms"]) == {"p50", "p99", "max"}
    assert figures["slo"]["how"].startswith("5 times alone, a prompt of 80 tokens")
    assert figures["rss_growth"] is not None
    assert plot.read_bytes().startswith(b"\x89PNG")


def test_a_wrong_key_and_nobody_there(trace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with serving() as url:
        assert run(["bench", "serving", "--url", url, "--trace", str(trace)]) == 254
    assert "KF464" in capsys.readouterr().err
    assert run(["bench", "serving", "--url", "http://127.0.0.1:9", "--trace", str(trace)]) == 254
    assert "KF464" in capsys.readouterr().err


def test_what_can_not_be_asked_for_is_left_out_and_told() -> None:
    made = Trace("made", (Row(0, 10, 0), Row(1, 10, 5), Row(2, 900, 200)))
    rows, left = sendable(made, most_tokens=1_000)
    assert rows == [Row(1, 10, 5)]
    assert left == {"failed at the time": 1, "longer than --most-tokens": 1}


def test_addresses_as_people_write_them() -> None:
    for url in (
        "127.0.0.1:81",
        "http://127.0.0.1:81/",
        "http://127.0.0.1:81/v1/",
        "http://127.0.0.1:81/v1/chat/completions",
    ):
        assert Server.of(url).url == "http://127.0.0.1:81/v1"
    assert Server.of("https://host/openai/v1").url == "https://host:443/openai/v1"
    for url in ("ftp://host", "http://", "http://host:port"):
        with pytest.raises(ServerUnmeasured):
            Server.of(url)


Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def talking(talk: Talk) -> AsyncIterator[Server]:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            await talk(reader, writer)
            await writer.drain()
        finally:
            writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    async with server:
        yield Server("127.0.0.1", server.sockets[0].getsockname()[1])


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
PIECE = b'data: {"choices": [{"delta": {"content": "a"}, "finish_reason": null}]}\n\n'
LAST = b'data: {"choices": [{"delta": {}, "finish_reason": "stop"}]}\n\ndata: [DONE]\n\n'
ENDINGS = {
    "": HEAD + b"\r\n" + PIECE + PIECE + LAST,
    "cut": HEAD + b"\r\n" + PIECE + PIECE,
    "cut ": HEAD + b"Content-Length: 5000\r\n\r\n" + PIECE + LAST.split(b"data: [DONE]")[0],
    "malformed": HEAD + b"\r\n" + PIECE + b"data: {oh\n\n",
    "malformed ": b"SSH-2.0-OpenSSH\r\n\r\n",
    "error in the stream": HEAD + b"\r\n" + PIECE + b'data: {"error": {"message": "full"}}\n\ndata: [DONE]\n\n',
    "http 429": b"HTTP/1.1 429 Too Many Requests\r\nContent-Length: 2\r\n\r\n{}",
    "http 500": b"HTTP/1.1 500 Oh\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
}


@pytest.mark.parametrize("kind", ENDINGS)
def test_each_way_to_fail_has_its_name(kind: str) -> None:
    async def talk(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(ENDINGS[kind])

    async def work() -> Answer:
        async with talking(talk) as server:
            asking = Asking(asyncio.get_running_loop().time(), 5, 2)
            return await asking.of(server, server.request("POST", "/chat/completions", b"{}"), 20)

    answer = asyncio.run(work())
    assert answer.failure == kind.strip()
    assert answer.tokens == (2 if kind in ("", "cut") else answer.tokens)


def test_patience_ends() -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD + b"\r\n" + PIECE)
        await writer.drain()
        await reader.read()

    async def work() -> Answer:
        async with talking(talk) as server:
            asking = Asking(asyncio.get_running_loop().time(), 5, 2)
            return await asking.of(server, server.request("POST", "/chat/completions"), 0.2)

    assert asyncio.run(work()).failure == "no end"


def test_a_slow_server_is_asked_all_the_same() -> None:
    """Open-loop: nothing is answered before everything was asked for, and what it took counts from when it was
    wanted."""
    together = 6
    arrived: list[float] = []

    async def work() -> list[Answer]:
        everybody = asyncio.Event()

        async def talk(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            arrived.append(asyncio.get_running_loop().time())
            if len(arrived) == together:
                everybody.set()
            await everybody.wait()
            writer.write(HEAD + b"\r\n" + PIECE + LAST)

        async with talking(talk) as server:
            target = Target(server, "chat", "m", Words("ab", 0, 1))
            rows = [Row(0.1 * number, 5, 1) for number in range(together)]
            return await replay(target, rows, 0, Plan(time_scale=0.5, patience_s=30))

    answers = asyncio.run(work())
    assert len(arrived) == together
    assert not any(one.failure for one in answers)
    intended = [one.intended_s - answers[0].intended_s for one in answers]
    assert intended == pytest.approx([0.05 * number for number in range(together)])
    assert all(one.sent_s >= one.intended_s for one in answers)
    firsts = [one.ttft_s for one in answers]
    # The last one to be asked releases all: the earlier one was wanted, the longer it has waited.
    assert firsts[0] - firsts[-1] > 0.1
