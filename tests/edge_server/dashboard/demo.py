"""The dashboard with scripted traffic, for work on the page: `python -m tests.edge_server.dashboard.demo [port]`."""

from __future__ import annotations

import math
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from edge_server.gateway.app import Gateway
from edge_server.gateway.server import GatewayServer
from protocol.errors import KinflowError
from protocol.ids import CameraId, IntersectionId
from protocol.messages import CameraHealth
from tests.edge_server.dashboard.ambulance import Asking, enter
from tests.edge_server.gateway.demo_edge import SIDES, DemoEdge

NAMES = ("west", "east")
ROUTE = (("ambulance-1", "west", "w", 6), ("ambulance-1", "east", "w", 24), ("ambulance-2", "west", "n", 15))
PEAKS = {"west-n": 0.2, "west-e": 0.45, "west-s": 0.15, "west-w": 0.92, "east-n": 0.35, "east-e": 0.7, "east-s": 0.1}


def populate(edge: DemoEdge) -> None:
    """A city in the middle of its day: four agents, two controllers, some trouble."""
    for number, name in ((1, "west"), (2, "east")):
        sides = [f"{name}-{side}" for side in SIDES]
        for agent, half in ((f"pi-{2 * number - 1}", sides[:2]), (f"pi-{2 * number}", sides[2:])):
            cameras = tuple((f"cam-{approach}", approach) for approach in half)
            edge.join(agent, cameras=cameras, simulated=True, hardware="Raspberry Pi 4")
            healths = tuple(CameraHealth(CameraId(camera), "running", 12.4) for camera, _ in cameras)
            edge.health(agent, cameras=healths, temperature_c=52.0 + number)
        edge.join(f"controller-{name}", role="controller", simulated=True, software="simulated controller")
    edge.health("pi-4", (CameraHealth(CameraId("cam-east-s"), "stalled", 0.0, 3, "no frame for 8 s"),), rss_mb=101.0)
    for side in SIDES:
        for name in NAMES:
            for _ in range(2):
                say(edge, f"{name}-{side}", 0.0)
    edge.alarm("camera-stalled", "cam-east-s", "warning", "No frame for 8 s; the source is started again.", code="KF57")
    edge.alarm("wrong-way", "west-e", "critical", "A vehicle drives against the traffic.")
    edge.alarm("outbox-full", "pi-2", "info", "Old telemetry was thinned.")
    edge.alarm("outbox-full", "pi-2", "info", "There is room again.", active=False)
    for text in ("pi-1 joined", "pi-2 joined", "pi-3 joined", "pi-4 joined"):
        edge.log("device-joined", text, subject=text.split()[0])
    edge.log("camera-stalled", "cam-east-s gives no frames", "warning", "cam-east-s")
    edge.log("lease-taken", "Mill Street is steered by this server, epoch 3", subject="west")


def history(edge: DemoEdge, minutes: int = 15) -> None:
    """What the store would hold of the last minutes, without showing it as live."""
    for step in range(minutes * 6, 0, -1):
        for approach in ("west-w", "east-e"):
            index = wave(approach, -step * 10.0)
            edge.observe(approach, index, spread=0.06, age_ms=step * 10_000)


def wave(approach: str, at_s: float) -> float:
    peak = PEAKS.get(approach, 0.5)
    return max(0.02, min(1.0, peak * (0.85 + 0.15 * math.sin(at_s / 40)) + 0.03 * math.sin(at_s / 5)))


def say(edge: DemoEdge, approach: str, at_s: float) -> None:
    if approach == "east-w":
        edge.observe(approach, None, status="learning")
    elif approach == "east-s":
        edge.observe(approach, None, status="blind")
    else:
        wide = 0.28 if approach == "east-n" else 0.05
        emergency = "present" if approach == "west-e" else "absent"
        edge.observe(approach, wave(approach, at_s), spread=wide, emergency=emergency)


def signals(edge: DemoEdge, at_s: float) -> None:
    for name, shift in (("west", 0), ("east", 9)):
        t = (at_s + shift) % 36
        main = "green" if t < 15 else "yellow" if t < 18 else "red"
        side = "green" if 20 <= t < 31 else "yellow" if 31 <= t < 34 else "red"
        walk = "walk" if t < 6 else "pedestrian-clearance" if t < 13 else "red"
        control = "local" if name == "east" else "edge"
        edge.heartbeat(name, {2: side, 4: main, 12: walk}, control=control)
    edge.command("west", (4, 12), "east-west holds: longest weighted queue, 38 m")


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        enter(Path(folder))
        edge = DemoEdge(Path(folder))
        edge.modes.lower(IntersectionId("east"), "advise", "anna", "the new crossing is being watched")
        edge.deciding()
        vehicles = {name: Asking(edge, name) for name in ("ambulance-1", "ambulance-2")}
        gateway = Gateway(edge.context)
        server = GatewayServer(gateway, port=int(sys.argv[1]) if len(sys.argv) > 1 else 0)
        history(edge)
        server.start()
        print(f"http://127.0.0.1:{server.port}", flush=True)
        populate(edge)
        at_s = 0.0
        try:
            while True:
                for name in NAMES:
                    for side in SIDES:
                        say(edge, f"{name}-{side}", at_s)
                signals(edge, at_s)
                edge.service.tick()
                if at_s % 1.0 == 0:
                    for who, place, side, arrives_s in ROUTE:
                        with suppress(KinflowError):  # its cap, its lock-out
                            vehicles[who].ask(place, f"{place}-{side}", arrives_in_ms=arrives_s * 1000)
                edge.vehicle("ambulance-1", -110 + (at_s * 12) % 480, -4)
                time.sleep(0.5)
                at_s += 0.5
        finally:
            server.stop()
            edge.close()


if __name__ == "__main__":
    main()
