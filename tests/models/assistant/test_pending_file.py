"""What one command asked back waits for the next: for five minutes, and not over a clock that was turned."""

from __future__ import annotations

from pathlib import Path

import pytest

from models.assistant.assistant import PATIENCE_MS, Session, Waiting
from models.assistant.facts import Change
from models.assistant.pending_file import PendingFile
from models.assistant.skills import Forgetting, Guess, Setting
from models.assistant.tools import Tool
from node.clock import ManualClock

CHANGE = Setting(change=Change(device="pi-1", name="log.level", value="debug"))


def file(home: Path, clock: ManualClock) -> PendingFile:
    return PendingFile(home, clock.wall_ms, clock.monotonic_ms)


@pytest.mark.parametrize(
    "pending", [CHANGE, Forgetting(notes=(3, 4)), Guess(tool=Tool.GET_DEVICE, arguments={"device": "pi-1"}), None]
)
def test_the_next_command_goes_on_where_the_last_one_asked(tmp_path: Path, pending: object) -> None:
    clock = ManualClock()
    asked = Session(Waiting(pending, clock.monotonic_ms() + PATIENCE_MS))
    file(tmp_path, clock).save(asked)
    clock.advance(1_000)
    found = file(tmp_path, clock).load()
    assert found.waiting == Waiting(pending, clock.monotonic_ms() + PATIENCE_MS - 1_000)
    assert found.name == asked.name
    assert (tmp_path / "assistant" / "pending.json").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("moved_ms", [PATIENCE_MS, -1, 10**12])
def test_what_is_too_old_or_of_another_time_waits_no_more(tmp_path: Path, moved_ms: int) -> None:
    clock = ManualClock()
    file(tmp_path, clock).save(Session(Waiting(CHANGE, 0)))
    clock._wall_ms += moved_ms
    assert file(tmp_path, clock).load().waiting is None


def test_an_answer_or_a_torn_file_leaves_nothing_waiting(tmp_path: Path) -> None:
    clock = ManualClock()
    one = file(tmp_path, clock)
    one.save(Session(Waiting(CHANGE, 0)))
    one.save(Session())
    assert one.load().waiting is None
    assert list((tmp_path / "assistant").iterdir()) == []
    (tmp_path / "assistant" / "pending.json").write_text('{"asked_ms": "now"')
    assert one.load().waiting is None
