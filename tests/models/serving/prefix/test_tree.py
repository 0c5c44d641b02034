"""What a tree of blocks holds to, whatever is asked, and that it finds more than the plain order does."""

from __future__ import annotations

import random
from collections import OrderedDict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.kv_loads import agents, documents
from models.serving.prefix.replay import Requests, least_recent_hits, optimal_hits, replayed_hits
from models.serving.prefix.tree import Tree

# Paths in a small tree: a prompt is its turns.
turns = st.lists(st.integers(0, 2), min_size=1, max_size=6)
requests = st.lists(turns, min_size=1, max_size=40)


def keys(path: list[int]) -> list[bytes]:
    return [bytes(path[: at + 1]) for at in range(len(path))]


@settings(max_examples=50)
@given(requests, st.integers(1, 12))
def test_whole_beginnings_are_held_and_never_more_than_the_capacity(asked, capacity):
    tree = Tree(capacity)
    for path in asked:
        found = tree.find(keys(path))
        assert found == tree.longest(keys(path))
        before = set(tree)
        gone = tree.put(keys(path), [1] * len(path))
        assert set(tree) == (before | set(keys(path))) - set(gone)
        assert tree.size == len(tree) <= capacity
        assert all(tree.parent(one) is None or tree.parent(one) in tree for one in tree)


@settings(max_examples=50)
@given(requests, st.integers(1, 12))
def test_hits_are_those_of_the_replay_and_never_more_than_the_optimum(asked, capacity):
    tree, hits = Tree(capacity), 0
    for path in asked:
        hits += tree.find(keys(path))
        tree.put(keys(path), [1] * len(path))
    told: Requests = [keys(path) for path in asked]
    assert hits == replayed_hits(told, capacity)
    assert hits <= optimal_hits(told, capacity)
    assert least_recent_hits(told, capacity) <= optimal_hits(told, capacity)


@settings(max_examples=50)
@given(requests)
def test_with_room_for_all_everything_is_found_that_was_ever_there(asked):
    told = [keys(path) for path in asked]
    seen = {one for path in told for one in path}
    assert replayed_hits(told, 10_000) == sum(map(len, told)) - len(seen) == optimal_hits(told, 10_000)


@settings(max_examples=50)
@given(requests, st.data())
def test_a_damaged_block_takes_what_stands_behind_it_along(asked, data):
    tree = Tree(1000)
    for path in asked:
        tree.put(keys(path), [1] * len(path))
    victim = data.draw(st.sampled_from(sorted(tree)))
    behind = {one for one in tree if one[: len(victim)] == victim}
    before = set(tree)
    assert set(tree.drop(victim)) == behind
    assert set(tree) == before - behind
    assert tree.size == len(tree)


def test_least_recent_is_what_everybody_calls_so():
    asked = [[bytes([one]) for one in random.Random(seed).sample(range(9), 4)] for seed in range(60)]
    cache: OrderedDict[bytes, None] = OrderedDict()
    hits = 0
    for request in asked:
        for key in request:
            hits += key in cache
            cache[key] = None
            cache.move_to_end(key)
            if len(cache) > 5:
                cache.popitem(last=False)
    assert least_recent_hits(asked, 5) == hits


@pytest.mark.parametrize("seed", [1])
def test_more_is_found_than_in_the_order_of_last_use(seed):
    """Two loads that the project makes itself: agents with shared prompts, and documents that are asked about again."""
    for asked, capacity in ((agents(seed, 3000), 1000), (documents(seed, 2500), 5000)):
        assert replayed_hits(asked, capacity) > least_recent_hits(asked, capacity)
