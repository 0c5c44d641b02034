"""Sets of whole numbers as ordered, disjoint, non-touching ranges (first, last), both inclusive."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable

Range = tuple[int, int]
Ranges = tuple[Range, ...]

_ABOVE_ALL = float("inf")


def contains(ranges: Ranges, number: int) -> bool:
    at = bisect_right(ranges, (number, _ABOVE_ALL)) - 1
    return at >= 0 and number <= ranges[at][1]


def add(ranges: Ranges, number: int) -> Ranges:
    """`ranges` with one more number; quick for the usual case, the next one."""
    if ranges and ranges[-1][1] == number - 1:
        return (*ranges[:-1], (ranges[-1][0], number))
    if not ranges or number > ranges[-1][1]:
        return (*ranges, (number, number))
    return union(ranges, ((number, number),))


def union(a: Iterable[Range], b: Iterable[Range]) -> Ranges:
    """Also puts a disorderly list of ranges in order: union(list, ())."""
    merged: list[Range] = []
    for first, last in sorted([*a, *b]):
        if merged and first <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(merged[-1][1], last))
        elif first <= last:
            merged.append((first, last))
    return tuple(merged)


def subtract(a: Ranges, b: Ranges) -> Ranges:
    left: list[Range] = []
    at = 0
    for start, last in a:
        first = start
        while at < len(b) and b[at][1] < first:
            at += 1
        step = at
        while step < len(b) and b[step][0] <= last:
            if first < b[step][0]:
                left.append((first, b[step][0] - 1))
            first = b[step][1] + 1
            step += 1
        if first <= last:
            left.append((first, last))
    return tuple(left)


def intersect(a: Ranges, b: Ranges) -> Ranges:
    return subtract(a, subtract(a, b))


def count(ranges: Ranges) -> int:
    return sum(last - first + 1 for first, last in ranges)
