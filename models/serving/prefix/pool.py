"""Blocks of keys and values: in memory first, and where there is a disk, what memory has no room for goes there.

Both hold whole beginnings only: whatever is there has all blocks before it there, too. So a block that leaves memory,
a leaf, takes those before it along to the disk, where most are already.
"""

from __future__ import annotations

from collections.abc import Sequence

from models.engine.port import Portion
from models.serving.prefix.disk import Disk
from models.serving.prefix.tree import Tree


class Pool:
    """Used on one thread. bytes_ram: of data; what else is kept of a block is some hundred bytes."""

    def __init__(self, bytes_ram: int, disk: Disk | None = None) -> None:
        self.tree = Tree(bytes_ram)
        self._disk = disk
        self._portions: dict[bytes, Portion] = {}

    def __len__(self) -> int:
        return len(self._portions)

    @property
    def size(self) -> int:
        """Bytes in memory."""
        return self.tree.size

    @property
    def most_bytes(self) -> int:
        """Of one prompt: more would push its own beginning out."""
        return max(self.tree.capacity, self._disk.tree.capacity if self._disk is not None else 0)

    def longest(self, keys: Sequence[bytes]) -> int:
        """How many blocks of a prompt there are, from its beginning."""
        return max(self.tree.longest(keys), self._disk.tree.longest(keys) if self._disk is not None else 0)

    def find(self, keys: Sequence[bytes]) -> int:
        """`longest`, for somebody who takes them: they stay longer for it."""
        found = self.tree.find(keys)
        return max(found, self._disk.tree.find(keys)) if self._disk is not None else found

    def holds(self, key: bytes) -> bool:
        return key in self._portions or (self._disk is not None and key in self._disk.tree)

    def get(self, key: bytes) -> Portion | None:
        """None for one that is gone, or turned out to be damaged on the disk."""
        found = self._portions.get(key)
        return found if found is not None or self._disk is None or key not in self._disk.tree else self._disk.read(key)

    def put(self, keys: Sequence[bytes], fresh: Sequence[Portion | None]) -> None:
        """A prompt's blocks from its beginning. fresh: the data of each, None for those that are held in memory. What
        stands behind a gap is of no use and not taken."""
        whole = next(
            (at for at, key in enumerate(keys) if fresh[at] is None and key not in self._portions), len(keys)
        )  # fmt: skip
        sizes = []
        for key, portion in zip(keys[:whole], fresh[:whole], strict=True):
            if portion is not None:
                self._portions.setdefault(key, portion)
            sizes.append(len(self._portions[key].data))
        self._leave(self.tree.put(keys[:whole], sizes))

    def drop(self, key: bytes) -> None:
        """What an engine would not take, and all behind it."""
        for gone in self.tree.drop(key):
            del self._portions[gone]
        if self._disk is not None:
            self._disk.forget(key)

    def settle(self) -> None:
        """Until the disk has what was put aside for it."""
        if self._disk is not None:
            self._disk.settle()

    def close(self) -> None:
        """What is in memory alone is gone."""
        if self._disk is not None:
            self._disk.close()

    def _leave(self, gone: dict[bytes, bytes | None]) -> None:
        leaving = {key: self._portions.pop(key) for key in gone}
        if self._disk is None:
            return
        for key in reversed(gone):
            chain: list[tuple[bytes, bytes | None]] = []
            above: bytes | None = key
            while above is not None and above not in self._disk.tree:
                before = gone[above] if above in gone else self.tree.parent(above)
                chain.append((above, before))
                above = before
            for one, before in reversed(chain):
                if not self._disk.write(one, before, leaving.get(one) or self._portions[one]):
                    break
