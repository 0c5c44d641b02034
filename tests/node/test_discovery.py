"""Finding edge servers, on the loopback interface."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from zeroconf import ServiceInfo

from node import discovery
from node.discovery import SERVICE, Advertisement, EdgeFound, find_edges, open_zeroconf, read_edge
from protocol.ids import DeviceId


@pytest.fixture
def network() -> Iterator[Any]:
    try:
        zeroconf = open_zeroconf(["127.0.0.1"])
    except OSError as error:
        pytest.skip(f"no multicast here: {error}")
    yield zeroconf
    zeroconf.close()


def test_two_edge_servers_are_both_found(network: Any) -> None:
    first = Advertisement(network, DeviceId("edge-a"), ["127.0.0.1"], 1883, 8800)
    second = Advertisement(network, DeviceId("edge-b"), ["127.0.0.1"], 1884, 8810)
    seeker = open_zeroconf(["127.0.0.1"])
    try:
        found = find_edges(seeker, seconds=20.0, enough=2)
    finally:
        seeker.close()
        first.close()
        second.close()
    assert found == [
        EdgeFound(DeviceId("edge-a"), "127.0.0.1", 1883, 8800, 1),
        EdgeFound(DeviceId("edge-b"), "127.0.0.1", 1884, 8810, 1),
    ]


def test_an_edge_server_is_found_by_each_of_its_addresses(network: Any) -> None:
    """Two of one id share a host's name, and so each other's addresses: the right one must be among them."""
    advertised = Advertisement(network, DeviceId("edge-a"), ["127.0.0.1", "127.0.0.9"], 1883, 8800)
    seeker = open_zeroconf(["127.0.0.1"])
    try:
        found = find_edges(seeker, seconds=20.0, enough=1)
    finally:
        seeker.close()
        advertised.close()
    assert {one.host for one in found} == {"127.0.0.1", "127.0.0.9"}
    assert {(one.edge, one.mqtt_port) for one in found} == {("edge-a", 1883)}


def test_nobody_there_is_an_empty_list(network: Any) -> None:
    assert find_edges(network, seconds=0.2) == []


@pytest.mark.parametrize(
    "properties",
    [
        {},
        {"edge": "../up", "http": "8800", "v": "1"},
        {"edge": "edge-a", "http": "many", "v": "1"},
        {"edge": "edge-a", "http": "99999", "v": "1"},
        {"edge": b"\xff", "http": "8800", "v": "1"},
        {"edge": "edge-a", "http": "8800", "v": None},
    ],
)
def test_a_made_up_answer_is_left_out(properties: dict[Any, Any]) -> None:
    info = ServiceInfo(
        SERVICE, f"x.{SERVICE}", port=1883, properties=properties, addresses=[socket.inet_aton("127.0.0.1")]
    )
    assert read_edge(info) is None


def test_a_fixed_address_pays_nothing_for_discovery() -> None:
    source = "import sys, node.discovery, node.link; sys.exit('zeroconf' in sys.modules)"
    root = Path(discovery.__file__).parent.parent
    assert subprocess.run([sys.executable, "-c", source], cwd=root, check=False).returncode == 0
