"""Faults over HTTP."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from sim_devices.errors import CityNotRunning, FaultUnknown
from sim_devices.faults.client import FaultClient
from sim_devices.faults.desk import CONTROLLER_FAULTS, FaultDesk
from sim_devices.faults.panel import FaultPanel
from sim_devices.faults.proxy import LinkProxy
from sim_devices.streams.channel import CAMERA_FAULTS, Channel

TOKEN = "a-token-for-this-test"


class City:
    def __init__(self) -> None:
        self.camera = Channel()
        self.link = LinkProxy(("127.0.0.1", 9))
        self.injected: list[str | None] = []
        self.desk = FaultDesk({"mill-north-camera": self.camera}, {"mill": self.injected.append}, {"edge": self.link})
        self.panel = FaultPanel(self.desk, TOKEN)


@pytest.fixture
def city() -> Iterator[City]:
    one = City()
    one.panel.start()
    yield one
    one.panel.stop()
    one.link.stop()


def ask(city: City, method: str, path: str, wish: Any = None, **headers: str) -> tuple[int, dict[str, Any]]:
    connection = http.client.HTTPConnection(str(urlsplit(city.panel.url).netloc), timeout=10)
    try:
        body = None if wish is None else wish if isinstance(wish, bytes) else json.dumps(wish).encode()
        connection.request(method, path, body, {"Authorization": f"Bearer {TOKEN}", **headers})
        response = connection.getresponse()
        return response.status, json.loads(response.read())
    finally:
        connection.close()


def test_each_kind_of_fault_is_set_and_listed(city: City) -> None:
    assert ask(city, "PUT", "/faults/cameras/mill-north-camera", {"fault": "frozen"})[0] == 200
    assert ask(city, "PUT", "/faults/controllers/mill", {"fault": "dead"})[0] == 200
    assert ask(city, "PUT", "/faults/links/edge", {"cut": "black-hole", "delay_ms": 80})[0] == 200
    assert city.camera.fault == "frozen"
    assert city.injected == ["dead"]
    assert (city.link.state.cut, city.link.state.delay_ms) == ("black-hole", 80)
    _, state = ask(city, "GET", "/faults")
    assert state["cameras"]["mill-north-camera"] == {"fault": "frozen"}
    assert state["controllers"]["mill"] == {"fault": "dead"}
    assert state["links"]["edge"]["cut"] == "black-hole"
    assert state["known"]["cameras"] == list(CAMERA_FAULTS)


@pytest.mark.parametrize("fault", CAMERA_FAULTS)
def test_every_camera_fault_is_known(city: City, fault: str) -> None:
    assert ask(city, "PUT", "/faults/cameras/mill-north-camera", {"fault": fault})[0] == 200
    assert city.camera.fault == fault


@pytest.mark.parametrize("fault", [None, *CONTROLLER_FAULTS])
def test_every_controller_fault_is_passed_on(city: City, fault: str | None) -> None:
    assert ask(city, "PUT", "/faults/controllers/mill", {"fault": fault})[0] == 200
    assert city.injected == [fault]


@pytest.mark.parametrize(
    ("path", "wish"),
    [
        ("/faults/cameras/nobody", {"fault": "frozen"}),
        ("/faults/cameras/mill-north-camera", {"fault": "melted"}),
        ("/faults/cameras/mill-north-camera", b"\xff{"),
        ("/faults/controllers/mill", {"fault": "sleepy"}),
        ("/faults/links/edge", {"cut": "torn"}),
        ("/faults/links/edge", {"delay_ms": -5}),
        ("/faults/weather/mill", {"fault": "hail"}),
    ],
)
def test_what_is_no_fault_is_said_with_its_code(city: City, path: str, wish: Any) -> None:
    status, answer = ask(city, "PUT", path, wish)
    assert status == 404
    assert answer["code"] == "KF98"
    assert city.camera.fault == "live"
    assert city.link.state.cut == "up"


def test_the_client_reads_the_panel_file_and_passes_errors_on(city: City, tmp_path: Path) -> None:
    (tmp_path / "panel.toml").write_text(f'url = "{city.panel.url}"\ntoken = "{TOKEN}"\n')
    client = FaultClient.of_city(tmp_path)
    assert client.set("cameras/mill-north-camera", '{"fault": "stalled"}')["cameras"] == {
        "mill-north-camera": {"fault": "stalled"}
    }
    assert client.state()["controllers"] == {"mill": {"fault": None}}
    with pytest.raises(FaultUnknown, match="KF98"):
        client.set("cameras/mill-north-camera", '{"fault": "melted"}')
    assert TOKEN not in repr(client)


def test_a_city_that_does_not_run_is_said(city: City, tmp_path: Path) -> None:
    with pytest.raises(CityNotRunning, match="KF99"):
        FaultClient.of_city(tmp_path)
    with pytest.raises(CityNotRunning, match="token"):
        FaultClient(city.panel.url, "wrong").state()
    city.panel.stop()
    with pytest.raises(CityNotRunning):
        FaultClient(city.panel.url, TOKEN).state()


def test_nobody_without_the_token_or_from_elsewhere_is_heard(city: City) -> None:
    assert ask(city, "GET", "/faults", Authorization="Bearer wrong")[0] == 401
    assert ask(city, "PUT", "/faults/cameras/mill-north-camera", {"fault": "dead"}, Authorization="")[0] == 401
    assert ask(city, "GET", "/faults", Host="evil.example")[0] == 403
    assert city.camera.fault == "live"


def test_a_body_without_an_honest_length_is_refused(city: City) -> None:
    headers = {"Content-Length": "99999999"}
    assert ask(city, "PUT", "/faults/cameras/mill-north-camera", b"{}", **headers)[0] == 413
