from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from edge_server.ingest import ranges

numbers = st.sets(st.integers(0, 60))


def as_ranges(found: set[int]) -> ranges.Ranges:
    return ranges.union(((number, number) for number in found), ())


def as_set(found: ranges.Ranges) -> set[int]:
    return {number for first, last in found for number in range(first, last + 1)}


@given(numbers, numbers)
def test_ranges_behave_as_sets(a: set[int], b: set[int]) -> None:
    left, right = as_ranges(a), as_ranges(b)
    assert as_set(left) == a
    assert as_set(ranges.union(left, right)) == a | b
    assert as_set(ranges.subtract(left, right)) == a - b
    assert as_set(ranges.intersect(left, right)) == a & b
    assert ranges.count(left) == len(a)
    assert all(ranges.contains(left, number) == (number in a) for number in range(-1, 62))


@given(st.lists(st.integers(0, 60)))
def test_added_one_by_one_they_stay_in_normal_form(added: list[int]) -> None:
    found: ranges.Ranges = ()
    for number in added:
        found = ranges.add(found, number)
    assert found == as_ranges(set(added))
    assert all(before[1] + 1 < after[0] for before, after in pairwise(found))
