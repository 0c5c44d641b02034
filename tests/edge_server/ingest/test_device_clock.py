from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from edge_server.ingest.device_clock import DRIFT, SETTLED_AFTER_MS, DeviceClock, observe

OFFSET = 1_000_000


def heard(clock: DeviceClock | None, made_ms: int, waited_ms: int, fresh: bool = False) -> DeviceClock:
    return observe(clock, made_ms, made_ms + OFFSET + waited_ms, fresh)


@given(st.lists(st.tuples(st.integers(0, 5_000), st.integers(0, 60_000)), min_size=1, max_size=30))
def test_a_wait_is_known_whatever_the_wall_clock_says(messages: list[tuple[int, int]]) -> None:
    """After one message that did not wait, each one's age is how long it waited, to the drift that is allowed for."""
    clock = heard(None, 0, 0, fresh=True)
    elapsed_ms = 0
    for later_ms, waited_ms in messages:
        elapsed_ms += later_ms
        clock = heard(clock, elapsed_ms - waited_ms, waited_ms)
        age_ms = clock.age_ms(elapsed_ms - waited_ms, elapsed_ms + OFFSET)
        assert waited_ms - DRIFT * elapsed_ms - 1 <= age_ms <= waited_ms


def test_a_draining_backlog_is_not_believed_until_it_has_drained() -> None:
    """Ten messages a second, made during a minute's cut and sent at once: each looks as fresh as the one before."""
    clock: DeviceClock | None = None
    for number in range(600):
        made_ms, now_ms = number * 100, 60_000 + number * 5
        clock = observe(clock, made_ms, now_ms + OFFSET)
        assert not clock.settled(now_ms + OFFSET)
    assert clock is not None
    made_ms = 63_000
    clock = heard(clock, made_ms, 0)
    assert not clock.settled(made_ms + OFFSET)
    clock = heard(clock, made_ms + SETTLED_AFTER_MS, 0)
    assert clock.settled(made_ms + SETTLED_AFTER_MS + OFFSET)


def test_a_birth_as_it_happens_settles_the_clock_at_once() -> None:
    clock = heard(None, 500, 0, fresh=True)
    assert clock.settled(500 + OFFSET)
    clock = heard(clock, 900, 20)
    assert clock.settled(900 + OFFSET + 20)
    assert clock.age_ms(900, 900 + OFFSET + 20) <= 20


def test_a_clock_that_runs_slow_does_not_make_all_that_follows_old() -> None:
    """A device whose quartz loses 50 ppm: after a day it is 4.3 s behind, and its messages are as young as ever."""
    clock = observe(None, 0, OFFSET, fresh=True)
    for second in range(0, 86_400, 10):
        device_ms = round(second * 1000 * (1 - 50e-6))
        clock = observe(clock, device_ms, OFFSET + second * 1000)
        assert clock.age_ms(device_ms, OFFSET + second * 1000) < 50
