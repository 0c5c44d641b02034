"""Two sites, each with an edge server of its own root: a vehicle's route is handed from one to the other."""

from __future__ import annotations

import base64
import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from edge_server.errors import NotANeighbour
from edge_server.neighbours.door import NeighbourDoor
from edge_server.neighbours.link import NeighbourLink
from edge_server.neighbours.wire import HAND_OVER, ROOT, HandedOver
from edge_server.server import EdgeOptions, EdgeServer
from node.broker.mosquitto import MosquittoBroker
from node.broker.paho_client import PahoClient
from node.clock import ManualClock, SystemClock
from node.identity import Identity
from node.link import death_will
from node.trust.asking import BASE
from node.trust.authority import Authority
from node.trust.keys import read_key
from node.trust.signed_request import sign_request
from protocol.codec import decode, encode
from protocol.ids import DeviceId
from protocol.messages import PriorityStatus
from protocol.site import Neighbour
from protocol.topics import PRIORITY_ROUTE, PRIORITY_STATUS
from tests.edge_server.signals.preemption.desk_kit import STRANGER, enter_vehicles
from tests.edge_server.signals.preemption.wave_kit import Driver, road, way

LEGS = (*way("first", "second", site="west", out="bridge"), *way("third", site="east"))


class TwoSites:
    def __init__(self, folder: Path, mosquitto: MosquittoBroker, ports: dict[str, int]) -> None:
        homes = {site: folder / site for site in ports}
        pins = {}
        for site, home in homes.items():
            home.mkdir()
            enter_vehicles(home)
            authority = Authority(home / "authority", DeviceId(f"edge-{site}"), 0)
            pins[site] = authority.pin.hex()

        def neighbour(site: str, *exits: str) -> Neighbour:
            return Neighbour(site=site, hosts=("127.0.0.1",), http_port=ports[site], pin=pins[site], exits=exits)

        sites = {
            "west": road("first", "second", site="west", onward="bridge", neighbours=(neighbour("east", "bridge"),)),
            "east": road("third", site="east", neighbours=(neighbour("west"),)),
        }
        self.servers = {
            site: EdgeServer(
                EdgeOptions(
                    home=home, database=home / "edge.db", device=DeviceId(f"edge-{site}"), version="1",
                    site=sites[site], broker=mosquitto.address, prefix=site, port=ports[site],
                )
            )
            for site, home in homes.items()
        }  # fmt: skip
        self.homes, self.ports = homes, ports

    def claim(self, site: str, intersection: str) -> Any:
        desk = self.servers[site].context.preemption
        assert desk is not None
        return desk.states[intersection].claim_of("ambulance-1")


@pytest.fixture
def two(tmp_path: Path, mosquitto: MosquittoBroker, free_port: Callable[[], int]) -> Iterator[TwoSites]:
    two = TwoSites(tmp_path, mosquitto, {"west": free_port(), "east": free_port()})
    for server in two.servers.values():
        server.start()
    yield two
    for server in two.servers.values():
        server.stop()


def until(true: Callable[[], Any], seconds: float = 20.0) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := true()):
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(0.05)
    return found


def test_one_message_asks_in_both_sites_and_the_vehicle_hears_of_both(
    two: TwoSites, mosquitto: MosquittoBroker
) -> None:
    driver = Driver(SystemClock())
    heard: dict[str, PriorityStatus] = {}
    client = PahoClient(mosquitto.address, "ambulance-1", death_will(Identity(DeviceId("ambulance-1"), SystemClock())))
    client.subscribe(
        PRIORITY_STATUS.of(DeviceId("ambulance-1"), prefix="west"),
        0,
        lambda got: heard.update({(said := decode(PRIORITY_STATUS, got.payload)).intersection: said}),
    )
    client.start()
    try:

        def say(action: str = "renew") -> bool:
            message = driver.route(LEGS, action)
            client.publish(PRIORITY_ROUTE.of(message.source, prefix="west"), encode(message), 0)
            return True

        until(lambda: say() and two.claim("east", "third"))
        until(lambda: say() and heard.keys() >= {"first", "second", "third"})
        assert two.claim("west", "first") is not None
        until(lambda: say("cancel") and two.claim("east", "third") is None)
        assert two.claim("west", "second") is None
        _meddle(two, driver)
    finally:
        client.stop()


def _meddle(two: TwoSites, driver: Driver) -> None:
    """What is no neighbour's is refused, and so is a vehicle's message that somebody changed on the way."""
    east = f"http://127.0.0.1:{two.ports['east']}{BASE}{HAND_OVER}"
    west = Authority(two.homes["west"] / "authority", DeviceId("edge-west"), 0)
    other = Authority(two.homes["west"] / "another", DeviceId("edge-evil"), 0)
    other.ensure_server(("localhost",), 1_760_000_000_000)
    root = Authority(two.homes["east"] / "authority", DeviceId("edge-east"), 0).ca
    good = msgspec.json.encode(HandedOver(route=driver.route(LEGS)))
    assert _post(east, good, {}) == (403, "KF329")
    assert _post(east, good, _headers(other, root, good)) == (403, "KF329")
    assert _post(east, good, _headers(west, west.ca, good)) == (403, "KF329"), "meant for another site"
    assert _post(east, good + b" ", _headers(west, root, good)) == (403, "KF329")
    once = _headers(west, root, good)
    assert _post(east, good, once)[0] == 200
    assert _post(east, good, once) == (403, "KF329"), "it came before"
    forged = msgspec.json.encode(HandedOver(route=driver.route(LEGS, key=STRANGER)))
    assert _post(east, forged, _headers(west, root, forged)) == (200, "KF310")
    bad = b'{"route": 1}'
    assert _post(east, bad, _headers(west, root, bad)) == (422, "KF93")


def _headers(authority: Authority, root: str, body: bytes) -> dict[str, str]:
    key = read_key(authority.folder / "server.key")
    certificate = (authority.folder / "server.pem").read_text()
    signed = sign_request(key, certificate, root, "POST", BASE + HAND_OVER, body, SystemClock().wall_ms())
    return {**signed, ROOT: base64.b64encode(authority.root.public_bytes(Encoding.DER)).decode()}


def _post(url: str, body: bytes, headers: dict[str, str]) -> tuple[int, str]:
    request = urllib.request.Request(url, body, {"Content-Type": "application/json", **headers}, method="POST")
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, json.loads(answer.read())["refusal"]
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read())["error"]["code"]


def test_a_neighbour_out_of_reach_is_told_after_a_while_and_again_when_it_is_back(
    tmp_path: Path, free_port: Callable[[], int]
) -> None:
    clock = ManualClock(monotonic_ms=100_000)
    authority = Authority(tmp_path / "authority", DeviceId("edge-west"), 0)
    authority.ensure_server(("localhost",), clock.wall_ms())
    told: list[tuple[str, str, bool]] = []
    link = NeighbourLink(
        Neighbour(site="east", hosts=("127.0.0.1",), http_port=free_port(), pin="0" * 64),
        authority,
        clock,
        lambda *_: None,
        lambda name, error, active: told.append((name, error.code, active)),
    )
    message = Driver(clock).route(LEGS)
    link.step(message)
    assert told == [], "the next message comes in a second"
    clock.advance(10_000)
    link.step(message)
    link.step(message)
    assert told == [("neighbour-unreached-east", "KF328", True)]
    link._judge(None)
    assert told[1:] == [("neighbour-unreached-east", "KF328", False)]


def test_a_root_that_nobody_pins_opens_no_door(tmp_path: Path) -> None:
    clock = ManualClock()
    own = Authority(tmp_path / "own", DeviceId("edge-east"), 0)
    door = NeighbourDoor((), own.root, clock)
    scope = {"headers": [(ROOT.encode(), base64.b64encode(own.root.public_bytes(Encoding.DER)))], "method": "POST"}
    with pytest.raises(NotANeighbour, match="pinned by no neighbour"):
        door.site_of(scope, b"")
    with pytest.raises(NotANeighbour, match="no root certificate"):
        door.site_of({"headers": [(ROOT.encode(), b"AAAA")], "method": "POST"}, b"")
