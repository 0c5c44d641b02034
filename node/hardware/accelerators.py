"""Accelerators that are there. Whether a library can use one is another question: see builds.py."""

from __future__ import annotations

import re

from node.hardware.found import Accelerator
from node.hardware.tree import Tree

_GPUS = "proc/driver/nvidia/gpus"
_DRIVER = re.compile(r"(?:Kernel Module(?: for \S+)?)\s+(\d+(?:\.\d+)+)")
_TEGRA_RELEASE = re.compile(r"# R(\d+) \(release\), REVISION: ([\d.]+)")
_TEGRA_GPUS = ("dev/nvhost-gpu", "dev/nvgpu/igpu0", "dev/nvhost-ctrl-gpu")


def find_accelerators(tree: Tree) -> tuple[Accelerator, ...]:
    return (*_nvidia(tree), *_tegra(tree), *_others(tree))


def _nvidia(tree: Tree) -> list[Accelerator]:
    """Cards whose driver is loaded and whose device node is there; one without the other can't be used."""
    nodes = [name for name in tree.names("dev") if re.fullmatch(r"nvidia\d+", name)]
    driver = _DRIVER.search(tree.text("proc/driver/nvidia/version"))
    found = []
    for place in tree.names(_GPUS):
        information = tree.text(f"{_GPUS}/{place}/information")
        fields = {key.strip(): value.strip() for key, _, value in map(_halves, information.splitlines())}
        minor = fields.get("Device Minor", "")
        if f"nvidia{minor}" in nodes or (not minor and nodes):
            name = fields.get("Model", "NVIDIA")
            found.append(Accelerator(kind="cuda", name=name, driver=driver[1] if driver else ""))
    return found


def _tegra(tree: Tree) -> list[Accelerator]:
    """The GPU inside a Jetson, which shares the board's memory."""
    if not any(tree.exists(one) for one in _TEGRA_GPUS):
        return []
    release = _TEGRA_RELEASE.search(tree.text("etc/nv_tegra_release"))
    driver = f"L4T {release[1]}.{release[2]}" if release else ""
    return [Accelerator(kind="cuda", name="NVIDIA Tegra (integrated)", driver=driver)]


def _others(tree: Tree) -> list[Accelerator]:
    found = []
    for name in tree.names("dev"):
        if re.fullmatch(r"hailo\d+", name):
            found.append(Accelerator(kind="hailo", name=name, driver=tree.text("sys/module/hailo_pci/version")))
        elif re.fullmatch(r"apex_\d+", name):
            found.append(Accelerator(kind="coral", name=name, driver=tree.text("sys/module/apex/version")))
    return found


def _halves(line: str) -> tuple[str, str, str]:
    return line.partition(":")
