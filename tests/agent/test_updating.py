"""The edge's command `update`, as an agent hands it on and answers it."""

from __future__ import annotations

from pathlib import Path

from agent.updating import UpdateDesk
from node.clock import ManualClock
from node.identity import Identity
from node.update import request
from node.update.journal import Journal, Outcome, Reason, save_journal
from protocol.codec import encode
from protocol.ids import DeviceId, new_message_id
from protocol.messages import ConfigCommand, Health


def command(**arguments: str) -> ConfigCommand:
    envelope = Identity(DeviceId("edge-1"), ManualClock()).live()
    return ConfigCommand(
        **envelope, command=new_message_id(0), device="pi-1", name="update", status="init", arguments=arguments
    )


def desk(home: Path, can_update: bool = True) -> tuple[UpdateDesk, ManualClock]:
    clock = ManualClock()
    return UpdateDesk(home, clock, can_update), clock


def ends(home: Path, said: ConfigCommand, result: str, reason: Reason | None = None) -> None:
    outcome = Outcome(version="1.1", result=result, at_ms=5, reason=reason, command=said.command)
    save_journal(home / "update" / "state.json", Journal(version="1.1", outcomes=(outcome,)))


def test_a_command_becomes_a_wish_and_its_end_is_told_after_a_restart(tmp_path: Path) -> None:
    said = command(version="1.1")
    first, _ = desk(tmp_path)
    assert first.take(said, "update") is None
    wish = request.peek(tmp_path / "update" / "wanted")
    assert wish == request.Request(version="1.1", command=said.command)
    assert first.ended() is None
    ends(tmp_path, said, "committed")
    # The agent that answers is another process, of the new version.
    later, clock = desk(tmp_path)
    assert later.knows(said)
    assert later.ended() == (said, "update", "successful", "")
    later.answered()
    clock.advance(10_000)
    assert later.ended() is None
    assert not desk(tmp_path)[0].knows(said)


def test_a_failure_is_told_with_its_code(tmp_path: Path) -> None:
    said = command()
    here, _ = desk(tmp_path)
    here.take(said, "update")
    ends(tmp_path, said, "rolled-back", Reason("camera-lost", "the camera cam-1 is stalled"))
    assert here.ended() == (said, "update", "failed", "camera-lost: the camera cam-1 is stalled")


def test_an_update_that_is_under_way_has_no_end_yet(tmp_path: Path) -> None:
    said = command()
    here, clock = desk(tmp_path)
    here.take(said, "update")
    save_journal(
        tmp_path / "update" / "state.json", Journal(version="1.0", phase="trial", target="1.1", command=said.command)
    )
    assert here.ended() is None
    ends(tmp_path, said, "committed")
    assert here.ended() is None  # it looks once a second
    clock.advance(1_000)
    assert here.ended() is not None


def test_a_clone_and_an_odd_version_are_refused_with_a_code(tmp_path: Path) -> None:
    refusal = desk(tmp_path, can_update=False)[0].take(command(), "update")
    assert refusal is not None
    assert refusal.startswith("not-possible: ")
    for version in ("../../1", "v1", "1.0\n"):
        refusal = desk(tmp_path)[0].take(command(version=version), "update")
        assert refusal is not None
        assert refusal.startswith("not-possible: ")
    assert not (tmp_path / "update" / "wanted").exists()


def test_the_health_message_tells_how_the_last_update_ended(tmp_path: Path) -> None:
    here, _ = desk(tmp_path)
    assert here.state() is None
    ends(tmp_path, command(), "rolled-back", Reason("hung", "it said nothing"))
    state = here.state()
    assert state is not None
    assert state.last is not None
    assert (state.version, state.phase, state.last.result, state.last.code) == ("1.1", "idle", "rolled-back", "hung")
    health = Health(
        **Identity(DeviceId("pi-1"), ManualClock()).accounted(),
        uptime_s=1.0,
        rss_mb=1.0,
        cpu_percent=1.0,
        disk_free_mb=1.0,
        update=state,
    )
    assert b'"code":"hung"' in encode(health)
