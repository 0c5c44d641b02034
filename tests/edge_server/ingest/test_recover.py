"""What comes from the other edge server of a pair is stored once, whenever it comes, and makes nothing missing."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from edge_server.ingest.core import Arrival, State, absorb, recover, tick
from edge_server.ingest.effects import Effect, MissingChanged, RecoverAlarm, StoreAlarm
from edge_server.store.file import open_store
from edge_server.store.ingested import write
from edge_server.store.reader import StoreReader
from protocol.ids import BootId, DeviceId, new_message_id
from protocol.messages import Alarm

SOURCE, BOOT = DeviceId("cam-1"), BootId("a" * 16)


def alarm(seq: int, boot: BootId = BOOT, active: bool = True) -> Alarm:
    return Alarm(
        id=new_message_id(1), source=SOURCE, boot=boot, seq=seq, at_ms=1, mono_ms=seq,
        alarm="camera-stalled", subject="cam-1", severity="warning", active=active, text="It stands still.",
    )  # fmt: skip


@given(st.lists(st.tuples(st.booleans(), st.integers(1, 9)), min_size=1, max_size=30))
def test_each_alarm_is_stored_once_and_only_what_we_lack_ourselves_is_missing(story: list[tuple[bool, int]]) -> None:
    state, effects = State(), list[Effect]()
    for ours, seq in story:
        if ours:
            state, fresh = absorb(state, [Arrival(alarm(seq), seq, seq)])
        else:
            state, fresh = recover(state, [RecoverAlarm(alarm(seq), 0, seq)])
        effects += fresh
    known = state.boots.get((SOURCE, BOOT))
    stored = [one.alarm.seq for one in effects if isinstance(one, StoreAlarm | RecoverAlarm)]
    came = {seq for _, seq in story}
    assert set(stored) == came
    first_of_ours = next((at for at, (ours, _) in enumerate(story) if ours), len(story))
    # Of a boot that we have not heard yet no account is kept: there the store's own key keeps what came single.
    if len({seq for _, seq in story[:first_of_ours]}) == len(story[:first_of_ours]) and known is not None:
        heard = [seq for ours, seq in story if ours]
        later = {seq for _, seq in story[first_of_ours:]}
        assert (
            set().union(*(range(first, last + 1) for first, last in known.missing()))
            == set(range(1, max(heard))) - later
        )


def test_a_number_that_was_told_as_missing_is_no_longer() -> None:
    state, _ = absorb(State(), [Arrival(alarm(1), 1, 1), Arrival(alarm(4), 2, 2)])
    state, _ = tick(state, 10, 10)
    state, effects = tick(state, 60_000, 60_000)
    assert [one.ranges for one in effects if isinstance(one, MissingChanged)] == [((2, 3),)]
    state, effects = recover(state, [RecoverAlarm(alarm(3), 0, 5)])
    assert [one.ranges for one in effects if isinstance(one, MissingChanged)] == [((2, 2),)]


def test_an_old_alarm_that_comes_late_does_not_stand_again(tmp_path) -> None:
    store = open_store(tmp_path / "edge.db").connection
    later = BootId("b" * 16)
    write(store, [StoreAlarm(alarm(7, active=False), 0, 1_000), StoreAlarm(alarm(1, later, active=False), 0, 2_000)])
    write(store, [RecoverAlarm(alarm(3), 0, 900), RecoverAlarm(alarm(9), 0, 1_500)])
    reader = StoreReader(tmp_path / "edge.db")
    assert len(reader.alarms()) == 4
    assert reader.alarms(active=True) == []
    write(store, [RecoverAlarm(alarm(2, later), 0, 2_500)])
    assert [one.boot for one in reader.alarms(active=True)] == [later]
    store.close()
