"""The whole system as a user starts it: processes, broker, store and all. One city, one story."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, TypeVar

import psutil
import pytest

from node.broker.paho_client import PahoClient
from node.broker.password import USERNAME, broker_password
from node.broker.port import BrokerAddress, Received
from node.ports import first_free_port
from protocol.codec import decode
from protocol.messages import Heartbeat, SignalCommand
from protocol.topics import HEARTBEAT, SIGNAL_COMMAND
from sim_devices.faults.client import FaultClient

T = TypeVar("T")
CUT_S = 12.0


def until(what: str, condition: Callable[[], T | None], patience_s: float = 90.0) -> T:
    deadline = time.monotonic() + patience_s
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
        time.sleep(0.2)
    raise AssertionError(f"waited in vain for: {what}")


class Ear:
    """Hears every heartbeat and every signal command on the broker, in order."""

    def __init__(self, address: BrokerAddress) -> None:
        self.heartbeats: list[tuple[float, Heartbeat]] = []
        self.commands: list[tuple[float, SignalCommand]] = []
        self.client = PahoClient(address, "ear")
        self.client.subscribe(HEARTBEAT.every(), 0, self._heartbeat)
        self.client.subscribe(SIGNAL_COMMAND.every(), 0, self._command)
        self.client.start()

    def latest(self) -> dict[str, Heartbeat]:
        return {one.intersection: one for _, one in self.heartbeats}

    def since(self, moment: float) -> list[Heartbeat]:
        return [one for at, one in self.heartbeats if at >= moment]

    def _heartbeat(self, received: Received) -> None:
        self.heartbeats.append((time.monotonic(), decode(HEARTBEAT, received.payload)))

    def _command(self, received: Received) -> None:
        assert not received.retained, "a command that moves traffic is never retained"
        self.commands.append((time.monotonic(), decode(SIGNAL_COMMAND, received.payload)))


class City:
    def __init__(self, home: Path) -> None:
        self.home = home
        self.port = first_free_port(28_800)
        self.log = home.parent / "city-run.log"
        command = [sys.executable, "-m", "kinflow", "city", "run", "--no-browser", "--level", "heavy"]
        command += ["--home", str(home), "--port", str(self.port)]
        environment = {**os.environ, "KINFLOW_HOME": str(home)}
        with self.log.open("wb") as output:
            self.process = subprocess.Popen(command, stdout=output, stderr=output, env=environment)
        until("the dashboard's address", lambda: "dashboard is at" in self.said() or self.process.poll())
        assert self.process.poll() is None, self.said()
        port = int(self.said().partition("listens on port ")[2].partition(")")[0])
        self.ear = Ear(BrokerAddress(port=port, username=USERNAME, password=broker_password(home)))
        self.faults = FaultClient.of_city(home / "city")

    def said(self) -> str:
        return self.log.read_text("utf-8")

    def rows(self, query: str, *values: object) -> list[Any]:
        with closing(sqlite3.connect(f"file:{self.home}/edge.db?mode=ro", uri=True)) as store:
            return store.execute(query, values).fetchall()

    def members(self) -> list[psutil.Process]:
        """Every process that belongs to this city, whoever started it."""
        found = []
        for process in psutil.process_iter():
            try:
                if str(self.home) in " ".join(process.cmdline()):
                    found.append(process)
            except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
                continue
        return found


@pytest.fixture
def city(tmp_path: Path) -> Iterator[City]:
    running = City(tmp_path / "home")
    try:
        yield running
    finally:
        running.ear.client.stop()
        if running.process.poll() is None:
            running.process.send_signal(signal.SIGINT)
            running.process.wait(20)


@pytest.mark.timeout(420)
def test_the_city_lives_through_a_cut(city: City) -> None:
    # Traffic builds: roads that were seen nearly empty are seen full.
    until(
        "an index that rises from free to dense",
        lambda: city.rows(
            "SELECT 1 FROM observations AS early JOIN observations AS late USING (approach)"
            " WHERE early.congestion = 'free' AND late.congestion IN ('dense', 'jam') AND early.id < late.id LIMIT 1"
        ),
        patience_s=150,
    )

    # The signals answer: both are under a lease, and greens were chosen for what the cameras saw.
    until("both signals under a lease", lambda: _steered(city.ear.since(0.0)))
    until(
        "a green given for pressure",
        lambda: city.rows("SELECT 1 FROM signal_log WHERE outcome = 'commanded' AND reason LIKE 'pressure%'"),
    )
    before = city.ear.latest()

    # The link is cut, for the cameras' devices and the controllers alike.
    for link in ("controllers", "agents"):
        city.faults.set(f"links/{link}", json.dumps({"cut": "black-hole"}))
    cut_ms, cut_at = time.time() * 1000, time.monotonic()
    time.sleep(CUT_S)
    healed_at = time.monotonic()
    for link in ("controllers", "agents"):
        city.faults.set(f"links/{link}", json.dumps({"cut": "up"}))
    healed_ms = time.time() * 1000

    def since_the_cut() -> list[Heartbeat]:
        """What controllers said once they had long missed the edge server. What they had said before that crosses after
        the cut too, where a connection lived through it."""
        return [one for one in city.ear.since(healed_at) if one.counter > before[one.intersection].counter + CUT_S]

    # The controllers had gone back to their own plan, and kept it running.
    for intersection, last in before.items():
        first = until(
            f"{intersection} heard again",
            lambda name=intersection: next((one for one in since_the_cut() if one.intersection == name), None),
        )
        assert first.boot == last.boot
        assert first.control == "local"
        assert first.lease is None

    # It heals: the edge server steers again, and no order given before is obeyed now.
    until("both signals under a lease again", lambda: _steered(since_the_cut()))
    early = {one.id for at, one in city.ear.commands if at < healed_at}
    late = {one.id for at, one in city.ear.commands if at >= healed_at}
    obeyed = [
        one.last_command.command
        for one in since_the_cut()
        if one.last_command is not None and one.last_command.refusal is None and one.control == "edge"
    ]
    assert obeyed
    assert set(obeyed) <= late
    assert not set(obeyed) & early
    assert not [at for at, _ in city.ear.commands if cut_at + 5.0 < at < healed_at], "nobody was there to command"

    # Nothing is missing from the store: neither what was seen during the cut nor any number.
    until(
        "what the cameras saw during the cut",
        lambda: (
            len(
                city.rows(
                    "SELECT DISTINCT camera FROM observations WHERE captured_ms BETWEEN ? AND ?",
                    cut_ms + 1000,
                    healed_ms - 1000,
                )
            )
            == 8
        ),
    )
    until("an unbroken account of both agents", lambda: _unbroken(city))
    assert city.rows("SELECT count(*) - count(DISTINCT source || boot || seq) FROM observations") == [(0,)]
    faults = city.rows("SELECT text FROM events WHERE kind LIKE '%conflict%' OR code IN ('KF84', 'KF85')")
    assert not faults

    # Ctrl-C ends all of it.
    assert len(city.members()) >= 5
    city.process.send_signal(signal.SIGINT)
    assert city.process.wait(20) == 0, city.said()
    assert not city.members()


def _steered(said: list[Heartbeat]) -> bool:
    latest = {one.intersection: one for one in said}
    return len(latest) == 2 and all(one.control == "edge" and one.lease is not None for one in latest.values())


def _unbroken(city: City) -> bool:
    """Each agent's numbers 1 to the highest are all in the store."""
    accounts = city.rows("SELECT source, highest, received FROM received WHERE source LIKE '%-pi'")
    return len(accounts) == 2 and all(json.loads(received) == [[1, highest]] for _, highest, received in accounts)
