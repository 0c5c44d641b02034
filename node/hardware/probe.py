"""Look at a machine once."""

from __future__ import annotations

import platform
from collections.abc import Callable

from node.hardware.accelerators import find_accelerators
from node.hardware.builds import find_builds
from node.hardware.cameras import find_cameras
from node.hardware.disk import find_disk
from node.hardware.found import Board, Builds, Hardware
from node.hardware.memory import find_memory
from node.hardware.processor import find_processor
from node.hardware.thermal import find_thermal, find_throttling
from node.hardware.tree import Tree
from node.hardware.watchdog import find_watchdog


def probe(
    tree: Tree | None = None,
    architecture: str = "",
    builds: Callable[[], Builds] = find_builds,
) -> Hardware:
    """What the machine below `tree` (default: this one) is. Never fails: what can't be read is absent.

    architecture: as `uname -m` gives it. builds: asked only where there is an accelerator to use, as it costs seconds.
    """
    tree = tree or Tree()
    accelerators = find_accelerators(tree)
    return Hardware(
        board=find_board(tree),
        processor=find_processor(tree, architecture or platform.machine()),
        memory=find_memory(tree),
        thermal=find_thermal(tree),
        throttling=find_throttling(tree),
        cameras=find_cameras(tree),
        accelerators=accelerators,
        builds=builds() if accelerators else Builds(),
        disk=find_disk(tree),
        watchdog=find_watchdog(tree),
    )


def look() -> Hardware:
    """This machine, without asking libraries what they were built for: at once."""
    return probe(builds=Builds)


def find_board(tree: Tree) -> Board:
    """A device tree names the board; on a PC the firmware's tables do."""
    model = tree.text("proc/device-tree/model")
    if model:
        return Board(model=model, compatible=tuple(tree.text("proc/device-tree/compatible").split("\n")))
    dmi = "sys/class/dmi/id"
    words = [tree.text(f"{dmi}/{name}") for name in ("sys_vendor", "product_name")]
    return Board(model=" ".join(one for one in words if one))
