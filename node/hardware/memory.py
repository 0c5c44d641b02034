"""Memory: /proc/meminfo, /proc/swaps and the control group's limit."""

from __future__ import annotations

from node.hardware.found import Memory
from node.hardware.tree import Tree

_MB = 1_000_000


def find_memory(tree: Tree) -> Memory:
    fields = {}
    for line in tree.text("proc/meminfo").splitlines():
        key, _, value = line.partition(":")
        number = value.split()[0] if value.split() else ""
        if number.isdecimal():
            fields[key] = int(number) * 1024 // _MB
    swaps = [line.split()[0] for line in tree.text("proc/swaps").splitlines()[1:] if line.split()]
    return Memory(
        total_mb=fields.get("MemTotal", 0),
        available_mb=fields.get("MemAvailable", fields.get("MemFree", 0)),
        swap_mb=fields.get("SwapTotal", 0),
        swap_on_disk=any("zram" not in one for one in swaps),
        limit_mb=_limit_mb(tree),
    )


def _limit_mb(tree: Tree) -> int | None:
    """Of the root group that a container sees as its own; "max" stands for none."""
    text = tree.text("sys/fs/cgroup/memory.max")
    return int(text) // _MB if text.isdecimal() else None
