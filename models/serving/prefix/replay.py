"""What a cache of a given size would have found in requests that are known already: to compare with.

Requests are lists of keys, each key standing for all blocks up to it; sizes are blocks.
"""

from __future__ import annotations

import heapq
from collections import OrderedDict
from collections.abc import Sequence

from models.serving.prefix.tree import DEPTH, REUSED

Requests = Sequence[Sequence[bytes]]


def replayed_hits(requests: Requests, capacity: int) -> int:
    """The policy of tree.py, written once more from its rule, with nothing of its code: so each checks the other."""
    worth: dict[bytes, tuple[float, int]] = {}
    again: set[bytes] = set()
    above: dict[bytes, bytes | None] = {}
    under: dict[bytes | None, int] = {}
    queue: list[tuple[tuple[float, int], bytes]] = []
    clock = order = hits = 0

    def rate(key: bytes, depth: int) -> None:
        nonlocal order
        order += 1
        worth[key] = (clock + (REUSED * capacity if key in again else 0.0) - DEPTH * depth, order)
        heapq.heappush(queue, (worth[key], key))

    for keys in requests:
        found = 0
        while found < len(keys) and keys[found] in worth:
            found += 1
        hits += found
        again.update(keys[:found])
        for depth in reversed(range(found)):
            rate(keys[depth], depth)
        for depth in range(found, len(keys)):
            above[keys[depth]] = keys[depth - 1] if depth else None
            under[above[keys[depth]]] = under.get(above[keys[depth]], 0) + 1
            clock += 1
            rate(keys[depth], depth)
        for depth in reversed(range(len(keys))):
            rate(keys[depth], depth)
        parked = []
        while len(worth) > capacity:
            entry = heapq.heappop(queue)
            rated, key = entry
            if worth.get(key) != rated:
                continue
            if under.get(key):
                parked.append(entry)
                continue
            del worth[key]
            again.discard(key)
            parent = above.pop(key)
            under[parent] -= 1
            if parent in worth and not under[parent]:
                heapq.heappush(queue, (worth[parent], parent))
        for entry in parked:
            heapq.heappush(queue, entry)
    return hits


def least_recent_hits(requests: Requests, capacity: int) -> int:
    """The block that was asked for longest ago goes first, whatever stands behind it (LRU). Counts every block that is
    there, even where one before it is gone, which no engine could use: so it is told no worse than it is."""
    held: OrderedDict[bytes, None] = OrderedDict()
    hits = 0
    for keys in requests:
        for key in keys:
            hits += key in held
            held[key] = None
            held.move_to_end(key)
            if len(held) > capacity:
                held.popitem(last=False)
    return hits


def optimal_hits(requests: Requests, capacity: int) -> int:
    """The block that is asked for latest, or never again, goes first: no policy finds more (Belady 1966)."""
    asked = [key for keys in requests for key in keys]
    never = len(asked)
    following = [never] * never
    last: dict[bytes, int] = {}
    for at in reversed(range(never)):
        following[at] = last.get(asked[at], never + at)
        last[asked[at]] = at
    held: dict[bytes, int] = {}
    queue: list[tuple[int, bytes]] = []
    hits = 0
    for at, key in enumerate(asked):
        hits += key in held
        held[key] = following[at]
        heapq.heappush(queue, (-following[at], key))
        while len(held) > capacity:
            when, latest = heapq.heappop(queue)
            if held.get(latest) == -when:
                del held[latest]
    return hits
