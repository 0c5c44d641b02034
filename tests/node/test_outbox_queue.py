"""What the outbox decides, without a clock or a file."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from node.outbox.entry import Delivery, Entry, Limits
from node.outbox.queue import Queue
from node.outbox.ranges import SeqRanges
from protocol.ids import BootId

BOOT = BootId("0" * 16)


def entry(seq: int, delivery: Delivery = "telemetry", topic: str = "t", size: int = 10) -> Entry:
    return Entry(BOOT, seq, delivery, topic, b"x" * size, size)


def filled(limits: Limits, *entries: Entry) -> Queue:
    queue = Queue(BOOT, limits)
    for one in entries:
        queue.put(one, 0)
    return queue


def seqs(entries: list[Entry]) -> list[int]:
    return [one.seq for one in entries]


def lost(queue: Queue) -> set[int]:
    return {seq for loss in queue.take_losses(0) for first, last in loss.ranges for seq in range(first, last + 1)}


def test_alarms_go_first_then_state_then_the_newest_telemetry() -> None:
    queue = filled(
        Limits(), entry(1), entry(2), entry(3, "state"), entry(4, "alarm"), entry(5, "gap"), entry(6, "alarm"), entry(7)
    )
    queue.set_link(True, 0)
    assert seqs(queue.take(10, 0)) == [4, 6, 5, 3, 7, 2, 1]


def test_nothing_goes_while_the_link_is_down() -> None:
    queue = filled(Limits(), entry(1, "alarm"))
    assert queue.take(10, 0) == []


def test_the_window_holds_telemetry_back_and_leaves_room_for_alarms() -> None:
    queue = filled(Limits(window=3), *[entry(seq) for seq in range(1, 6)])
    queue.set_link(True, 0)
    assert len(queue.take(10, 0)) == 3
    assert not queue.sendable
    queue.put(entry(6, "alarm"), 0)
    assert queue.sendable
    assert seqs(queue.take(10, 0)) == [6]
    assert queue.ack(BOOT, ((5, 6),), 0) == 2
    assert seqs(queue.take(10, 0)) == [2]


def test_the_latest_state_of_each_topic_wins() -> None:
    queue = filled(Limits(), entry(1, "state", "a"), entry(2, "state", "b"), entry(3, "state", "a"))
    queue.set_link(True, 0)
    assert seqs(queue.take(10, 0)) == [3, 2]
    assert lost(queue) == {1}


def test_a_state_on_its_way_is_superseded_only_when_it_would_be_sent_again() -> None:
    queue = filled(Limits(resend_ms=100), entry(1, "state"))
    queue.set_link(True, 0)
    queue.take(1, 0)
    queue.put(entry(2, "state"), 10)
    assert not queue.owes_a_report
    queue.resend_overdue(100)
    assert lost(queue) == {1}


def test_patience_doubles_up_to_a_bound_and_a_new_link_resets_it() -> None:
    queue = filled(Limits(resend_ms=100, resend_longest_ms=300), entry(1, "alarm"))
    queue.set_link(True, 0)
    now = 0
    for patience in (100, 200, 300, 300):
        assert seqs(queue.take(1, now)) == [1]
        queue.resend_overdue(now + patience - 1)
        assert not queue.sendable
        now += patience
        queue.resend_overdue(now)
    queue.set_link(False, now)
    queue.set_link(True, now)
    assert seqs(queue.take(1, now)) == [1]
    queue.resend_overdue(now + 100)
    assert queue.sendable


def test_a_first_acknowledgement_after_silence_ends_all_patience() -> None:
    queue = filled(Limits(resend_ms=100, resend_longest_ms=10_000), *[entry(seq, "alarm") for seq in (1, 2, 3)])
    queue.set_link(True, 0)
    now = 0
    for patience in (100, 200, 400, 800):
        queue.take(10, now)
        now += patience
        queue.resend_overdue(now)
    queue.take(10, now)
    queue.ack(BOOT, ((1, 1),), now)
    queue.resend_overdue(now)
    assert seqs(queue.take(10, now)) == [2, 3]


def test_a_refused_message_waits_again_and_loses_no_patience() -> None:
    queue = filled(Limits(), entry(1, "alarm"), entry(2, "alarm"))
    queue.set_link(True, 0)
    taken = queue.take(10, 0)
    queue.give_back(taken[1:])
    assert (queue.in_flight, queue.backlog) == (1, 1)
    assert seqs(queue.take(10, 0)) == [2]


@given(st.integers(2, 40), st.integers(0, 200))
def test_thinning_keeps_the_bound_the_newest_and_the_account(bound: int, count: int) -> None:
    limits = Limits(telemetry_messages=bound)
    queue = filled(limits, *[entry(seq) for seq in range(1, count + 1)])
    assert len(queue) <= bound
    queue.set_link(True, 0)
    kept = seqs(queue.take(1_000, 0))
    gone = lost(queue)
    assert set(kept) | gone == set(range(1, count + 1))
    assert not set(kept) & gone
    # The newest half of what fits was never touched.
    assert set(range(max(1, count - bound // 2 + 1), count + 1)) <= set(kept)


@given(st.lists(st.integers(1, 100), max_size=60))
def test_thinning_keeps_the_bound_in_bytes(sizes: list[int]) -> None:
    queue = filled(Limits(telemetry_bytes=500), *[entry(seq, size=size) for seq, size in enumerate(sizes, 1)])
    queue.set_link(True, 0)
    assert sum(one.size_bytes for one in queue.take(1_000, 0)) <= 500


def test_alarms_and_states_are_never_thinned() -> None:
    entries = [entry(seq, "alarm") for seq in range(1, 50)] + [entry(50, "state")]
    queue = filled(Limits(telemetry_messages=2, telemetry_bytes=20), *entries, *[entry(seq) for seq in range(51, 90)])
    gone = lost(queue)
    assert not gone & set(range(1, 51))


def test_given_up_messages_do_not_pile_up_in_memory() -> None:
    queue = filled(Limits(telemetry_messages=10), *[entry(seq) for seq in range(1, 5_000)])
    assert len(queue._ready) < 200


def test_a_healthy_link_writes_telemetry_and_state_never() -> None:
    queue = Queue(BOOT, Limits())
    queue.set_link(True, 0)
    for seq in range(1, 20_000):
        now = seq * 10
        queue.put(entry(seq, "state" if seq % 3 else "telemetry"), now)
        queue.take(10, now)
        queue.ack(BOOT, ((max(1, seq - 5), seq - 5),), now)
        queue.resend_overdue(now)
        assert queue.plan(now) is None


def test_without_an_acknowledgement_they_reach_the_disk_in_batches() -> None:
    limits = Limits(spill_messages=10, spill_after_ms=1_000)
    queue = filled(limits, *[entry(seq) for seq in range(1, 10)])
    queue.set_link(False, 0)
    assert queue.plan(500) is None
    queue.put(entry(10), 500)
    batch = queue.plan(500)
    assert batch is not None
    assert [one.seq for one in batch.inserts] == list(range(1, 11))
    queue.written(batch, 500)
    queue.set_link(True, 500)  # and when the broker is there and no edge server
    queue.put(entry(11), 600)
    assert queue.plan(1_599) is None
    assert queue.plan(1_600) is not None


def test_while_the_disk_refuses_alarms_wait_and_telemetry_in_memory_is_bounded() -> None:
    limits = Limits(memory_messages=5, spill_messages=1, retry_disk_ms=1_000)
    queue = filled(limits, entry(1, "alarm"), *[entry(seq) for seq in range(2, 22)])
    assert queue.plan(0) is not None
    queue.write_failed(0)
    assert queue.plan(999) is None
    assert len(queue) == 1 + 5
    losses = queue.take_losses(0)
    assert [(loss.reason, loss.ranges) for loss in losses] == [("disk-full", ((2, 16),))]
    batch = queue.plan(1_000)
    assert batch is not None
    assert batch.inserts[0].seq == 1


def test_losses_are_reported_in_pieces_that_fit_a_message() -> None:
    queue = filled(Limits(telemetry_messages=4, gap_ranges=3), *[entry(seq) for seq in range(1, 40)])
    queue.set_link(True, 0)
    pieces = 0
    while queue.losses_due(0) or queue.owes_a_report:
        assert all(len(loss.ranges) <= 3 for loss in queue.take_losses(0))
        pieces += 1
    assert pieces >= 1


def test_a_losses_report_waits_for_a_link_and_a_listener() -> None:
    queue = filled(Limits(), entry(1, "state"), entry(2, "state"))
    assert not queue.losses_due(0)
    queue.set_link(True, 0)
    assert not queue.losses_due(0)
    queue.take(1, 0)
    queue.ack(BOOT, ((2, 2),), 0)
    assert queue.losses_due(0)


numbers = st.integers(0, 60)


@given(st.lists(st.tuples(numbers, numbers).map(lambda pair: (min(pair), max(pair))), max_size=30))
def test_ranges_are_a_set_of_integers(pairs: list[tuple[int, int]]) -> None:
    ranges = SeqRanges(pairs)
    model = {number for first, last in pairs for number in range(first, last + 1)}
    assert {number for number in range(62) if number in ranges} == model
    assert {number for first, last in ranges.ranges() for number in range(first, last + 1)} == model
    found = ranges.ranges()
    assert all(found[at][1] + 1 < found[at + 1][0] for at in range(len(found) - 1)), "sorted and melted"
    head = ranges.take(2)
    assert head + ranges.ranges() == found
