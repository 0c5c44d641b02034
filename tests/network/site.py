"""One site as a person sets it up: an edge server, a cloud, three devices and somebody who wishes it ill, each on a
machine of its own. Everything is done through the command line."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.network.installed import Camera, Edge, Installed, until
from tests.network.lab import Network

EDGE, CLOUD, ATTACKER = "10.84.7.1", "10.84.7.2", "10.84.7.66"
DEVICES = {"cam-1": "10.84.7.11", "cam-2": "10.84.7.12", "cam-3": "10.84.7.13"}


class Site:
    def __init__(self, network: Network, folder: Path) -> None:
        self.network, self.folder = network, folder
        self.edge = Edge(network.add("edge", EDGE), folder / "edge", "edge-1")
        self.cloud = Installed(network.add("cloud", CLOUD), folder / "cloud", "cloud-1")
        self.devices = {
            name: Camera(network.add(name, address), folder / name, name) for name, address in DEVICES.items()
        }
        self.attacker = network.add("attacker", ATTACKER)

    def join_all(self) -> None:
        """Once in each way: a person agrees, the code says that nobody has to, and the edge server is found by mDNS."""
        first, second, third = self.devices.values()
        asking = first.begin("join", self.edge.code(), "--id", first.name, "--edge", EDGE, "--wait")
        (request,) = until("a request to join", lambda: self.edge.ask("edge", "requests")["requests"])
        until("the fingerprint on the device", lambda: request["fingerprint"] in first.said())
        self.edge.cli("edge", "approve", first.name)
        assert asking.wait(60) == 0, first.said()
        for device, where in ((second, EDGE), (third, "")):
            done = device.join(self.edge.code("--approved"), edge=where)
            assert done.returncode == 0, done.stderr

    def watch_all(self) -> None:
        for device in self.devices.values():
            device.watch()
        until("all devices online", lambda: self.edge.online() >= set(self.devices))

    def hear(self, device: Camera, path: Path) -> subprocess.Popen[bytes]:
        """Write all that crosses a device's cable into a file, for tests.network.listening.read()."""
        road = Installed(self.network.road, self.folder / "road")
        return road.program_that_runs("listening", device.machine.port, str(path))

    def stop(self) -> None:
        for one in (*self.devices.values(), self.edge, self.cloud):
            one.stop()
