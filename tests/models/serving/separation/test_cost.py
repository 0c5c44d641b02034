"""Whether it pays to bring keys and values: laws of the model."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.serving.planning.step_time import NOTHING, StepTime, work
from models.serving.separation.corrected import Corrected
from models.serving.separation.cost import Link, Worker, break_even_byte_s, choose, compute_s, fetch_s
from models.serving.separation.identity import speed_of
from protocol.kv_frames import Speed

PLAIN = Worker(Speed(step_s=0.01, row_s=0.001), Link(0.02, 1e-7), bytes_per_token=12_000)
tokens = st.integers(1, 5000)
workers = st.builds(
    Worker,
    st.builds(Speed, step_s=st.floats(0, 0.1), row_s=st.floats(1e-5, 0.1), pair_s=st.floats(0, 1e-5)),
    st.builds(Link, st.floats(0, 1), st.floats(0, 1e-4)),
    st.floats(1, 1e5),
    st.floats(0, 0.01),
)


def test_a_piece_is_sent_while_the_next_one_is_computed() -> None:
    # Two pieces: the first is under way (256 x 1.2 ms) while the second (266 ms) is computed, so the second waits.
    expected = 0.02 + 0.266 + 2 * 256 * 12_000 * 1e-7
    assert fetch_s(PLAIN, 512) == pytest.approx(expected)
    # On a fast link computing tells, and the last piece's way.
    fast = replace(PLAIN, link=Link(0.02, 1e-9))
    assert fetch_s(fast, 512) == pytest.approx(0.02 + 2 * 0.266 + 256 * 12_000 * 1e-9)


@given(workers, tokens, st.floats(0, 10))
def test_more_of_anything_never_takes_less(worker: Worker, count: int, ahead_s: float) -> None:
    took_s = fetch_s(worker, count)
    assert choose(worker, (0, count), 1.0, ahead_s).fetch_s >= took_s
    assert fetch_s(worker, count + 100) >= took_s - 1e-9 - 256 * worker.adopt_s  # the last piece may be smaller
    slower = replace(worker, link=Link(worker.link.rtt_s + 0.1, worker.link.byte_s * 2))
    assert fetch_s(slower, count) > took_s
    # What is held already need not come.
    assert fetch_s(worker, count, count // 2) <= took_s + 1e-9


@given(workers, tokens, st.floats(1e-3, 1e3))
def test_at_the_break_even_bringing_and_computing_take_as_long(worker: Worker, count: int, here_s: float) -> None:
    byte_s = break_even_byte_s(worker, count, here_s)
    if byte_s is None:
        assert fetch_s(replace(worker, link=Link(worker.link.rtt_s, 0.0)), count) > here_s
        return
    at = replace(worker, link=Link(worker.link.rtt_s, byte_s))
    assert fetch_s(at, count) == pytest.approx(here_s, rel=1e-3)
    faster = replace(worker, link=Link(worker.link.rtt_s, byte_s * 0.9))
    assert choose(faster, (0, count), here_s * 1.001).fetch
    slower = replace(worker, link=Link(worker.link.rtt_s, byte_s * 1.2 + 1e-9))
    assert not choose(slower, (0, count), here_s * 0.999).fetch


def test_what_was_wrong_lately_counts_in_the_choice() -> None:
    slow = Corrected()
    for _ in range(8):
        slow = slow.seen(1.0, 5.0)
    assert choose(PLAIN, (0, 512), 1.5).fetch
    assert not choose(PLAIN, (0, 512), 1.5, there=slow).fetch
    busy = choose(PLAIN, (0, 512), 1.0, here=slow)
    assert busy.fetch
    assert (busy.own_reckoned_s, busy.compute_reckoned_s) == (busy.own_s, 1.0)


def learnt(step_s: float, row_s: float) -> StepTime:
    time = StepTime()
    for rows in (1, 16, 64, 256, 512) * 8:
        time = time.learnt(work(rows, 0), step_s + row_s * rows)
    return time


def test_computing_here_takes_the_steps_that_speakers_leave() -> None:
    time = learnt(0.02, 0.002)
    alone_s = compute_s(time, NOTHING, 512, (0, 1024))
    assert alone_s == pytest.approx(2 * (0.02 + 512 * 0.002), rel=0.1)
    beside = work(1, 500) + work(1, 500)
    assert compute_s(time, beside, 64, (0, 1024)) > alone_s
    assert compute_s(time, beside, 64, (512, 1024)) < compute_s(time, beside, 64, (0, 1024))
    assert compute_s(time, beside, 64, (0, 1024), ahead=640) > compute_s(time, beside, 64, (0, 1024))


def test_a_speed_says_what_the_fit_says() -> None:
    time = learnt(0.02, 0.002)
    speed = speed_of(time)
    for rows, context in ((64, 0), (256, 0), (256, 1024)):  # as pieces of prompts are
        assert speed.seconds(rows, context) == pytest.approx(time.expected_s(work(rows, context)))
    assert speed_of(StepTime()) == Speed()
