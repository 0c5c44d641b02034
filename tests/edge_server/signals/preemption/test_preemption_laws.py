"""What holds for every story that can be told to the pre-emption of one intersection."""

from __future__ import annotations

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_server.signals.preemption.events import Cancel, Granted, HandEnded, Higher, Observed, Request, Tick
from edge_server.signals.preemption.machine import holds, step
from edge_server.signals.preemption.state import State
from tests.edge_server.signals.preemption.preemption_kit import terms

VEHICLES = ("ambulance-1", "ambulance-2", "police-1", "bus-1")
APPROACHES = ("north-n", "north-e", "north-s", "north-w", "nowhere")
MOMENTS = st.sampled_from([0, 100, 500, 500, 500, 1_000, 4_000])


@st.composite
def happenings(draw):
    """Requests in every order, late and repeated ones too, since their sequence numbers are drawn."""
    kind = draw(st.sampled_from(["ask", "ask", "ask", "ask", "tick", "tick", "cancel", "see", "higher", "hand"]))
    vehicle = draw(st.sampled_from(VEHICLES))
    approach = draw(st.sampled_from(APPROACHES))
    common = {
        "vehicle": vehicle,
        "sequence": draw(st.integers(1, 60)),
        "off_ms": draw(st.sampled_from([0, 0, 0, 0, -60_000])),
        "proof": draw(st.sampled_from(["verified"] * 6 + ["forged"])),
    }
    match kind:
        case "ask":
            return Request, {
                **common,
                "role": vehicle.rpartition("-")[0],
                "approach": approach,
                "arrives_in_ms": draw(st.sampled_from([0, 5_000, 40_000])),
                "importance": draw(st.sampled_from([1, 12, 14])),
                "evidence": ("beacons",),
            }
        case "tick":
            reds = draw(st.dictionaries(st.sampled_from([2, 4, 6, 8]), st.integers(0, 90_000)))
            serving = tuple(draw(st.sets(st.sampled_from([2, 4, 6, 8]))))
            return Tick, {"heard": draw(st.booleans()), "red_ms": reds, "serving": serving}
        case "cancel":
            return Cancel, common
        case "see":
            return Observed, {"approach": approach, "asks": draw(st.booleans())}
        case "higher":
            return Higher, {"source": "railway", "kind": "railway", "active": draw(st.booleans())}
        case _:
            return HandEnded, {"vehicle": vehicle, "by": "anna", "reason": "test"}


def told(story):
    """Events in order of time, a tick at least every half second."""
    at_ms = 0
    for (kind, fields), moment_ms in story:
        for _ in range(moment_ms // 500):
            at_ms += 500
            yield Tick(at_ms=at_ms)
        at_ms += moment_ms % 500
        yield kind(at_ms=at_ms, **fields)
    yield Higher(at_ms=at_ms, source="railway", kind="railway", active=False)
    for _ in range(400):
        at_ms += 500
        yield Tick(at_ms=at_ms)


STORIES = st.lists(st.tuples(happenings(), MOMENTS), max_size=60)


@settings(max_examples=60, deadline=None)
@given(story=STORIES, camera=st.booleans())
def test_no_lease_outlives_its_cap_its_renewal_or_what_outranks_it(story, camera):
    state = State(terms(camera_preempts=camera, cap_ms={"preempt": 20_000, "priority": 8_000}, run_ms=30_000))
    held_ms: dict[str, int] = {}
    began_ms = run_ms = None
    before_ms = 0
    for event in told(story):
        state, effects = step(state, event)
        holder = state.holder
        assert not (holder and state.outranked)
        assert not (holder and state.recovery and holder.level == "preempt")
        for one in effects:
            if isinstance(one, Granted):
                began_ms = event.at_ms
                assert one.until_ms <= event.at_ms + state.terms.cap_ms[holder.level if holder else "preempt"]
        if holder is not None:
            assert holds(state, event.at_ms)
            assert event.at_ms - began_ms < state.terms.cap_ms[holder.level]
            held_ms[holder.vehicle] = held_ms.get(holder.vehicle, 0) + event.at_ms - before_ms
        if holder is not None and holder.level == "preempt":
            run_ms = event.at_ms if run_ms is None else run_ms
            assert event.at_ms - run_ms < 30_000
        elif not state.queue or state.recovery is not None or state.outranked:
            run_ms = None
        before_ms = event.at_ms
    assert state.normal, "200 s after the last word all is as before"
    assert state.queue == ()


@settings(max_examples=40, deadline=None)
@given(story=STORIES, camera=st.booleans())
def test_what_is_written_down_leads_to_the_same_state_again(story, camera):
    """State and events survive their JSON, and events that changed nothing need not be kept."""
    first = State(terms(camera_preempts=camera))
    state, kept = first, []
    for event in told(story):
        before = state
        state, effects = step(state, event)
        if state != before or effects:
            kept.append(msgspec.json.encode(event))
        else:
            assert state is before or state == before
    again = msgspec.json.decode(msgspec.json.encode(first), type=State)
    for line in kept:
        again, _ = step(again, msgspec.json.decode(line, type=Request | Cancel | Tick | Observed | Higher | HandEnded))
    assert again == state
    assert msgspec.json.decode(msgspec.json.encode(state), type=State) == state


@settings(max_examples=40, deadline=None)
@given(story=STORIES, seed=st.randoms(use_true_random=False))
def test_forged_stale_and_repeated_messages_change_nothing(story, seed):
    """A story with every message sent twice, and forged ones between, ends as the story itself does."""
    state = noisy = State(terms())
    for event in told(story):
        state, _ = step(state, event)
        noisy, _ = step(noisy, event)
        if isinstance(event, Request | Cancel):
            noisy, _ = step(noisy, event)
            forged = msgspec.structs.replace(event, proof="forged", sequence=event.sequence + seed.randrange(9))
            noisy, _ = step(noisy, forged)
    assert noisy == state
