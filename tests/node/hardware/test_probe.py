"""What is seen on boards that are not here."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from node.hardware.found import Hardware
from node.hardware.probe import probe
from node.hardware.processor import count_of_ranges
from node.hardware.tree import Tree

Board = Callable[..., Hardware]


def test_pi5(board: Board) -> None:
    found = board("pi5")
    assert found.board.compatible[0] == "raspberrypi,5-model-b"
    assert (found.processor.model, found.processor.cores) == ("Cortex-A76", 4)
    assert {"asimddp", "atomics"} <= found.processor.features
    assert "i8mm" not in found.processor.features
    assert (found.memory.total_mb, found.memory.swap_on_disk) == (4248, False)
    assert found.hottest is not None
    assert (found.hottest.name, found.hottest.now_c, found.hottest.critical_c) == ("cpu-thermal", 52.35, 110.0)
    assert (found.throttling.known, found.throttling.now, found.throttling.since_boot) == (True, (), ())
    assert [(one.source, one.name) for one in found.cameras] == [
        ("picamera", "imx708"),
        ("/dev/video8", "HD USB Camera: HD USB Camera"),
    ]
    assert (found.disk.device, found.disk.kind, found.disk.size_mb) == ("mmcblk0", "sd", 31914)
    assert found.watchdog is not None
    assert (found.watchdog.device, found.watchdog.active, found.watchdog.timeout_s) == ("/dev/watchdog0", True, 15)


def test_pi4_with_a_weak_supply(board: Board) -> None:
    found = board("pi4")
    assert found.processor.model == "Cortex-A72"
    assert "asimddp" not in found.processor.features
    assert found.throttling.now == ("under-voltage", "throttled")
    assert found.throttling.since_boot == ("under-voltage", "throttled")
    assert found.memory.swap_on_disk
    assert [one.source for one in found.cameras] == ["picamera"]
    assert found.disk.device == "mmcblk0"
    assert found.watchdog is not None
    assert found.watchdog.active is False


def test_zero2w(board: Board) -> None:
    found = board("zero2w")
    assert (found.processor.model, found.memory.total_mb) == ("Cortex-A53", 447)
    assert (found.throttling.now, found.throttling.since_boot) == ((), ("soft temperature limit",))
    assert found.cameras == ()


def test_orin_nano(board: Board) -> None:
    found = board("orin-nano")
    assert [(one.kind, one.driver) for one in found.accelerators] == [("cuda", "L4T 36.4.3")]
    assert found.hottest is not None
    # A sensor that is switched off says -256, and is no cold sensor.
    assert (found.hottest.name, found.hottest.passive_c) == ("cpu-thermal", 99.0)
    assert [one.source for one in found.cameras] == ["picamera"]
    assert (found.disk.kind, found.disk.device) == ("nvme", "nvme0n1")
    assert found.watchdog is not None
    assert found.watchdog.active is None


def test_closet(board: Board) -> None:
    found = board("closet")
    assert found.board.model == "Dell Inc. OptiPlex 7050"
    assert (found.processor.cores, "avx2" in found.processor.features) == (8, True)
    assert found.hottest is not None
    assert found.hottest.name == "x86_pkg_temp"
    assert found.throttling.since_boot == ("throttled",)
    assert [(one.name, one.driver) for one in found.accelerators] == [("NVIDIA RTX A2000", "550.54.14")]
    assert found.disk.kind == "ssd"
    assert found.watchdog is None


def test_a_driver_without_its_device_is_no_accelerator(board: Board) -> None:
    assert board("closet", {"dev/nvidia0": None}).accelerators == ()


def test_a_disk_on_usb(plant: Callable[..., Tree]) -> None:
    tree = plant("closet", {"devices/pci0/usb2/2-1/block/sda/queue/rotational": "1", "sys/class/block/sda/size": None})
    (tree.root / "sys/class/block/sda/queue/rotational").unlink()
    (tree.root / "sys/class/block/sda/queue").rmdir()
    (tree.root / "sys/class/block/sda").rmdir()
    os.symlink(tree.root / "devices/pci0/usb2/2-1/block/sda", tree.root / "sys/class/block/sda")
    assert probe(tree, "x86_64").disk.kind == "usb"


def test_a_container_with_a_limit(board: Board) -> None:
    assert board("closet", {"sys/fs/cgroup/memory.max": "536870912\n"}).memory.usable_mb == 536
    assert board("closet", {"sys/fs/cgroup/memory.max": "max\n"}).memory.usable_mb == 16656


@pytest.mark.parametrize("path", ["proc/cpuinfo", "proc/meminfo", "proc/self/mountinfo", "sys/class/thermal/x"])
@pytest.mark.parametrize("content", ["", "\0\xff", "processor\nFeatures\n: :\nMemTotal: many kB", "1 2 3"])
def test_what_can_not_be_read_is_absent(board: Board, path: str, content: str) -> None:
    assert board("unknown", {path: content}).processor.cores >= 1


def test_a_machine_that_tells_nothing(tmp_path: Path) -> None:
    found = probe(Tree(tmp_path / "nothing"), "aarch64")
    assert (found.processor.cores, found.memory.total_mb, found.disk.kind) == (1, 0, "unknown")


def test_this_machine() -> None:
    found = probe()
    assert found.processor.cores >= 1
    assert found.memory.total_mb > 100


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)), min_size=1, max_size=6))
def test_a_list_of_the_kernel_counts_what_it_lists(parts: list[tuple[int, int]]) -> None:
    text = ",".join(str(first) if not more else f"{first}-{first + more}" for first, more in parts)
    assert count_of_ranges(text) == sum(more + 1 for _, more in parts)


@given(st.text(max_size=20))
@example("\u00b9")
def test_a_list_that_is_none_counts_no_core(text: str) -> None:
    assert count_of_ranges(text) >= 0 or any(one in "-0123456789" for one in text)
