"""The watchdog: fed while every loop turns, and by none of them alone. The socket is a real one."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.clock import ManualClock
from node.service.heart import Heart
from node.service.notify import Manager, find_manager
from tests.notify_socket import NotifySocket

WaitUntil = Callable[..., None]


class Loop(threading.Thread):
    """A loop that can be made to hang."""

    def __init__(self, beat: Callable[[], None]) -> None:
        super().__init__(daemon=True)
        self._beat = beat
        self.turns = threading.Event()
        self.turns.set()
        self._ended = threading.Event()
        self.start()

    def run(self) -> None:
        while not self._ended.wait(0.01):
            self.turns.wait()
            self._beat()

    def end(self) -> None:
        self.turns.set()
        self._ended.set()
        self.join()


def test_a_hanging_loop_stops_the_watchdog_and_only_that_loop_is_named(tmp_path: Path, wait_until: WaitUntil) -> None:
    with NotifySocket(tmp_path / "notify") as manager:
        heart = Heart({"looking": 0.5, "link": 0.5}, Manager(str(manager.path), watchdog_s=0.1))
        heart.start()
        looking = Loop(heart.of("looking"))
        try:
            # One loop of two has come round: the process is not ready yet.
            wait_until(lambda: heart.late() == () and looking.is_alive())
            assert "READY=1" not in manager.heard
            link = Loop(heart.of("link"))
            wait_until(lambda: manager.count("WATCHDOG=1") > 2)
            assert manager.heard[0] == "READY=1"

            looking.turns.clear()
            wait_until(lambda: "STATUS=hanging: looking" in manager.heard)
            fed = manager.count("WATCHDOG=1")
            # The other loop alone feeds nothing: many rounds of it pass.
            rounds = threading.Event()
            threading.Timer(0.5, rounds.set).start()
            rounds.wait()
            assert manager.count("WATCHDOG=1") == fed

            looking.turns.set()
            wait_until(lambda: manager.count("WATCHDOG=1") > fed)
            assert manager.heard.count("READY=1") == 1
            link.end()
        finally:
            looking.end()
            heart.stop()
        wait_until(lambda: "STOPPING=1" in manager.heard)


def test_without_a_manager_nothing_is_started_or_told() -> None:
    heart = Heart({"a": 1.0}, None)
    before = threading.active_count()
    heart.start()
    heart.beat("a")
    heart.status("well")
    heart.stop()
    assert threading.active_count() == before


def test_a_loop_that_was_not_named_is_a_mistake() -> None:
    with pytest.raises(KeyError):
        Heart({"a": 1.0}, None).beat("b")


@given(
    limits=st.dictionaries(st.sampled_from("abc"), st.integers(1, 60), min_size=1),
    waits=st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 90_000)), max_size=20),
)
def test_late_is_who_beat_longer_ago_than_its_limit(limits: dict[str, int], waits: list[tuple[str, int]]) -> None:
    clock = ManualClock()
    heart = Heart(limits, None, clock)
    beaten: dict[str, int] = {}
    for name, wait_ms in waits:
        if name in limits:
            heart.beat(name)
            beaten[name] = clock.monotonic_ms()
        clock.advance(wait_ms)
    now_ms = clock.monotonic_ms()
    assert set(heart.late()) == {name for name, at in beaten.items() if now_ms - at > limits[name] * 1000}


def test_the_manager_is_read_once_and_hidden_from_children() -> None:
    environment = {
        "NOTIFY_SOCKET": "@kinflow",
        "WATCHDOG_USEC": "30000000",
        "WATCHDOG_PID": str(os.getpid()),
        "HOME": "/",
    }
    assert find_manager(environment) == Manager("@kinflow", 30.0)
    assert environment == {"HOME": "/"}
    assert find_manager(environment) is None


@pytest.mark.parametrize("pid", ["1", "x"])
def test_a_watchdog_of_another_process_is_not_ours(pid: str) -> None:
    environment = {"NOTIFY_SOCKET": "/run/notify", "WATCHDOG_USEC": "1000000", "WATCHDOG_PID": pid}
    assert find_manager(environment) == Manager("/run/notify", None)


def test_a_manager_that_is_gone_harms_nobody(tmp_path: Path) -> None:
    Manager(str(tmp_path / "nobody"), None).tell("READY=1")
