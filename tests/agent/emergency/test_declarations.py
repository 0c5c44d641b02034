"""A vehicle's word is taken once, from whoever may bring it, and for as long as it is valid."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from agent.emergency.declarations import MOST_SENDERS, NONE, Declarations, Refusal, on, take
from node.clock import SystemClock
from node.identity import Identity
from protocol.ids import ApproachId, BootId, DeviceId
from protocol.messages import Declaration

BOOT, OTHER = BootId("9f2c61d07be34a58"), BootId("0a5be9174d26c3f8")
WEST, EAST = ApproachId("north-w"), ApproachId("north-e")


def said(sender: str = "edge-1", **fields: object) -> Declaration:
    usual: dict[str, object] = {
        "approach": WEST, "vehicle": "ambulance", "beacons": True, "authenticated": True, "agent_boot": BOOT,
        "sequence": 1, "valid_ms": 10_000,
    }  # fmt: skip
    return Declaration(**Identity(DeviceId(sender), SystemClock()).live(), **{**usual, **fields})  # type: ignore[arg-type]


def taken(held: Declarations, message: Declaration, mono_ms: int = 0) -> tuple[Declarations, Refusal | None]:
    return take(held, message, BOOT, {WEST}, mono_ms)


def test_it_stands_on_its_approach_until_it_lapses() -> None:
    held, refusal = taken(NONE, said(), 500)
    assert refusal is None
    found = on(held, WEST, 10_499)
    assert found is not None
    assert (found.kind, found.authenticated, found.beacons, found.mono_ms) == ("ambulance", True, True, 500)
    assert on(held, EAST, 600) is None
    assert on(held, WEST, 10_500) is None


def test_its_sender_renews_and_ends_it() -> None:
    held, _ = taken(NONE, said())
    held, _ = taken(held, said(sequence=2), 8_000)
    assert on(held, WEST, 12_000) is not None
    held, _ = taken(held, said("edge-2", sequence=1, vehicle="fire_engine"), 9_000)
    held, _ = taken(held, said(sequence=3, valid_ms=0), 9_100)
    left = on(held, WEST, 9_200)
    assert left is not None
    assert left.kind == "fire_engine"


@given(st.lists(st.tuples(st.sampled_from(["edge-1", "edge-2"]), st.integers(0, 20)), max_size=30))
def test_what_came_once_is_never_taken_again(messages: list[tuple[str, int]]) -> None:
    held = NONE
    highest: dict[str, int] = {}
    for number, (sender, sequence) in enumerate(messages):
        held, refusal = taken(held, said(sender, sequence=sequence), number)
        assert (refusal == "replayed") is (sequence <= highest.get(sender, -1))
        highest[sender] = max(sequence, highest.get(sender, -1))


def test_another_boot_another_road_and_a_flood_of_senders_are_refused() -> None:
    assert taken(NONE, said(agent_boot=OTHER))[1] == "another boot"
    held, refusal = taken(NONE, said(approach=EAST))
    assert refusal == "unknown approach"
    assert taken(held, said(approach=WEST))[1] == "replayed"
    for number in range(MOST_SENDERS):
        held, _ = taken(held, said(f"edge-{number}", sequence=5))
    assert taken(held, said("edge-99"))[1] == "too many senders"


def test_the_weightiest_of_several_stands() -> None:
    held, _ = taken(NONE, said("edge-1", beacons=False), 1)
    held, _ = taken(held, said("edge-2", vehicle="police_car"), 2)
    held, _ = taken(held, said("edge-3", vehicle="fire_engine", authenticated=False), 3)
    found = on(held, WEST, 4)
    assert found is not None
    assert found.kind == "police_car"
