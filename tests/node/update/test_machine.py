"""The update's machine: whatever happens and wherever it is cut off, a working version is left, and a reason."""

from __future__ import annotations

import string
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from node.update import machine
from node.update.journal import Baseline, Journal, Reason
from node.update.machine import (
    MOST_TRIES,
    Clean,
    Discard,
    Done,
    Effect,
    Event,
    Failed,
    Fetch,
    GoBack,
    Install,
    Prepare,
    Prepared,
    Refused,
    Revert,
    SelfTest,
    Try,
    Wanted,
    adopt,
    resume,
    step,
)

OLD, NEW = "1.0", "1.1"
WANTED = Wanted(NEW, "a1", "usb")
BASELINE = (Baseline(tier="agent", link_up=True, cameras=("cam-1",)),)
reasons = st.builds(Reason, st.text(string.ascii_lowercase, min_size=1), st.text())
events = st.one_of(
    st.builds(Wanted, st.sampled_from(["0.9", OLD, NEW, "1.2"]), st.just("a1"), st.just("s"), st.none(), st.booleans()),
    st.builds(Refused, st.just("1.2"), reasons),
    st.just(Done()),
    st.just(Prepared(BASELINE, 10.0, 3)),
    st.builds(Failed, reasons),
    st.just(GoBack()),
    st.just("cut"),
)


class Device:
    """What the effects would do to a disk: each may be begun and cut off, and is then begun again."""

    def __init__(self) -> None:
        self.state = Journal(version=OLD)
        self.whole = {OLD}
        self.current = OLD

    def feed(self, event: Event | str) -> None:
        if event == "cut":
            self.state, effects = resume(self.state)
        else:
            # A real effect answers only for its own phase.
            if isinstance(event, Done) and self.state.phase == "tested":
                event = Prepared(BASELINE, 10.0, 3)
            self.state, effects = step(self.state, event, 1)
        for effect in effects:
            self.do(effect)
        self.check()

    def do(self, effect: Effect) -> None:
        match effect:
            case Install(version=version):
                self.whole.add(version)
            case Try(version=version):
                assert version in self.whole
                self.current = version
            case Clean(keep=keep):
                self.whole &= set(keep)
            case Revert(version=version, bad=bad):
                self.current = version
                self.whole.discard(bad)
            case Discard(bad=bad):
                self.whole.discard(bad)
            case Fetch() | SelfTest() | Prepare():
                pass

    def check(self) -> None:
        assert self.current in self.whole, "what is in use was deleted"
        assert self.state.version in self.whole, "what is known to work was deleted"
        assert self.current in {self.state.version, self.state.target}
        if self.state.phase == "idle":
            assert self.current == self.state.version
        for outcome in self.state.outcomes:
            assert (outcome.reason is None) == (outcome.result == "committed")


def after(*given_events: Event) -> Journal:
    state = Journal(version=OLD)
    for event in given_events:
        state, _ = step(state, event, 5)
    return state


TO_TRIAL: Sequence[Event] = (WANTED, Done(), Done(), Done(), Prepared(BASELINE, 10.0, 3))


@given(st.lists(events, max_size=40))
def test_whatever_happens_a_working_version_is_left(happened: list[Event | str]) -> None:
    device = Device()
    for event in happened:
        device.feed(event)


@given(st.lists(events, max_size=30))
def test_from_wherever_it_is_cut_off_it_comes_to_an_end(happened: list[Event | str]) -> None:
    device = Device()
    for event in happened:
        device.feed(event)
    device.feed("cut")
    for _ in range(8):
        device.feed(Done())
    assert device.state.phase == "idle"


def test_an_update_that_works_is_committed_and_the_old_version_goes_only_then() -> None:
    state, effects = Journal(version=OLD), ()
    seen = []
    for event in (*TO_TRIAL, Done()):
        state, effects = step(state, event, 5)
        seen.append((state.phase, type(effects[0])))
    assert seen == [
        ("fetching", Fetch),
        ("downloaded", Install),
        ("unpacked", SelfTest),
        ("tested", Prepare),
        ("trial", Try),
        ("committing", Clean),
    ]
    assert effects == (Clean((NEW,)),)
    state, effects = step(state, Done(), 6)
    assert (state.phase, state.version, effects) == ("idle", NEW, ())
    assert state.last is not None
    assert state.last.result == "committed"


def test_the_version_before_is_kept_when_that_is_wished_and_can_be_gone_back_to() -> None:
    state, effects = step(after(*TO_TRIAL), Done(), 5, keep_previous=True)
    assert effects == (Clean((NEW, OLD)),)
    state, _ = step(state, Done(), 6)
    state, effects = step(state, GoBack(), 7)
    assert effects == (Revert(OLD, NEW),)
    state, _ = step(state, Done(), 8)
    assert state.version == OLD
    assert state.last is not None
    assert state.last.reason is not None
    assert state.last.reason.code == "operator"


def test_a_fault_before_the_switch_never_touches_what_runs() -> None:
    for number in range(1, 5):
        state, effects = step(after(*TO_TRIAL[:number]), Failed(Reason("x", "y")), 5)
        assert state.phase == "discarding"
        assert effects == (Discard(NEW),)


def test_a_fault_in_the_trial_leads_back_with_its_reason_and_is_not_tried_again() -> None:
    state, effects = step(after(*TO_TRIAL), Failed(Reason("crashed", "it did")), 5)
    assert effects == (Revert(OLD, NEW),)
    state, _ = step(state, Done(), 6)
    assert state.last is not None
    assert (state.last.result, state.last.reason) == ("rolled-back", Reason("crashed", "it did"))
    again, effects = step(state, WANTED, 7)
    assert (again, effects) == (state, ())
    asked, _ = step(state, replace_again(WANTED), 7)
    assert asked.phase == "fetching"


def replace_again(event: Wanted) -> Wanted:
    return Wanted(event.version, event.attempt, event.source, event.command, again=True)


def test_what_says_nothing_about_the_version_may_be_tried_again_by_itself() -> None:
    state, _ = step(after(WANTED), Failed(Reason("unreachable", "the net is down")), 5)
    assert machine.effects(state) == (Discard(NEW, keep_download=True),)
    state, _ = step(state, Done(), 6)
    assert step(state, WANTED, 7)[0].phase == "fetching"


def test_an_older_version_is_refused_whoever_signed_it() -> None:
    state = after(Wanted("0.9", "a1", "usb", again=True))
    assert state.phase == "idle"
    assert state.last is not None
    assert state.last.reason is not None
    assert state.last.reason.code == "older"


def test_what_is_cut_off_for_ever_is_given_up_with_a_reason() -> None:
    state = after(WANTED, Done())
    for _ in range(MOST_TRIES):
        state, _ = resume(state)
    assert state.phase == "discarding"
    assert state.reason is not None
    assert state.reason.code == "interrupted"


def test_a_version_that_was_installed_by_hand_is_what_counts() -> None:
    assert adopt(None, "2.0") == Journal(version="2.0")
    assert adopt(Journal(version=OLD), "2.0") == Journal(version="2.0")
    trial = after(*TO_TRIAL)
    assert adopt(trial, NEW) == adopt(trial, OLD) == trial
    assert adopt(trial, "2.0") == Journal(version="2.0")
    assert adopt(replace(trial, phase="idle"), None) == replace(trial, phase="idle")
