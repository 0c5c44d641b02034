"""One process asks another through files."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest

from models.assistant.own_facts import facts_here
from models.assistant.world import Point
from models.assistant.world_file import Asked, Told, WorldAsker, WorldTeller
from models.errors import FactsMissing
from node.clock import SystemClock
from node.update.health import HealthFile
from tests.models.assistant.doubles import small_world

POINTS = (Point(1, 0.5, "slow"),)


@contextmanager
def telling(home: Path, teller: WorldTeller, tier: str = "agent") -> Iterator[None]:
    """A process of that tier that runs, as far as this machine can tell."""
    HealthFile(home, tier, "1", "boot", SystemClock()).tell(True)
    stop = threading.Event()

    def run() -> None:
        while not stop.wait(0.01):
            teller.look()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def test_what_is_asked_is_told(tmp_path: Path) -> None:
    teller = WorldTeller(tmp_path, "agent", small_world, lambda approach, minutes: POINTS[:minutes])
    with telling(tmp_path, teller):
        told = WorldAsker(tmp_path).ask({"west-n": 5})
    assert told.world == small_world()
    assert told.history == {"west-n": POINTS}
    assert all(one.stat().st_mode & 0o077 == 0 for one in (tmp_path / "assistant").iterdir())


def test_a_slow_teller_s_answer_to_an_earlier_asking_is_still_an_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who asks asks again meanwhile; the answer to the first time must not be thrown away for that."""
    monkeypatch.setattr("models.assistant.world_file._AGAIN_S", 0.0)
    HealthFile(tmp_path, "agent", "1", "boot", SystemClock()).tell(True)
    ask, told = (tmp_path / "assistant" / name for name in ("ask.json", "told-agent.json"))
    asked: list[str] = []

    def wait() -> None:
        asked.append(msgspec.json.decode(ask.read_bytes(), type=Asked).nonce)
        if len(asked) == 3:
            told.write_bytes(msgspec.json.encode(Told(asked[0], small_world())))

    assert WorldAsker(tmp_path, wait).ask().world == small_world()


def test_nothing_is_written_while_nobody_asks(tmp_path: Path) -> None:
    teller = WorldTeller(tmp_path, "agent", small_world, lambda *_: POINTS)
    for _ in range(3):
        teller.look()
    assert list(tmp_path.iterdir()) == []


def test_an_old_question_is_not_answered_by_a_process_that_has_just_begun(tmp_path: Path) -> None:
    (tmp_path / "assistant").mkdir()
    (tmp_path / "assistant" / "ask.json").write_text('{"nonce": "old"}')
    WorldTeller(tmp_path, "agent", small_world, lambda *_: POINTS).look()
    assert not (tmp_path / "assistant" / "told-agent.json").exists()


def test_a_torn_question_ends_nothing(tmp_path: Path) -> None:
    teller = WorldTeller(tmp_path, "agent", small_world, lambda *_: POINTS)
    (tmp_path / "assistant").mkdir()
    (tmp_path / "assistant" / "ask.json").write_bytes(b'{"nonce": 3')
    teller.look()


def test_where_nothing_runs_that_is_said_at_once(tmp_path: Path) -> None:
    with pytest.raises(FactsMissing, match="neither an agent nor an edge server"):
        WorldAsker(tmp_path, wait=lambda: pytest.fail("it waited")).ask()


def test_a_process_that_does_not_answer_is_not_waited_for_without_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("models.assistant.world_file.ANSWER_WITHIN_S", 0.05)
    HealthFile(tmp_path, "agent", "1", "boot", SystemClock()).tell(True)
    with pytest.raises(FactsMissing, match="the agent of this machine did not answer"):
        WorldAsker(tmp_path).ask()


def test_own_settings_alone_are_changed_from_here(tmp_path: Path) -> None:
    teller = WorldTeller(tmp_path, "agent", small_world, lambda *_: POINTS)
    with telling(tmp_path, teller):
        facts = facts_here(tmp_path)
        change = facts.propose("pi-1", "log.level", "debug")
        assert change.was == "info"
        facts.apply(change)
        with pytest.raises(FactsMissing):
            facts.propose("pi-2", "log.level", "debug")
    assert (tmp_path / "kinflow.toml").read_text() == '[log]\nlevel = "debug"\n'
