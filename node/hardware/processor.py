"""The processor: /proc/cpuinfo and /sys/devices/system/cpu."""

from __future__ import annotations

from node.hardware.found import Processor
from node.hardware.tree import Tree

# Of the boards that Kinflow is met on. Arm's own part numbers, as MIDR_EL1 gives them (implementer 0x41).
_ARM_PARTS = {
    "0xd03": "Cortex-A53",
    "0xd05": "Cortex-A55",
    "0xd08": "Cortex-A72",
    "0xd0b": "Cortex-A76",
    "0xd0c": "Neoverse-N1",
    "0xd41": "Cortex-A78",
    "0xd42": "Cortex-A78AE",
}
_ARM = "0x41"


def find_processor(tree: Tree, architecture: str) -> Processor:
    """architecture: as `uname -m` gives it, for a recorded tree of another machine than this one."""
    text = tree.text("proc/cpuinfo")
    fields: dict[str, str] = {}
    for line in text.splitlines():
        key, _, value = line.partition(":")
        # Cores of other kinds may differ (big.LITTLE): the last one wins for names, the common features are kept.
        fields[key.strip()] = value.strip()
    return Processor(
        architecture=architecture,
        model=_model(fields),
        cores=_cores(tree, text),
        features=_features(text),
    )


def _features(text: str) -> frozenset[str]:
    """What every core can do."""
    lists = [
        frozenset(line.partition(":")[2].lower().split())
        for line in text.splitlines()
        if line.partition(":")[0].strip().lower() in ("features", "flags")
    ]
    return frozenset.intersection(*lists) if lists else frozenset()


def _model(fields: dict[str, str]) -> str:
    if fields.get("model name"):
        return fields["model name"]
    part = fields.get("CPU part", "").lower()
    if fields.get("CPU implementer", "").lower() == _ARM and part in _ARM_PARTS:
        return _ARM_PARTS[part]
    return f"ARM part {part}" if part else ""


def _cores(tree: Tree, text: str) -> int:
    online = count_of_ranges(tree.text("sys/devices/system/cpu/online"))
    return online or sum(line.partition(":")[0].strip() == "processor" for line in text.splitlines()) or 1


def count_of_ranges(text: str) -> int:
    """How many numbers the kernel's list holds: "0-3,6" -> 5. What is no list counts 0."""
    count = 0
    for part in text.split(","):
        first, _, last = part.strip().partition("-")
        if not first.isdecimal() or not (last or first).isdecimal():
            return 0
        count += int(last or first) - int(first) + 1
    return count
