"""The hardware watchdog: a timer that resets the board unless somebody feeds it."""

from __future__ import annotations

from node.hardware.found import Watchdog
from node.hardware.tree import Tree

_CLASS = "sys/class/watchdog"


def find_watchdog(tree: Tree) -> Watchdog | None:
    """The first one; None where the kernel has none."""
    names = [name for name in tree.names(_CLASS) if name.startswith("watchdog")]
    if not names:
        return Watchdog(device="/dev/watchdog") if tree.exists("dev/watchdog") else None
    folder = f"{_CLASS}/{names[0]}"
    state = tree.text(f"{folder}/state")
    return Watchdog(
        device=f"/dev/{names[0]}",
        identity=tree.text(f"{folder}/identity"),
        timeout_s=tree.number(f"{folder}/timeout"),
        active={"active": True, "inactive": False}.get(state),
    )
