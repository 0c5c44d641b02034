"""Many simulated devices at a steady rate, and what became of their messages."""

from __future__ import annotations

import asyncio
import resource
import ssl
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial

from node.broker.port import BrokerAddress
from node.clock import Clock
from protocol.ids import ApproachId, DeviceId, MessageId
from protocol.topics import DEFAULT_PREFIX
from sim_devices.fleet.device import KEEPALIVE_S, SimDevice

STEP_S = 0.005
AT_ONCE = 50
JOIN_TIMEOUT_S = 60.0


@dataclass(frozen=True)
class Load:
    """rate: messages a second, of all devices together. drain_s: how long to wait for the last acknowledgements. tls:
    makes each device's own context; None for a connection without. window: how much each has under way before it holds
    back; None for what a device usually has."""

    address: BrokerAddress
    devices: int
    rate: float
    seconds: float
    drain_s: float = 30.0
    prefix: str = DEFAULT_PREFIX
    tls: Callable[[DeviceId], ssl.SSLContext] | None = None
    window: int | None = None


@dataclass
class Outcome:
    """numbered: the highest number of each device's boot; all below were made. unacknowledged: at the end.
    alarm_acked_ms: from an alarm's first sending to its acknowledgement. connect_s: until all were registered."""

    numbered: dict[tuple[str, str], int] = field(default_factory=dict)
    held_back: int = 0
    repeated: int = 0
    reconnected: int = 0
    unacknowledged: int = 0
    alarm_acked_ms: list[int] = field(default_factory=list)
    connect_s: float = 0.0
    load_s: float = 0.0
    drain_s: float = 0.0


Sent = Callable[[ApproachId, MessageId, int], None]


def allow_files(wanted: int) -> int:
    """Raise this process's limit of open files as far as it may; returns what it is now."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    limit = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < limit:
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
        return limit
    return soft


async def run_load(load: Load, clock: Clock, sent: Sent, settle_s: float = 0.0) -> Outcome:
    """Connect all devices, keep the rate for the time, wait for acknowledgements, leave. sent: called for each
    observation with its approach, its id and the loop's time in microseconds. settle_s: between joining and the load.

    Raises OSError or ConnectionError when a device can't connect.
    """
    loop = asyncio.get_running_loop()
    outcome, joining = Outcome(), loop.time()
    devices = await _connect(load, clock)
    outcome.connect_s = loop.time() - joining
    await asyncio.sleep(settle_s)
    beats = loop.create_task(_beat(devices, load, outcome))
    began = loop.time()
    made = 0
    while (elapsed := loop.time() - began) < load.seconds:
        due = int(elapsed * load.rate)
        for number in range(made, due):
            device = devices[number % len(devices)]
            observation = device.observe()
            if observation is not None:
                sent(device.approach, *observation)
        made = due
        await asyncio.sleep(STEP_S)
    ended = loop.time()
    while any(device.pending for device in devices) and loop.time() - ended < load.drain_s:
        await asyncio.sleep(0.05)
    outcome.numbered = {(one.identity.device, one.identity.boot): one.numbered for one in devices}
    outcome.held_back = sum(one.held_back for one in devices)
    outcome.repeated = sum(one.repeated for one in devices)
    outcome.alarm_acked_ms = [ms for one in devices for ms in one.alarm_acked_ms]
    outcome.unacknowledged = sum(one.pending for one in devices)
    outcome.load_s, outcome.drain_s = ended - began, loop.time() - ended
    beats.cancel()
    for device in devices:
        device.close()
    await asyncio.sleep(0.2)
    return outcome


async def _connect(load: Load, clock: Clock) -> list[SimDevice]:
    devices: list[SimDevice] = []
    for first in range(0, load.devices, AT_ONCE):
        some = range(first, min(first + AT_ONCE, load.devices))
        fresh = [
            SimDevice(DeviceId(f"bench-{number:05d}"), load.address, clock, load.prefix, load.window) for number in some
        ]
        await asyncio.gather(*(_open(one, load) for one in fresh))
        await asyncio.wait_for(asyncio.gather(*(device.ready for device in fresh)), JOIN_TIMEOUT_S)
        devices += fresh
    return devices


async def _beat(devices: list[SimDevice], load: Load, outcome: Outcome) -> None:
    """Spread over the second, so that five thousand devices don't speak at once. Reconnect those that were cut off."""
    count = 0
    while True:
        share = max(1, len(devices) // 20)
        for at in range(0, len(devices), share):
            for device in devices[at : at + share]:
                device.beat()
                if count % (KEEPALIVE_S // 2) == 0:
                    device.ping()
                if not device.connected:
                    outcome.reconnected += 1
                    with suppress(OSError):
                        await _open(device, load)
            await asyncio.sleep(0.05)
        count += 1


async def _open(device: SimDevice, load: Load) -> None:
    context = load.tls(device.identity.device) if load.tls is not None else None
    name = "" if context is not None else None
    loop = asyncio.get_running_loop()
    host, port = load.address.host, load.address.port
    await loop.create_connection(partial(_same, device), host, port, ssl=context, server_hostname=name)


def _same(device: SimDevice) -> SimDevice:
    return device
