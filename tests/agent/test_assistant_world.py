"""What an agent tells the assistant of its machine: its road, camera, health and history; and a setting it takes."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.assistant.minutes import KEPT_MINUTES, Minutes
from models.assistant.own_facts import facts_here
from node.config.load import load
from protocol.ids import ApproachId
from tests.agent.test_agent_service import Running, camera, until

NORTH = ApproachId("north")
MINUTE_MS = 60_000


def test_an_agent_answers_through_its_files(tmp_path: Path, clip: tuple[Path, str]) -> None:
    path, road = clip
    with Running(tmp_path, camera(path, road)) as agent:
        until(lambda: agent.service.lookouts[0].view is not None and agent.service.lookouts[0].view.status == "ok")
        until(lambda: agent.service.world.health is not None)
        facts = facts_here(tmp_path)
        world = facts.world()
        assert [(one.id, one.place, one.status, one.congestion) for one in world.approaches] == [
            ("north", "pi-1", "ok", "free")
        ]
        assert world.approaches[0].index is not None
        assert world.approaches[0].index < 0.2
        assert [(one.id, one.state, one.sees) for one in world.cameras] == [("north", "running", None)]
        assert world.devices[0].state == "online"
        assert world.devices[0].rss_mb is not None
        assert world.entities().intersections == ("pi-1",)
        points = facts.history("north", 5)
        assert points
        assert abs(points[-1].at_ms - world.now_ms) < 2 * MINUTE_MS
        assert facts.history("south", 5) == ()


def test_an_agent_changes_what_it_may_and_nothing_else(tmp_path: Path, clip: tuple[Path, str]) -> None:
    path, road = clip
    with Running(tmp_path, camera(path, road)) as agent:
        for name, value, end in (
            ("log.level", "debug", "successful"),
            ("log.level", "loud", "failed"),
            ("broker.url", "mqtt://evil", "failed"),
            ("power.shutdown_command", "rm -rf /", "failed"),
        ):
            command = agent.command("set-setting", name=name, value=value)
            until(lambda command=command: agent.states_of(command)[-1:] in (["successful"], ["failed"]))
            assert agent.states_of(command)[-1] == end, name
    assert load(tmp_path, {}).settings.log.level == "debug"
    assert (tmp_path / "kinflow.toml").read_text() == '[log]\nlevel = "debug"\n'


@given(
    st.lists(st.tuples(st.integers(0, 3 * KEPT_MINUTES), st.floats(0, 1)), max_size=60).map(sorted),
    st.integers(1, 2 * KEPT_MINUTES),
)
def test_a_minute_s_mean_is_that_of_its_figures(seen: list[tuple[int, float]], minutes: int) -> None:
    """A law: against a plain dictionary, for figures that come in time's order."""
    kept, plain = Minutes(), {}
    for minute, index in seen:
        kept.add(NORTH, minute * MINUTE_MS + 7, index, "slow")
        plain.setdefault(minute, []).append(index)
    now = seen[-1][0] if seen else 0
    wanted = {
        minute: sum(values) / len(values)
        for minute, values in plain.items()
        if now - min(minutes, KEPT_MINUTES) < minute <= now
    }
    found = {one.at_ms // MINUTE_MS: one.index for one in kept.last("north", minutes, now * MINUTE_MS)}
    assert found == pytest.approx(wanted, abs=1e-3)


def test_a_minute_in_which_nothing_was_seen_has_no_index() -> None:
    kept = Minutes()
    kept.add(NORTH, 0, None, None)
    (one,) = kept.last("north", 1, 0)
    assert (one.index, one.congestion) == (None, None)
