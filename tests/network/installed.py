"""Kinflow as it is installed on one machine: a state folder of its own and the command, which is all that is used."""

from __future__ import annotations

import atexit
import json
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

from node.broker.tls import MQTTS_PORT
from tests.film import film
from tests.network.lab import Machine, end

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 90.0
SOURCE = Path(__file__).with_name("wrong_clock.c")
RUNS = "the edge server runs"

T = TypeVar("T")


def until(what: str, condition: Callable[[], T | None], patience_s: float = PATIENCE_S) -> T:
    deadline = time.monotonic() + patience_s
    while time.monotonic() < deadline:
        if found := condition():
            return found
        time.sleep(0.1)
    raise AssertionError(f"waited in vain for: {what}")


class Installed:
    """off_s: how far the wall clock of what is started from now on is off."""

    def __init__(self, machine: Machine, home: Path, name: str = "", off_s: int = 0) -> None:
        self.machine, self.home, self.name, self.off_s = machine, home, name, off_s
        home.mkdir(parents=True, exist_ok=True)
        self.log = home / "out.log"
        self.log.touch()
        self.process: subprocess.Popen[bytes] | None = None

    def cli(self, *arguments: str) -> str:
        done = self.try_cli(*arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def try_cli(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return self.machine.run(self._command(arguments), self._environment())

    def ask(self, *arguments: str) -> Any:
        """What a command prints as JSON."""
        return json.loads(self.cli(*arguments, "--json"))

    def begin(self, *arguments: str) -> subprocess.Popen[bytes]:
        """A command that runs on."""
        return self.machine.start(self._command(arguments), self._environment(), self.log)

    def start(self, *arguments: str) -> None:
        self.process = self.begin(*arguments)

    def stop(self) -> None:
        if self.process is not None:
            end(self.process)

    def program(self, module: str, *arguments: str) -> Any:
        """What a program of these tests prints as JSON, run on this machine."""
        command = [sys.executable, "-m", f"tests.network.{module}", *arguments]
        done = self.machine.run(command, self._environment())
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def program_that_runs(self, module: str, *arguments: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", f"tests.network.{module}", *arguments]
        return self.machine.start(command, self._environment(), self.log)

    def alive(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self.said()[-3000:]
        return True

    def said(self) -> str:
        return self.log.read_text("utf-8", "replace")

    def rows(self, query: str, *values: object, store: str = "edge.db") -> list[Any]:
        with closing(sqlite3.connect(f"file:{self.home / store}?mode=ro", uri=True)) as opened:
            return opened.execute(query, values).fetchall()

    def _command(self, arguments: tuple[str, ...]) -> list[str]:
        return [sys.executable, "-m", "kinflow", *arguments]

    def _environment(self) -> dict[str, str]:
        own = {"PYTHONPATH": str(ROOT), "KINFLOW_HOME": str(self.home)}
        if self.name:
            own["KINFLOW_DEVICE_ID"] = self.name
        if self.off_s:
            own |= {"LD_PRELOAD": wrong_clock(), "LAB_CLOCK_OFF_S": str(self.off_s)}
        return own


class Edge(Installed):
    """An edge server that the network reaches."""

    def run(self) -> Edge:
        before = self.said().count(RUNS)
        self.start("edge", "run", "--host", "0.0.0.0")
        until("the edge server", lambda: self.alive() and self.said().count(RUNS) > before)
        return self

    def code(self, *arguments: str) -> str:
        return str(self.ask("edge", "code", *arguments)["code"])

    def connections(self, address: str = "") -> set[tuple[str, int]]:
        """Those from an address (default: from anywhere) to the broker's door for joined devices."""
        assert self.process is not None
        found = self.machine.established(MQTTS_PORT, self.process.pid)
        return {one for one in found if address in ("", one[0])}

    def online(self) -> set[str]:
        return {name for (name,) in self.rows("SELECT device FROM devices WHERE state = 'online'")}

    def accounts(self, device: str) -> list[tuple[str, int, list[list[int]]]]:
        """(boot, highest number, ranges that were received) of each run of a device."""
        found = self.rows("SELECT boot, highest, received FROM received WHERE source = ?", device)
        return [(boot, highest, json.loads(ranges)) for boot, highest, ranges in found]

    def unbroken(self, *devices: str) -> bool:
        """Of each device's each run, the numbers 1 to the highest are all here."""
        accounts = [self.accounts(device) for device in devices]
        runs = [run for account in accounts for run in account]
        return all(accounts) and all(ranges == [[1, highest]] for _, highest, ranges in runs)


class Camera(Installed):
    """A device that watches a road."""

    def join(self, code: str, *arguments: str, edge: str = "") -> subprocess.CompletedProcess[str]:
        return self.try_cli("join", code, "--id", self.name, *(["--edge", edge] if edge else []), *arguments)

    def watch(self) -> Camera:
        clip = self.home / "road.avi"
        if not clip.exists():
            film(clip)
        sizes = ("--road-width", "7", "--road-length", "40")
        self.start("agent", "run", "--camera", str(clip), "--camera-id", f"{self.name}-north", *sizes, "--no-page")
        return self


@cache
def wrong_clock() -> str:
    """The library of wrong_clock.c, compiled. It goes with this process."""
    folder = TemporaryDirectory(prefix="wrong-clock-")
    atexit.register(folder.cleanup)
    library = f"{folder.name}/wrong_clock.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", library, str(SOURCE)], check=True)
    return library
