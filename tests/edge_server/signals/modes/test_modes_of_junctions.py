"""What comes of a decision in each mode: nothing, a line, a proposal, or a command."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_server.errors import AdviceGone
from edge_server.signals.advice import EXPIRES_MS, HELD_MS, QUIET_MS, STEADY_MS
from edge_server.signals.events import AdviceChanged, Proposed, WouldCommand
from edge_server.signals.modes.mode import MODES, Mode, Setting
from edge_server.signals.service import SignalService
from node.identity import Identity
from protocol.ids import IntersectionId
from protocol.messages import CommandOutcome, Lease
from tests.edge_server.signals.signal_plant import Plant
from tests.edge_server.signals.signal_sites import crossing, site
from tests.edge_server.signals.test_signal_service import EDGE, Desk

NORTH = IntersectionId("north")


class Moded(Desk):
    """A desk in a mode, before a controller that runs a plan of its own: 30 s of each road."""

    def __init__(self, mode: Mode) -> None:
        super().__init__()
        self.shown: list[object] = []
        self.plant = Plant(crossing())
        self.commanded_ms = -10_000
        self.service = SignalService(
            site(),
            Identity(EDGE, self.clock),
            self._send,
            record=self.records.append,
            report=self.faults.append,
            mode=lambda _: mode,
            show=self.shown.append,
        )
        self.plant.obey(frozenset({2, 6}))
        self.plant.advance(20_000)

    def set(self, mode: Mode) -> None:
        self.service.set_mode(NORTH, Setting(mode=mode, controller="controller-north", simulated=False))

    def run(self, seconds: float, waiting: str = "north-n", *, own_plan: bool = True) -> None:
        """Quarters of a second; one vehicle after the other waits on `waiting`."""
        for _ in range(round(seconds * 4)):
            self.clock.advance(250)
            self.plant.advance(250)
            now_ms = self.clock.monotonic_ms()
            if own_plan and now_ms - self.commanded_ms > 3_000:
                self.plant.obey(frozenset({2, 6} if now_ms // 30_000 % 2 else {4, 8}))
            for side in "nesw":
                self.see(f"north-{side}", 7 if f"north-{side}" == waiting else 0)
            self._beat_plant(now_ms)
            self.service.tick()

    def _beat_plant(self, now_ms: int) -> None:
        said = self.plant.heartbeat()
        leased = now_ms - self.commanded_ms <= 3_000
        changes = {"lease": Lease(EDGE, self.last.epoch, 3_000), "control": "edge"} if leased else {}
        if self.sent:
            changes |= {"last_command": CommandOutcome(self.last.id), "highest_epoch": self.last.epoch}
        self.beat(phases=said.phases, target=said.target, calls=said.calls, **changes)

    def _send(self, device, command) -> bool:
        super()._send(device, command)
        self.commanded_ms = self.clock.monotonic_ms()
        self.plant.obey(frozenset(command.phases), cuts_walk=command.cuts_walk)
        return True

    @property
    def proposal(self) -> Proposed | None:
        found = [one.proposal for one in self.shown if isinstance(one, AdviceChanged)]
        return found[-1] if found else None

    def holding(self) -> None:
        """East and west are green, and the controller would leave it at that; somebody waits on the north."""
        self.plant.obey(frozenset({2, 6}))
        self.run(20, own_plan=False)


def test_off_decides_nothing():
    desk = Moded("off")
    desk.run(60)
    assert (desk.sent, desk.records, desk.shown) == ([], [], [])
    assert desk.service.standing(NORTH) == "idle"


def test_shadow_writes_down_what_it_would_do_and_commands_nothing():
    desk = Moded("shadow")
    desk.holding()
    assert desk.sent == []
    assert {record.kind for record in desk.records} == {"shadow"}
    assert desk.records[-1].phases == (4, 8)
    would = [one for one in desk.shown if isinstance(one, WouldCommand)]
    assert (would[-1].phases, would[-1].agrees) == ((4, 8), False)
    assert desk.service.standing(NORTH) == "idle", "so that nothing is called granted"


def test_what_would_be_commanded_is_written_down_at_most_every_two_seconds():
    desk = Moded("shadow")
    for at in range(60):
        desk.run(0.5, "north-n" if at % 2 else "north-e")
    assert len(desk.records) <= 16


def test_a_proposal_is_commanded_once_it_is_confirmed_and_no_longer_than_it_is_chosen():
    desk = Moded("advise")
    desk.holding()
    assert desk.sent == []
    proposal = desk.proposal
    assert proposal is not None
    assert (proposal.stage, proposal.phases, proposal.confirmed) == ("ns", (4, 8), False)
    with pytest.raises(AdviceGone):
        desk.service.confirm(NORTH, "another")
    desk.service.confirm(NORTH, proposal.id)
    assert desk.last.phases == (4, 8)
    assert desk.last.reason.startswith("confirmed: ")
    with pytest.raises(AdviceGone):
        desk.service.confirm(NORTH, proposal.id)
    desk.run(15, own_plan=False)
    assert desk.plant.serving(4)
    assert desk.proposal.confirmed
    desk.run(20, "north-e", own_plan=False)
    assert desk.proposal is None or not desk.proposal.confirmed
    sent = len(desk.sent)
    desk.run(10, "north-e", own_plan=False)
    assert len(desk.sent) == sent, "the next one waits for its own word"
    assert desk.plant.violations == []


def test_what_was_confirmed_ends_by_itself():
    desk = Moded("advise")
    desk.holding()
    desk.service.confirm(NORTH, desk.proposal.id)
    desk.run(HELD_MS / 1000 + 1, own_plan=False)
    sent = len(desk.sent)
    desk.run(5, own_plan=False)
    assert len(desk.sent) == sent
    assert [record.reason.partition(":")[0] for record in desk.records if record.kind == "advice"][-1] == "done"


def test_a_proposal_expires_by_itself_and_is_quiet_for_a_while():
    desk = Moded("advise")
    desk.plant.obey(frozenset({2, 6}))
    desk.run(STEADY_MS / 1000 + 6, own_plan=False)
    first = desk.proposal
    assert first is not None
    desk.run(EXPIRES_MS / 1000, own_plan=False)
    assert desk.proposal is None
    with pytest.raises(AdviceGone):
        desk.service.confirm(NORTH, first.id)
    before = len(desk.shown)
    desk.run(QUIET_MS / 1000 - 2, own_plan=False)
    later = [one.proposal for one in desk.shown[before:] if isinstance(one, AdviceChanged) and one.proposal]
    assert first.stage not in {one.stage for one in later}
    assert desk.sent == []


def test_a_declined_proposal_is_gone_and_one_that_the_controller_comes_to_is_withdrawn():
    desk = Moded("advise")
    desk.holding()
    desk.service.decline(NORTH, desk.proposal.id)
    assert desk.proposal is None
    desk = Moded("advise")
    desk.holding()
    desk.plant.obey(frozenset({4, 8}))
    desk.run(STEADY_MS / 1000 + 1, own_plan=False)
    assert desk.proposal is None
    assert desk.sent == []


@pytest.mark.parametrize("lower", ["off", "shadow", "advise"])
def test_a_lowered_mode_stops_at_once_and_the_lease_lapses(lower):
    desk = Moded("act")
    desk.run(10)
    assert desk.sent
    sent = len(desk.sent)
    desk.set(lower)
    desk.run(10)
    assert len(desk.sent) == sent
    desk.set("act")
    desk.run(5)
    assert len(desk.sent) > sent
    assert desk.last.epoch > desk.sent[sent - 1][1].epoch, "a fresh epoch, not the one that was let go"


def test_a_silent_controller_has_nothing_proposed_to_it():
    desk = Moded("advise")
    desk.holding()
    assert desk.proposal is not None
    desk.clock.advance(1_500)
    desk.service.tick()
    assert desk.proposal is None


@settings(max_examples=10, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(MODES), st.integers(1, 10), st.booleans(), st.sampled_from("nesw")), max_size=5)
)
def test_nothing_is_commanded_below_act_without_a_confirmation(story):
    desk = Moded("shadow")
    for mode, seconds, confirms, side in story:
        desk.set(mode)
        sent = len(desk.sent)
        desk.run(seconds, f"north-{side}")
        if mode != "act":
            assert len(desk.sent) == sent
        if mode == "advise" and confirms and desk.proposal is not None:
            desk.service.confirm(NORTH, desk.proposal.id)
            desk.set("shadow")
            sent = len(desk.sent)
            desk.run(4, f"north-{side}")
            assert len(desk.sent) == sent
    # The plan of the tests' own ends greens when it likes; together with conflicting ones they are never lit.
    assert not [one for one in desk.plant.violations if "ended" not in one]
