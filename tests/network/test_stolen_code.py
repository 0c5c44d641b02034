"""Somebody on the network who took down a request to join, or got hold of a code, gets in by neither.

Run: pytest -m slow tests/network
"""

from __future__ import annotations

import json
import os
import secrets
import time
from collections.abc import Iterator
from typing import Any

import pytest

from node.trust.csr import make_csr
from node.trust.join_code import decode
from node.trust.keys import new_key
from protocol.ids import DeviceId
from tests.network.installed import Camera, until
from tests.network.lab import Network
from tests.network.listening import read
from tests.network.site import ATTACKER, EDGE, Site

# Failures count for each address: each test has a thief of its own.
REPLAYER, GUESSER = "10.84.7.67", "10.84.7.68"
RECORDS = ("certificates", "devices", "requests", "codes")
PER_MINUTE = 10

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def site(network: Network, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    made = Site(network, tmp_path_factory.mktemp("site"))
    for address in (REPLAYER, GUESSER):
        made.attacker.take(address)
    made.edge.run()
    yield made
    made.stop()


@pytest.fixture
def thief(site: Site) -> Camera:
    return Camera(site.attacker, site.folder / f"thief-{secrets.token_hex(4)}", "thief")


def records(site: Site) -> dict[str, list[Any]]:
    """Everything by which the edge server knows who may come in."""
    return {table: site.edge.rows(f"SELECT * FROM {table}", store="authority/authority.db") for table in RECORDS}


def alarms(site: Site) -> set[str]:
    return {alarm for (alarm,) in site.edge.rows("SELECT alarm FROM alarms WHERE active")}


def test_a_captured_request_that_is_sent_again_makes_no_second_certificate(site: Site, thief: Camera) -> None:
    device = site.devices["cam-1"]
    code = site.edge.code()
    assert device.join(code, edge=EDGE).returncode == 0
    under_way = device.home / "trust.joining"
    captured = {
        "attempt": json.loads((under_way / "joining.json").read_text())["attempt"],
        "secret": decode(code).secret.hex(),
        "csr": (under_way / "request.pem").read_text(),
    }
    ((status, answer),) = thief.program("posting", REPLAYER, EDGE, json.dumps(captured))
    assert (status, answer["state"]) == (202, "pending")
    (request,) = site.edge.ask("edge", "requests")["requests"]
    assert request["address"] == device.machine.address

    site.edge.cli("edge", "approve", device.name)
    assert device.join(code, edge=EDGE).returncode == 0
    other = site.edge.code("--approved")
    before = records(site)
    fresh = make_csr(new_key(), DeviceId("cam-1"), "agent")
    replays = (
        captured,
        captured,
        captured | {"attempt": secrets.token_hex(16)},
        captured | {"secret": decode(other).secret.hex()},
        captured | {"secret": decode(other).secret.hex(), "attempt": secrets.token_hex(16)},
        captured | {"csr": fresh},
        captured | {"csr": fresh, "attempt": secrets.token_hex(16)},
    )
    answers = thief.program("posting", REPLAYER, EDGE, *map(json.dumps, replays))
    assert [status for status, _ in answers] == [200, 200, 409, 422, 422, 409, 409]
    # What the very same request brings is the certificate that there is, for a key that the thief has not.
    for _, said in answers[:2]:
        assert said["standing"]["certificate"] == (device.home / "trust/certificate.pem").read_text()
    assert [said["error"]["code"] for _, said in answers[2:]] == ["KF167", "KF165", "KF165", "KF167", "KF167"]
    assert records(site) == before
    until("the alarm", lambda: "join-code-used-twice" in alarms(site))
    # The other code was not spent by that.
    assert site.devices["cam-3"].join(other, edge=EDGE).returncode == 0


def test_what_crossed_the_cable_tells_nothing_and_is_worth_nothing_again(site: Site, thief: Camera) -> None:
    device = site.devices["cam-2"]
    heard = site.folder / "heard"
    ear = site.hear(device, heard)
    until("an ear", heard.exists)
    code = site.edge.code("--approved")
    assert device.join(code, edge=EDGE).returncode == 0
    device.watch()
    until("its observations", lambda: site.edge.rows("SELECT 1 FROM observations WHERE source = 'cam-2'"))
    time.sleep(3.0)
    ear.kill()
    ear.wait()

    streams = [one for one in read(heard) if one.port in (8800, 8883)]
    assert {one.port for one in streams} == {8800, 8883}
    assert all(one.said[:1] == b"\x16" for one in streams), "it begins with something else than a TLS handshake"
    secret = decode(code).secret
    for stream in read(heard):
        for told in (secret, secret.hex().encode(), code.encode(), b"kinflow/1/", b"cam-2", b"CERTIFICATE"):
            assert told not in stream.said

    before, standing = records(site), site.edge.connections(device.machine.address)
    files = []
    for number, stream in enumerate(streams):
        path = site.folder / f"stream-{number}"
        path.write_bytes(stream.said)
        files.append(f"{stream.port}={path}")
    print(
        f"\n{len(files)} connections sent again, {sum(len(one.said) for one in streams)} bytes of what the device said"
    )
    thief.program("posting", ATTACKER, EDGE, *files)
    assert records(site) == before
    assert len(standing) == 1
    assert site.edge.connections(device.machine.address) == standing
    device.stop()


def test_a_code_that_was_used_lets_nobody_else_in(site: Site, thief: Camera) -> None:
    device, code = Camera(site.devices["cam-3"].machine, site.folder / "cam-4", "cam-4"), site.edge.code("--approved")
    assert device.join(code, edge=EDGE).returncode == 0
    before = records(site)
    done = thief.join(code, edge=EDGE)
    assert done.returncode != 0
    assert "KF167" in done.stderr
    assert not (thief.home / "trust").exists()
    assert records(site) == before
    until("the alarm", lambda: "join-code-used-twice" in alarms(site))


def test_a_code_that_ran_out_or_is_for_another_device_lets_nobody_in(site: Site, thief: Camera) -> None:
    short = site.edge.ask("edge", "code", "--approved", "--minutes", "0.1")
    until("its end", lambda: time.time() * 1000 > short["expires_ms"])
    for code in (short["code"], site.edge.code("--approved", "--for", "cam-9")):
        before = records(site)
        done = thief.join(code, edge=EDGE)
        assert done.returncode != 0
        assert "KF166" in done.stderr
        assert records(site) == before
    until("a line of the event log for each", lambda: len(_told(site)) == 2)
    assert all(f"from {ATTACKER}" in text for text in _told(site))


def test_who_guesses_codes_is_locked_out_and_nobody_else_is(site: Site, thief: Camera) -> None:
    good = site.edge.code("--approved")
    before = records(site)
    csr = make_csr(new_key(), DeviceId("thief"), "agent")

    def ask(secret: bytes) -> str:
        return json.dumps({"attempt": secrets.token_hex(16), "secret": secret.hex(), "csr": csr})

    guesses = [ask(os.urandom(7)) for _ in range(PER_MINUTE + 2)]
    answers = thief.program("posting", GUESSER, EDGE, *guesses, ask(decode(good).secret))
    assert [status for status, _ in answers] == [403] * PER_MINUTE + [429] * 3
    assert [said["error"]["code"] for _, said in answers[-3:]] == ["KF200"] * 3
    assert records(site) == before, "a request of somebody who is locked out is not looked at, with a good code neither"
    until("the alarm", lambda: "join-codes-guessed" in alarms(site))
    device = Camera(site.devices["cam-3"].machine, site.folder / "cam-5", "cam-5")
    done = device.join(good, edge=EDGE)
    assert done.returncode == 0, done.stderr


def _told(site: Site) -> list[str]:
    return [text for (text,) in site.edge.rows("SELECT text FROM events WHERE kind = 'trust-code-refused'")]
