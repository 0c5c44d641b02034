"""Who stays at a full door, and who is cut: laws of the doorman, and the cases that an attack is made of."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from node.door.doorman import Doorman, Limits
from node.trust.attempts import source

FLOOD, HOME, OTHER = "192.0.2.66", "192.0.2.1", "192.0.2.7"
LATER = 60_000


def full_of(address: str, at_once: int = 10) -> Doorman:
    doorman = Doorman(Limits(at_once=at_once))
    for number in range(at_once):
        assert doorman.comes(number, address, number) is None
    return doorman


def test_a_flood_throws_out_its_own_oldest() -> None:
    doorman = full_of(FLOOD)
    assert doorman.comes(100, FLOOD, LATER) == 0
    assert doorman.comes(101, FLOOD, LATER) == 1
    assert len(doorman) == 10


def test_nobody_goes_for_one_of_its_own_before_it_had_time_to_ask() -> None:
    doorman = full_of(FLOOD)
    assert doorman.comes(100, FLOOD, doorman.limits.fresh_ms - 1) == 100
    assert doorman.comes(100, FLOOD, doorman.limits.fresh_ms) == 0
    assert doorman.comes(101, HOME, doorman.limits.fresh_ms) == 1


def test_who_was_answered_waits_anew() -> None:
    doorman = full_of(FLOOD)
    doorman.asks(0)
    doorman.answered(0, 50)
    assert doorman.comes(100, FLOOD, LATER) == 1


def test_who_is_answered_stays_while_others_of_the_address_wait() -> None:
    doorman = full_of(FLOOD)
    doorman.asks(0)
    assert doorman.comes(100, FLOOD, LATER) == 1


def test_a_door_full_of_answers_lets_no_more_of_that_address_in() -> None:
    doorman = full_of(FLOOD)
    for number in range(10):
        doorman.asks(number)
    assert doorman.comes(100, FLOOD, LATER) == 100
    assert len(doorman) == 10


def test_a_door_full_of_one_address_opens_for_another() -> None:
    doorman = full_of(FLOOD)
    for number in range(10):
        doorman.asks(number)
    assert doorman.comes(100, HOME, 100) == 0
    assert doorman.comes(101, HOME, 101) == 1


def test_ten_thousand_devices_behind_one_router_come_one_after_the_other() -> None:
    doorman = Doorman(Limits(at_once=100))
    for device in range(10_000):
        goes = doorman.comes(device, HOME, device)
        assert goes is None
        doorman.asks(device)
        if device >= 50:
            doorman.leaves(device - 50)


@given(
    st.lists(
        st.tuples(st.sampled_from(["comes", "asks", "answered", "leaves"]), st.sampled_from([FLOOD, HOME, OTHER])),
        max_size=200,
    ),
    st.integers(1, 8),
)
def test_never_more_than_its_limit_and_nobody_is_cut_for_one_who_holds_more(
    steps: list[tuple[str, str]], at_once: int
) -> None:
    doorman = Doorman(Limits(at_once=at_once, fresh_ms=20))
    inside: dict[int, str] = {}
    for now_ms, (what, address) in enumerate(steps):
        mine = [number for number, one in inside.items() if one == address]
        if what == "comes":
            held = Counter(inside.values())
            goes = doorman.comes(now_ms, address, now_ms)
            if goes is not None and goes != now_ms:
                cut = inside.pop(goes)
                assert cut == address or held[cut] > held[address]
            if goes != now_ms:
                inside[now_ms] = address
        elif mine:
            if what == "asks":
                doorman.asks(mine[-1])
            elif what == "answered":
                doorman.answered(mine[-1], now_ms)
            else:
                doorman.leaves(mine[-1])
                del inside[mine[-1]]
        assert len(doorman) == len(inside) <= at_once


def test_only_who_waits_or_blocks_is_overdue() -> None:
    doorman = Doorman(Limits(wait_ms=10, blocked_ms=100))
    for number in range(4):
        doorman.comes(number, HOME, 0)
    doorman.asks(1)
    doorman.asks(2)
    doorman.blocked(2, 0)
    doorman.asks(3)
    doorman.answered(3, 5)
    assert doorman.overdue(10) == []
    assert doorman.overdue(11) == [0]
    assert doorman.overdue(16) == [0, 3]
    assert doorman.overdue(101) == [0, 2, 3]
    doorman.blocked(2, None)
    assert doorman.overdue(1_000_000) == [0, 3]


def test_ipv4_over_a_socket_for_both_kinds_is_not_one_source() -> None:
    assert source("::ffff:192.0.2.1") == source("192.0.2.1") != source("::ffff:192.0.2.2")
