"""The laws of room, by simulation: never more than there is, the first is never put out, nobody starves."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from models.serving.planning.room import RESERVE_TOKENS, Place, Stretch, clipped, distinct_tokens, is_kept, moves
from models.serving.planning.step_time import StepTime, work

ROOM = 600
asked = st.lists(
    st.tuples(st.integers(1, ROOM), st.integers(1, 400), st.floats(0, 9), st.integers(0, 200)), min_size=1, max_size=8
)


def place(name: int, tokens: int, may_say: int, here: bool, waits_s: float = 0.0) -> Place:
    """One that shares nothing."""
    return Place(name, name, (Stretch(name, 0, tokens),), may_say, here, waits_s)


def grown(one: Place) -> Place:
    *lent, own = one.stretches
    return replace(one, stretches=(*lent, own._replace(end=own.end + 1)), may_say=one.may_say - 1)


@settings(max_examples=80, deadline=None)
@given(asked)
def test_all_come_to_their_end_within_the_room(drawn):
    places = {}
    for name, (prompt, says, waits_s, _) in enumerate(drawn):
        places[name] = place(name, prompt, min(says, ROOM - prompt + 1), False, waits_s)
    begins = {name: one[3] for name, one in enumerate(drawn)}
    for step in range(20_000):
        if not places:
            return
        there = [one for name, one in places.items() if begins[name] <= step]
        found = moves(there, ROOM)
        first = min((one.order for one in there if one.here), default=None)
        assert first not in found.out
        assert not (found.out and found.come)
        for name in found.out:
            places[name] = replace(places[name], here=False)
        for name in found.come:
            places[name] = replace(places[name], here=True)
            assert all(places[one.name].here for one in there if one.order < name), "nobody is overtaken"
        inside = [one for one in places.values() if one.here]
        assert distinct_tokens(one.stretches for one in inside) <= ROOM
        assert inside or not there, "somebody is always at work"
        for one in inside:
            if one.may_say == 1:
                del places[one.name]
            else:
                places[one.name] = grown(one)
    raise AssertionError(f"still waiting: {places}")


def test_who_can_wait_most_is_put_out_and_never_the_first():
    places = [place(1, 50, 9, True, 9.0), place(2, 30, 9, True, 0.1), place(3, 30, 9, True, 5.0)]
    assert moves(places, 110).out == ()
    assert moves(places, 100).out == (3,)
    assert moves(places, 60).out == (3, 2)
    assert moves(places, 40).out == (3, 2, 1), "unless what is not planned here holds its room"


def test_another_comes_in_only_with_a_piece_of_an_answer_for_each():
    here, comes = place(1, 100, 900, True), place(2, 100, 20, False)
    need = 200 + RESERVE_TOKENS + 20
    assert moves([here, comes], need).come == (2,)
    assert moves([here, comes], need - 1).come == ()
    assert moves([comes], 100).come == (2,), "alone it needs no more than itself"


def test_a_beginning_that_is_shared_is_counted_once_and_frees_nothing_alone():
    first = place(1, 100, 9, True)
    lent = clipped(first.stretches, 80)
    second = Place(2, 2, (*lent, Stretch(2, 80, 90)), 9, True, 1.0)
    third = Place(3, 3, (*clipped(second.stretches, 60), Stretch(3, 60, 75)), 9, True, 0.5)
    assert distinct_tokens(one.stretches for one in (first, second, third)) == 100 + 10 + 15
    assert distinct_tokens(one.stretches for one in (second, third)) == 80 + 10 + 15, "it stays for who is left"
    assert distinct_tokens([third.stretches]) == 60 + 15
    assert moves([first, second, third], 125).out == ()
    assert moves([first, second, third], 124).out == (2,), "what puts out the one is its own ten tokens"
    comes = Place(4, 4, (*lent, Stretch(4, 80, 100)), 0, False)
    assert moves([replace(first, may_say=0), comes], 120).come == (4,)
    assert moves([replace(first, may_say=0), comes], 119).come == ()


@given(
    st.lists(st.tuples(st.integers(0, 9), st.integers(0, 40), st.integers(0, 40)), min_size=1, max_size=9),
    st.sets(st.integers(0, 8)),
)
def test_what_is_held_is_what_is_there(drawn, gone):
    """Against places that are numbered one by one: who copies from whom, how much, and what each adds itself."""
    fresh = iter(range(10_000))
    rooms: list[list[int]] = []
    told: list[tuple[Stretch, ...]] = []
    for name, (source, shared, more) in enumerate(drawn):
        begins = rooms[source % name][:shared] if name else []
        lent = clipped(told[source % name], shared) if name else ()
        rooms.append(begins + [next(fresh) for _ in range(more)])
        told.append((*lent, Stretch(name, len(begins), len(begins) + more)))
    left = [name for name in range(len(drawn)) if name not in gone]
    assert distinct_tokens(told[name] for name in left) == len(set().union(*(rooms[name] for name in left)))


def test_what_is_cheaper_to_compute_again_is_not_kept():
    time = StepTime()
    for rows in (1, 10, 100, 40):
        time = time.learnt(work(rows, 0), 0.001 * rows)
    assert is_kept(100, 0.0, time)
    assert is_kept(100, 0.0005, time)
    assert not is_kept(100, 0.002, time)
