"""The disk under the root folder, and what kind it is: an SD card wants few writes, an NVMe drive doesn't mind."""

from __future__ import annotations

import re

from node.hardware.found import Disk, DiskKind
from node.hardware.tree import Tree

_BLOCK = "sys/class/block"
_SECTOR_BYTES = 512


def find_disk(tree: Tree) -> Disk:
    device = _whole(tree, _root_device(tree))
    if not device:
        return Disk()
    sectors = tree.number(f"{_BLOCK}/{device}/size")
    size_mb = None if sectors is None else sectors * _SECTOR_BYTES // 1_000_000
    return Disk(device=device, kind=_kind(tree, device), size_mb=size_mb)


def _root_device(tree: Tree) -> str:
    """The block device that is mounted on /; found by its number, since its name may be an alias (/dev/root)."""
    for line in tree.text("proc/self/mountinfo").splitlines():
        parts = line.split()
        if len(parts) > 4 and parts[4] == "/":
            number = parts[2]
            by_number = [one for one in tree.names(_BLOCK) if tree.text(f"{_BLOCK}/{one}/dev") == number]
            if by_number:
                return by_number[0]
            source = parts[parts.index("-") + 2] if "-" in parts and parts.index("-") + 2 < len(parts) else ""
            name = source.removeprefix("/dev/")
            return name if name in tree.names(_BLOCK) else ""
    return ""


def _whole(tree: Tree, name: str) -> str:
    """mmcblk0p2 -> mmcblk0, sda2 -> sda. A device mapper's volume (dm-0) leads to what it lies on."""
    slaves = tree.names(f"{_BLOCK}/{name}/slaves") if name.startswith("dm-") else []
    if slaves:
        name = slaves[0]
    if tree.exists(f"{_BLOCK}/{name}/partition"):
        return re.sub(r"(?<=\d)p\d+$|(?<=[a-z])\d+$", "", name)
    return name


def _kind(tree: Tree, device: str) -> DiskKind:
    if device.startswith("mmcblk"):
        return "emmc" if tree.text(f"{_BLOCK}/{device}/device/type") == "MMC" else "sd"
    if device.startswith("nvme"):
        return "nvme"
    if re.match(r"[vx]d[a-z]|xvd", device):
        return "virtual"
    if device.startswith("sd"):
        if "/usb" in tree.target(f"{_BLOCK}/{device}"):
            return "usb"
        return "hdd" if tree.number(f"{_BLOCK}/{device}/queue/rotational") else "ssd"
    return "unknown"
