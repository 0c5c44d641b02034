"""The queue in front of the store: telemetry is shed first, alarms are taken and taken first."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from edge_server.ingest.core import Arrival
from edge_server.ingest.inbox import Inbox
from edge_server.ingest.shedding import CALM_MS, SheddingWatch


def take(inbox: Inbox, most: int = 10_000) -> list:
    return inbox.take(most, timeout_s=0.0, linger_s=0.0)


@given(st.lists(st.tuples(st.booleans(), st.booleans()), max_size=200), st.integers(1, 20))
def test_no_alarm_is_ever_refused_or_overtaken_by_telemetry(steps, limit):
    inbox = Inbox(limit)
    waiting: dict[bool, list[object]] = {True: [], False: []}
    shed = 0
    for number, (puts, precious) in enumerate(steps):
        if puts:
            item = (precious, number)
            taken = inbox.put(item, precious)  # type: ignore[arg-type]
            assert taken or (not precious and len(waiting[False]) == limit)
            shed += not taken
            if taken:
                waiting[precious].append(item)
        else:
            got = take(inbox, 3)
            expected = (waiting[True] + waiting[False])[:3]
            assert got == expected
            for one in got:
                waiting[one[0]].remove(one)
        assert inbox.shed == shed
        assert len(inbox) == sum(map(len, waiting.values()))


def test_memory_has_an_end_for_what_comes_again_alone(device):
    inbox = Inbox(limit=10, most=2)
    for _ in range(2):
        assert inbox.put(Arrival(device.alarm(), 0, 0), precious=True)
    assert not inbox.put(Arrival(device.alarm(), 0, 0), precious=True)
    assert inbox.put(Arrival(device.birth(), 0, 0), precious=True), "nobody sends a birth again"
    assert (inbox.shed, inbox.held_off, len(inbox)) == (0, 1, 3)


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(1, 40_000)), max_size=30))
def test_shedding_is_told_at_once_and_is_over_once_it_was_calm(steps):
    watch, shed, now_ms, last_ms = SheddingWatch(), 0, 0, None
    for more, passed_ms in steps:
        now_ms += passed_ms
        shed += more
        last_ms = now_ms if more else last_ms
        watch = watch.look(shed, now_ms)
        assert watch.active is (last_ms is not None and now_ms - last_ms < CALM_MS)
