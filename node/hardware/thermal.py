"""Temperatures and what they throttle: /sys/class/thermal, the Raspberry Pi's firmware, the x86 counters."""

from __future__ import annotations

from node.hardware.found import ThermalZone, Throttling
from node.hardware.tree import Tree

_ZONES = "sys/class/thermal"
# Bits of the Raspberry Pi firmware's word, as its documentation of `vcgencmd get_throttled` lists them.
_NOW = {0: "under-voltage", 1: "frequency capped", 2: "throttled", 3: "soft temperature limit"}
_SINCE_BOOT_SHIFT = 16
# No sensor of a running board tells the truth outside of these.
_COLDEST_C, _HOTTEST_C = -60.0, 200.0


def find_thermal(tree: Tree) -> tuple[ThermalZone, ...]:
    return tuple(_zone(tree, name) for name in tree.names(_ZONES) if name.startswith("thermal_zone"))


def find_throttling(tree: Tree) -> Throttling:
    """A Raspberry Pi's firmware says it outright; a PC only counts."""
    word = _firmware_word(tree)
    if word is not None:
        return Throttling(
            known=True,
            now=tuple(text for bit, text in _NOW.items() if word >> bit & 1),
            since_boot=tuple(text for bit, text in _NOW.items() if word >> (bit + _SINCE_BOOT_SHIFT) & 1),
        )
    counts = [
        tree.number(f"sys/devices/system/cpu/{cpu}/thermal_throttle/{kind}_throttle_count")
        for cpu in tree.names("sys/devices/system/cpu")
        for kind in ("core", "package")
    ]
    known = [one for one in counts if one is not None]
    return Throttling(known=bool(known), since_boot=("throttled",) if sum(known) else ())


def _firmware_word(tree: Tree) -> int | None:
    """`get_throttled` lies below soc:firmware, whose place in /sys differs from model to model."""
    platform = "sys/devices/platform"
    for soc in tree.names(platform):
        if not soc.startswith("soc"):
            continue
        for part in [".", *[one for one in tree.names(f"{platform}/{soc}") if one.endswith("firmware")]]:
            text = tree.text(f"{platform}/{soc}/{part}/get_throttled")
            if text:
                try:
                    return int(text, 16)
                except ValueError:
                    return None
    return None


def _zone(tree: Tree, name: str) -> ThermalZone:
    folder = f"{_ZONES}/{name}"
    trips: dict[str, float] = {}
    for entry in tree.names(folder):
        if entry.startswith("trip_point_") and entry.endswith("_type"):
            limit_c = _celsius(tree, f"{folder}/{entry.removesuffix('_type')}_temp")
            kind = tree.text(f"{folder}/{entry}")
            if limit_c is not None:
                trips[kind] = min(limit_c, trips.get(kind, limit_c))
    return ThermalZone(
        name=tree.text(f"{folder}/type") or name,
        now_c=_celsius(tree, f"{folder}/temp"),
        passive_c=trips.get("passive"),
        critical_c=trips.get("critical"),
    )


def _celsius(tree: Tree, path: str) -> float | None:
    milli = tree.number(path)
    return milli / 1000 if milli is not None and _COLDEST_C < milli / 1000 < _HOTTEST_C else None
