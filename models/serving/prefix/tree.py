"""Which blocks are kept: a tree of them, and who goes when it is full. No clock, no file, no payload.

A block is of use only while all before it are there, so only leaves go. Of these the one goes first that has the least

    clock when last asked for  +  REUSED x capacity, once it was found again  -  DEPTH x what stands before it

The clock is what was ever put in, so age is told in what a cache of this size takes in, and nothing here depends on a
trace's hours. Found again: most blocks are asked for once, and those that were found once more are found again far more
often (as in 2Q and S3-FIFO, which keep the two apart; Yang and others 2023). Depth: the end of a long prompt helps
those alone who come back to all of it, its beginning everybody who begins so; and as much room lets several
short prompts stay as one long one's end.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from heapq import heapify, heappop, heappush

REUSED = 0.25
DEPTH = 5.0


@dataclass(slots=True)
class _Block:
    parent: bytes | None
    size: int
    before: int
    worth: tuple[float, int]
    found_again: bool = False
    children: int = 0


class Tree:
    """capacity: in the unit that sizes are told in."""

    def __init__(self, capacity: int) -> None:
        self.capacity, self.size = capacity, 0
        self._clock = self._touches = 0
        self._blocks: dict[bytes, _Block] = {}
        # Leaves by worth; entries whose block is gone, no leaf any more, or worth something else by now are skipped.
        self._leaves: list[tuple[tuple[float, int], bytes]] = []

    def __contains__(self, key: bytes) -> bool:
        return key in self._blocks

    def __len__(self) -> int:
        return len(self._blocks)

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._blocks)

    def parent(self, key: bytes) -> bytes | None:
        return self._blocks[key].parent

    def longest(self, keys: Sequence[bytes]) -> int:
        """How many of a prompt's blocks are held, from its beginning."""
        return next((place for place, key in enumerate(keys) if key not in self._blocks), len(keys))

    def find(self, keys: Sequence[bytes]) -> int:
        """`longest`, and those found are now worth more."""
        found = self.longest(keys)
        for key in reversed(keys[:found]):
            self._blocks[key].found_again = True
            self._touch(key)
        return found

    def put(self, keys: Sequence[bytes], sizes: Sequence[int]) -> dict[bytes, bytes | None]:
        """A prompt's blocks from its beginning, whether held or not; and who had to go, as `shrink` tells."""
        parent = None
        for key, size in zip(keys, sizes, strict=True):
            self.add(key, parent, size)
            parent = key
        for key in reversed(keys):
            self._touch(key)
        return self.shrink()

    def add(self, key: bytes, parent: bytes | None, size: int) -> None:
        """One block behind another that is held; None for a first. Room is made by `shrink`."""
        if key in self._blocks:
            return
        before = 0
        if parent is not None:
            above = self._blocks[parent]
            above.children += 1
            before = above.before + above.size
        self._blocks[key] = _Block(parent, size, before, (0.0, 0))
        self._clock += size
        self.size += size
        self._touch(key)

    def shrink(self) -> dict[bytes, bytes | None]:
        """Who had to go, in the order of going, and the block before each."""
        gone = {}
        while self.size > self.capacity:
            worth, key = heappop(self._leaves)
            block = self._blocks.get(key)
            if block is not None and not block.children and block.worth == worth:
                gone[key] = block.parent
                self._remove(key)
        return gone

    def drop(self, key: bytes) -> list[bytes]:
        """A block that turned out to be damaged, and all behind it."""
        gone = [key] if key in self._blocks else []
        for one in gone:
            gone += [child for child, block in self._blocks.items() if block.parent == one]
        for one in reversed(gone):
            self._remove(one)
        return gone

    def _touch(self, key: bytes) -> None:
        block = self._blocks[key]
        self._touches += 1
        worth = self._clock + REUSED * self.capacity * block.found_again - DEPTH * block.before
        block.worth = (worth, self._touches)
        if not block.children:
            self._offer(key, block)

    def _offer(self, key: bytes, block: _Block) -> None:
        heappush(self._leaves, (block.worth, key))
        if len(self._leaves) > 64 + 4 * len(self._blocks):
            self._leaves = [(one.worth, name) for name, one in self._blocks.items() if not one.children]
            heapify(self._leaves)

    def _remove(self, key: bytes) -> None:
        block = self._blocks.pop(key)
        self.size -= block.size
        if block.parent is not None:
            above = self._blocks[block.parent]
            above.children -= 1
            if not above.children:
                self._offer(block.parent, above)
