"""The doctor's checks of hardware, and the command."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from kinflow.main import run as kinflow
from node.clock import ManualClock
from node.doctor.check import Context
from node.doctor.checks.libraries_load import LibrariesLoad
from node.doctor.checks.memory_fits import MemoryFits
from node.doctor.checks.temperature import Temperature
from node.doctor.checks.throttling import Throttling
from node.doctor.checks.watchdog_fed import WatchdogFed
from node.errors import BoardTooSmall, Throttled, TooHot, WatchdogOff
from node.hardware.found import Hardware

Board = Callable[..., Hardware]


@pytest.fixture
def context(tmp_path: Path) -> Context:
    return Context(tmp_path, ManualClock())


def test_temperature(board: Board, context: Context) -> None:
    assert Temperature(lambda: board("pi5")).run(context) == "52 °C (cpu-thermal); it slows down at 80 °C."
    with pytest.raises(TooHot, match="cpu-thermal is at 82 °C; from 80 °C on"):
        Temperature(lambda: board("pi4")).run(context)
    assert "no temperature" in Temperature(lambda: board("unknown")).run(context)


def test_throttling(board: Board, context: Context) -> None:
    assert Throttling(lambda: board("pi5")).run(context) == "It was never held back."
    assert "soft temperature limit" in Throttling(lambda: board("zero2w")).run(context)
    with pytest.raises(Throttled, match="under-voltage, throttled"):
        Throttling(lambda: board("pi4")).run(context)
    word = "sys/devices/platform/soc/soc:firmware/get_throttled"
    with pytest.raises(Throttled, match="since it was switched on"):
        Throttling(lambda: board("pi4", {word: "10000"})).run(context)


def test_watchdog(board: Board, context: Context) -> None:
    assert WatchdogFed(lambda: board("pi5")).run(context) == "Broadcom BCM2835 Watchdog timer is fed."
    with pytest.raises(WatchdogOff):
        WatchdogFed(lambda: board("pi4")).run(context)
    assert "does not tell" in WatchdogFed(lambda: board("orin-nano")).run(context)
    assert "no hardware watchdog" in WatchdogFed(lambda: board("closet")).run(context)


def test_memory(board: Board, context: Context) -> None:
    assert "detector-m and member-edge" in MemoryFits(lambda: board("pi5")).run(context)
    assert "wears a card out" in MemoryFits(lambda: board("pi4")).run(context)
    full = {"proc/meminfo": "MemTotal: 437128 kB\nMemAvailable: 100000 kB"}
    with pytest.raises(BoardTooSmall, match="detector-s does not run here: it needs 180 MB, 102 MB are free"):
        MemoryFits(lambda: board("zero2w", full)).run(context)


def test_libraries(context: Context) -> None:
    assert LibrariesLoad().run(context).startswith("numpy, opencv")


def test_the_command_says_it_in_json_and_requires(capsys: pytest.CaptureFixture[str]) -> None:
    assert kinflow(["hardware", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["hardware"]["processor"]["cores"] >= 1
    assert told["profile"]["threads"] >= 1
    assert kinflow(["hardware", "--require", "detector-of-nobody"]) == BoardTooSmall.number
    assert "profile:" in capsys.readouterr().out


def test_a_wish_of_the_settings_holds(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KINFLOW_HARDWARE_THREADS", "5")
    assert kinflow(["hardware", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["profile"]["threads"] == 5
