"""The benches themselves: that they run, count honestly and clean up. Speed is not judged here."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import psutil
import pytest

from benchmarks import load as bench_load
from benchmarks.edge import _compare, percentile
from benchmarks.fleet import FleetFigures, plot
from benchmarks.load import Report, Stopwatch
from node.broker.mosquitto import find_mosquitto
from protocol.ids import ApproachId, new_message_id

BENCH = [sys.executable, "-c", "from kinflow.main import main; main()", "bench"]


@pytest.mark.timeout(120)
@pytest.mark.parametrize("broker", ["mosquitto", "amqtt"])
def test_a_short_run_loses_nothing_and_leaves_nothing_behind(broker: str, repository: Path) -> None:
    if broker == "mosquitto" and find_mosquitto() is None:
        pytest.skip("mosquitto is not installed")
    options = ["--broker", broker, "--rate", "60", "--seconds", "2", "--devices", "6", "--json"]
    ran = subprocess.run([*BENCH, "edge", *options], cwd=repository, capture_output=True, timeout=100, check=False)
    assert ran.returncode == 0, ran.stderr
    figures = json.loads(ran.stdout)
    assert figures["numbered"] == figures["stored"] >= 100
    assert (figures["lost"], figures["duplicated"]) == (0, 0)
    assert figures["messages_per_s"] > 0
    assert figures["p99_event_ms"] >= figures["p50_event_ms"] > 0
    assert figures["event_measured_at"] == "server-sent events"
    left = [
        one.info["cmdline"] for one in psutil.process_iter(["cmdline"]) if "edge-bench" in (one.info["cmdline"] or ())
    ]
    assert left == []


def test_what_is_not_in_the_store_counts_as_lost_and_what_is_there_twice_as_duplicated(tmp_path: Path) -> None:
    path = tmp_path / "edge.db"
    with closing(sqlite3.connect(path)) as store:
        store.execute("CREATE TABLE observations (source, boot, seq)")
        store.execute("CREATE TABLE alarms (source, boot, seq)")
        store.executemany("INSERT INTO observations VALUES (?, ?, ?)", [("a", "1", 1), ("a", "1", 1), ("b", "2", 1)])
        store.execute("INSERT INTO alarms VALUES ('a', '1', 3)")
        store.commit()
    report = Report([("a", "1", 4), ("b", "2", 1)], 0, 0, 0, 0, 1.0, 0.0, [], 0, 0.0)
    assert _compare(path, report) == (3, 1, 2)


def test_an_observation_that_was_overtaken_waits_until_the_newer_one_is_shown() -> None:
    stopwatch = Stopwatch()
    first, second = new_message_id(1), new_message_id(2)
    stopwatch.sent(ApproachId("north"), first, 1_000)
    stopwatch.sent(ApproachId("north"), second, 5_000)
    stopwatch.shown(json.dumps({"id": "north", "observation": "unknown"}).encode(), 9_000)
    stopwatch.shown(json.dumps({"id": "north", "observation": second}).encode(), 11_000)
    assert stopwatch.event_ms == [10.0, 6.0]


def test_the_stream_is_read_across_chunks() -> None:
    text = b'event: approach\nid: 1\ndata: {"id":"a"}\n\n: beat\nevent: beat\ndata: {}\n\n'

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        for at in range(0, len(text), 7):
            piece = text[at : at + 7]
            writer.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
        writer.write(b"0\r\n\r\n")
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    async def read() -> list[tuple[bytes, bytes]]:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        found = [event async for event in bench_load.events(port, "a token")]
        server.close()
        await server.wait_closed()
        return found

    assert asyncio.run(read()) == [(b"approach", b'{"id":"a"}'), (b"beat", b"{}")]


def test_percentiles_are_by_nearest_rank() -> None:
    assert percentile([], 0.5) is None
    assert percentile([float(one) for one in range(100)], 0.99) == 99.0
    assert percentile([1.0, 2.0, 3.0], 0.5) == 2.0


def test_the_plot_is_a_picture(tmp_path: Path) -> None:
    runs = [
        FleetFigures(
            devices=devices, rate_per_s=devices * 2.0, messages_per_s=devices * 1.9, rss_mb=80.0, p50_ms=20.0,
            p99_ms=None if devices == 10 else 60.0, lost=0, duplicated=0, held_back=0, reconnected=0,
            edge_cpu_percent=5.0, broker="mosquitto", open_files_limit=1_000,
        )
        for devices in (10, 100)
    ]  # fmt: skip
    plot(runs, tmp_path / "img" / "fleet.png")
    assert (tmp_path / "img" / "fleet.png").read_bytes().startswith(b"\x89PNG")
