"""A GPS receiver that is not real: sentences on a pseudo-terminal, or reports of a small gpsd on local TCP."""

from __future__ import annotations

import json
import os
import socketserver
import threading
import time
import tty
from collections.abc import Callable
from datetime import UTC, datetime

Now = Callable[[], int]


def system_ms() -> int:
    return time.time_ns() // 1_000_000


def sentence(body: str) -> bytes:
    total = 0
    for byte in body.encode("ascii"):
        total ^= byte
    return f"${body}*{total:02X}\r\n".encode("ascii")


def rmc(at_ms: int, valid: bool = True, talker: str = "GN") -> bytes:
    at = datetime.fromtimestamp(at_ms / 1000, UTC)
    state, place = ("A", "5230.000,N,01324.000,E,0.0,0.0") if valid else ("V", ",,,,,")
    return sentence(f"{talker}RMC,{_time(at)},{state},{place},{at:%d%m%y},,,{'A' if valid else 'N'}")


def zda(at_ms: int, talker: str = "GN") -> bytes:
    at = datetime.fromtimestamp(at_ms / 1000, UTC)
    return sentence(f"{talker}ZDA,{_time(at)},{at:%d,%m,%Y},00,00")


def _time(at: datetime) -> str:
    return f"{at:%H%M%S}.{at.microsecond // 10_000:02d}"


class SimulatedReceiver:
    """Says one batch of sentences every `every_s`, on a pseudo-terminal at `path`. offset_ms: what it adds to the
    time. spoil: changes each line before it is said. valid: it sees satellites."""

    def __init__(
        self, offset_ms: int = 0, every_s: float = 1.0, valid: bool = True, spoil: Callable[[bytes], bytes] = bytes
    ) -> None:
        self._master, slave = os.openpty()
        tty.setraw(slave)
        # Held open, or the line would hang up with each reader.
        self._slave = slave
        self.path = os.ttyname(slave)
        self.offset_ms, self._every_s, self.valid, self._spoil = offset_ms, every_s, valid, spoil
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="gps", daemon=True)

    def start(self) -> SimulatedReceiver:
        os.set_blocking(self._master, False)
        self._thread.start()
        return self

    def stop(self) -> None:
        self._ending.set()
        self._thread.join()
        os.close(self._master)
        os.close(self._slave)

    def _run(self) -> None:
        while not self._ending.wait(self._every_s):
            at_ms = system_ms() + self.offset_ms
            for line in (sentence("GPGSV,1,1,00"), rmc(at_ms, self.valid), zda(at_ms)):
                try:
                    os.write(self._master, self._spoil(line))
                except BlockingIOError:
                    # Nobody reads.
                    break


class SimulatedGpsd:
    """Answers ?WATCH with a VERSION and then a TPV every `every_s`. mode: 1 for no fix, 3 for one."""

    def __init__(self, offset_ms: int = 0, mode: int = 3, every_s: float = 0.1) -> None:
        self.offset_ms, self.mode, self.every_s = offset_ms, mode, every_s
        self.ending = threading.Event()
        self._server = _Gpsd(("127.0.0.1", 0), self)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), name="gpsd", daemon=True)

    @property
    def source(self) -> str:
        """For `time.gps`."""
        return f"gpsd://127.0.0.1:{self._server.server_address[1]}"

    def start(self) -> SimulatedGpsd:
        self._thread.start()
        return self

    def stop(self) -> None:
        self.ending.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def report(self) -> dict[str, object]:
        said: dict[str, object] = {"class": "TPV", "device": "/dev/ttyACM0", "mode": self.mode}
        if self.mode >= 2:
            at = datetime.fromtimestamp((system_ms() + self.offset_ms) / 1000, UTC)
            said |= {"time": f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03d}Z", "ept": 0.005}
        return said


class _Gpsd(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, address: tuple[str, int], simulated: SimulatedGpsd) -> None:
        self.simulated = simulated
        super().__init__(address, _Watcher)


class _Watcher(socketserver.StreamRequestHandler):
    server: _Gpsd

    def handle(self) -> None:
        simulated = self.server.simulated
        try:
            self._say({"class": "VERSION", "release": "3.25", "proto_major": 3, "proto_minor": 15})
            if not self.rfile.readline(1_000).startswith(b"?WATCH="):
                return
            self._say({"class": "DEVICES", "devices": []})
            while not simulated.ending.wait(simulated.every_s):
                self._say(simulated.report())
        except OSError:
            return

    def _say(self, report: dict[str, object]) -> None:
        self.wfile.write(json.dumps(report).encode("ascii") + b"\r\n")
