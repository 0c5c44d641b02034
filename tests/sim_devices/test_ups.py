"""The simulated UPS speaks as upsd does, and the reader of node/power understands it, also when it is out of order."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.clock import ManualClock
from node.errors import UpsSilent
from node.power import sources
from node.power.policy import Limits, Reading
from node.power.sources import open_source
from node.power.watch import PowerWatch
from sim_devices.ups import SimulatedUps, Ups, answer_of


@pytest.fixture
def ups() -> Iterator[SimulatedUps]:
    ups = SimulatedUps("closet").start()
    yield ups
    ups.stop()


def test_it_is_read_on_mains_on_battery_and_low(ups: SimulatedUps) -> None:
    read = open_source(ups.source, "1")
    assert read() == Reading(on_battery=False, charge_percent=100.0)
    ups.battery(55.0)
    assert read() == Reading(on_battery=True, charge_percent=55.0)
    ups.low(9.5)
    assert read() == Reading(on_battery=True, charge_percent=9.5, low=True)
    ups.battery(None)
    assert read() == Reading(on_battery=True)


def test_a_ups_out_of_order_is_silent_and_says_why(ups: SimulatedUps, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "TIMEOUT_S", 0.2)
    read = open_source(ups.source, "1")
    for fault, words in (
        ({"error": "DATA-STALE"}, "ERR DATA-STALE"),
        ({"error": "ACCESS-DENIED"}, "ERR ACCESS-DENIED"),
        ({"drop": True}, "in the middle of an answer"),
        ({"silent": True}, "timed out"),
    ):
        for name, value in fault.items():
            setattr(ups.fault, name, value)
        with pytest.raises(UpsSilent, match=words):
            read()
        ups.fault.error, ups.fault.drop, ups.fault.silent = "", False, False
    assert not read().on_battery
    with pytest.raises(UpsSilent, match="ERR UNKNOWN-UPS"):
        open_source(ups.source.replace("closet", "cellar"), "1")()
    ups.stop()
    with pytest.raises(UpsSilent, match="refused"):
        read()


def test_a_watch_tells_each_change_once_and_ends_it_when_the_battery_is_low(ups: SimulatedUps) -> None:
    told: list[str] = []
    clock = ManualClock()
    watch = PowerWatch(open_source(ups.source, "1"), Limits(), clock, lambda effect, *_: told.append(effect))

    def after(seconds: int) -> list[str]:
        told.clear()
        for _ in range(seconds // 2):
            clock.advance(2_000)
            watch.look()
        return list(told)

    assert after(10) == []
    ups.battery(60.0)
    assert after(600) == ["on-battery"]
    ups.mains()
    assert after(600) == ["mains-back"]
    ups.fault.drop = True
    assert after(600) == ["silent"]
    ups.fault.drop = False
    assert after(10) == ["heard"]
    ups.battery(None)
    assert after(290) == ["on-battery"]
    assert after(20) == ["shut-down"]
    ups.mains()
    assert after(20) == ["mains-back"]
    ups.low()
    # It is ending already, and that is not said again.
    assert after(20) == ["on-battery"]


def test_the_protocol_by_hand(ups: SimulatedUps) -> None:
    host, port = ups.source.removeprefix("nut://").partition("/")[0].split(":")
    with socket.create_connection((host, int(port)), 5) as line, line.makefile("rb") as answers:
        line.sendall(b'LIST UPS\nLIST VAR closet\nGET VAR closet "ups.status"\n')
        line.sendall(b"GET VAR closet x\nGET VAR\nFLY\nLOGOUT\n")
        assert answers.read().decode().splitlines() == [
            "BEGIN LIST UPS",
            'UPS closet "simulated"',
            "END LIST UPS",
            "BEGIN LIST VAR closet",
            'VAR closet battery.charge "100"',
            'VAR closet device.mfr "Kinflow \\"simulated\\""',
            'VAR closet input.voltage "230.0"',
            'VAR closet ups.status "OL"',
            "END LIST VAR closet",
            'VAR closet ups.status "OL"',
            "ERR VAR-NOT-SUPPORTED",
            "ERR INVALID-ARGUMENT",
            "ERR UNKNOWN-COMMAND",
            "OK Goodbye",
        ]


@pytest.mark.skipif(shutil.which("upsc") is None, reason="NUT's own client is not installed")
def test_the_client_of_nut_itself_reads_it(ups: SimulatedUps) -> None:
    ups.battery(42.0)
    where = re.sub(r"nut://(.*)/(.*)", r"\2@\1", ups.source)
    done = subprocess.run(["upsc", where], capture_output=True, text=True, timeout=20, check=True)
    said = dict(line.split(": ", 1) for line in done.stdout.splitlines())
    assert (said["ups.status"], said["battery.charge"]) == ("OB DISCHRG", "42")
    assert said["device.mfr"] == 'Kinflow "simulated"'


@given(st.text(st.characters(min_codepoint=32, max_codepoint=126)))
def test_any_value_is_read_as_it_was_said(value: str) -> None:
    said = answer_of(["GET", "VAR", "ups", "x"], Ups("ups", {"x": value})).strip("\n")
    match = sources._VARIABLE.fullmatch(said)
    assert match is not None
    assert re.sub(r"\\(.)", r"\1", match[1]) == value
