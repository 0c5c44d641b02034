"""The load process of `bench edge` and `bench fleet`: simulated devices, and one reader of the dashboard's stream.

Reads its orders as JSON from standard input, writes what happened as JSON to standard output. Devices and reader share
one event loop, so that publishing and showing are timed by one clock.
"""

from __future__ import annotations

import asyncio
import resource
import sys
from collections import OrderedDict
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import msgspec
from msgspec import Struct

from benchmarks.pki import device_context
from node.broker.port import BrokerAddress
from node.clock import SystemClock
from protocol.ids import ApproachId, MessageId
from sim_devices.fleet.fleet import Load, allow_files, run_load

SETTLE_S = 2.0


class Orders(Struct):
    """pki: the folder of certificates (benchmarks/pki.py); "" for a broker without TLS."""

    broker_port: int
    broker_password: str
    devices: int
    rate: float
    seconds: float
    drain_s: float
    gateway_port: int
    token: str
    pki: str = ""
    host: str = "127.0.0.1"
    window: int | None = None


class Report(Struct):
    """numbered: source, boot, highest number. event_ms: of each observation, from publish to its event at the stream's
    reader; one that a newer one of its approach overtook counts until that newer one was shown."""

    numbered: list[tuple[str, str, int]]
    held_back: int
    repeated: int
    reconnected: int
    unacknowledged: int
    load_s: float
    drain_s: float
    event_ms: list[float]
    open_files_limit: int
    cpu_s: float
    connect_s: float = 0.0
    alarm_acked_ms: list[int] = []


class _Shown(Struct):
    id: str
    observation: str | None = None


class Stopwatch:
    """Times observations from publish to event."""

    def __init__(self) -> None:
        self.event_ms: list[float] = []
        self._waiting: dict[str, OrderedDict[str, int]] = {}
        self._decode = msgspec.json.Decoder(_Shown).decode

    def sent(self, approach: ApproachId, message: MessageId, at_us: int) -> None:
        self._waiting.setdefault(approach, OrderedDict())[message] = at_us

    def shown(self, data: bytes, now_us: int) -> None:
        shown = self._decode(data)
        waiting = self._waiting.get(shown.id)
        if waiting is None or shown.observation not in waiting:
            return
        while waiting:
            message, at_us = waiting.popitem(last=False)
            self.event_ms.append((now_us - at_us) / 1000)
            if message == shown.observation:
                break


async def events(port: int, token: str) -> AsyncIterator[tuple[bytes, bytes]]:
    """Server-sent events of the gateway as (name, data)."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 24)
    try:
        host = f"Host: 127.0.0.1\r\nAuthorization: Bearer {token}\r\n\r\n"
        writer.write(f"GET /api/v1/events HTTP/1.1\r\n{host}".encode())
        head = await reader.readuntil(b"\r\n\r\n")
        if b" 200 " not in head.split(b"\r\n", 1)[0]:
            raise ConnectionError(f"the dashboard's stream was refused: {head.splitlines()[0].decode()}")
        rest = b""
        while size := int(await reader.readuntil(b"\r\n"), 16):
            rest += (await reader.readexactly(size + 2))[:-2]
            *whole, rest = rest.split(b"\n\n")
            for event in whole:
                fields = dict(line.split(b": ", 1) for line in event.splitlines() if b": " in line)
                yield fields.get(b"event", b""), fields.get(b"data", b"")
    finally:
        writer.close()


async def _watch(orders: Orders, stopwatch: Stopwatch) -> None:
    loop = asyncio.get_running_loop()
    async for name, data in events(orders.gateway_port, orders.token):
        if name == b"approach":
            stopwatch.shown(data, round(loop.time() * 1e6))


async def carry_out(orders: Orders) -> Report:
    limit = allow_files(0)
    address = BrokerAddress(port=orders.broker_port, username="kinflow", password=orders.broker_password)
    tls = None
    if orders.pki:
        address = BrokerAddress(host=orders.host, port=orders.broker_port, tls=True)
        tls = partial(device_context, Path(orders.pki))
    load = Load(address, orders.devices, orders.rate, orders.seconds, orders.drain_s, tls=tls, window=orders.window)
    stopwatch = Stopwatch()
    watching = asyncio.create_task(_watch(orders, stopwatch) if orders.gateway_port else asyncio.sleep(0))
    outcome = await run_load(load, SystemClock(), stopwatch.sent, settle_s=SETTLE_S)
    if watching.done():
        watching.result()
    watching.cancel()
    used = resource.getrusage(resource.RUSAGE_SELF)
    return Report(
        [(source, boot, highest) for (source, boot), highest in outcome.numbered.items()],
        outcome.held_back,
        outcome.repeated,
        outcome.reconnected,
        outcome.unacknowledged,
        outcome.load_s,
        outcome.drain_s,
        stopwatch.event_ms,
        limit,
        used.ru_utime + used.ru_stime,
        outcome.connect_s,
        outcome.alarm_acked_ms,
    )


if __name__ == "__main__":
    orders = msgspec.json.decode(sys.stdin.buffer.read(), type=Orders)
    sys.stdout.buffer.write(msgspec.json.encode(asyncio.run(carry_out(orders))))
