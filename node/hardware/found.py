"""What a probe finds, as values that go into JSON as they are. Sizes in MB (10^6 bytes), temperatures in degrees C."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

DiskKind = Literal["sd", "emmc", "nvme", "ssd", "hdd", "usb", "virtual", "unknown"]


class Board(Struct, frozen=True, kw_only=True):
    """model: in its maker's words. compatible: the device tree's names for it, the most exact one first."""

    model: str = ""
    compatible: tuple[str, ...] = ()


class Processor(Struct, frozen=True, kw_only=True):
    """features: the kernel's own words for what its instructions can do (asimddp, i8mm, avx2, avx512f, ...)."""

    architecture: str
    model: str = ""
    cores: int = 1
    features: frozenset[str] = frozenset()


class Memory(Struct, frozen=True, kw_only=True):
    """available_mb: what can be had without swapping. limit_mb: what the control group allows, None without a limit."""

    total_mb: int = 0
    available_mb: int = 0
    swap_mb: int = 0
    swap_on_disk: bool = False
    limit_mb: int | None = None

    @property
    def usable_mb(self) -> int:
        return self.total_mb if self.limit_mb is None else min(self.total_mb, self.limit_mb)


class ThermalZone(Struct, frozen=True, kw_only=True):
    """passive_c: where the kernel begins to slow down; critical_c: where it switches off."""

    name: str
    now_c: float | None = None
    passive_c: float | None = None
    critical_c: float | None = None


class Throttling(Struct, frozen=True, kw_only=True):
    """now: what holds back the processor at this moment; since_boot: what has done so since it was switched on."""

    known: bool = False
    now: tuple[str, ...] = ()
    since_boot: tuple[str, ...] = ()


class CameraFound(Struct, frozen=True, kw_only=True):
    """source: what `--camera` takes."""

    source: str
    name: str
    kind: Literal["usb", "csi"]


class Accelerator(Struct, frozen=True, kw_only=True):
    """kind: cuda, hailo or coral. driver: its version, empty where it can't be told."""

    kind: Literal["cuda", "hailo", "coral"]
    name: str
    driver: str = ""


class Builds(Struct, frozen=True, kw_only=True):
    """What the installed libraries were built for; None where a library is not installed or does not load."""

    onnxruntime: tuple[str, ...] | None = None
    llama_gpu: bool | None = None


class Disk(Struct, frozen=True, kw_only=True):
    """The disk under the root folder."""

    device: str = ""
    kind: DiskKind = "unknown"
    size_mb: int | None = None


class Watchdog(Struct, frozen=True, kw_only=True):
    """active: whether somebody feeds it, None where the kernel does not tell."""

    device: str
    identity: str = ""
    timeout_s: int | None = None
    active: bool | None = None


class Hardware(Struct, frozen=True, kw_only=True):
    """One machine, at one moment."""

    board: Board
    processor: Processor
    memory: Memory
    thermal: tuple[ThermalZone, ...] = ()
    throttling: Throttling = Throttling()
    cameras: tuple[CameraFound, ...] = ()
    accelerators: tuple[Accelerator, ...] = ()
    builds: Builds = Builds()
    disk: Disk = Disk()
    watchdog: Watchdog | None = None

    @property
    def hottest(self) -> ThermalZone | None:
        zones = [one for one in self.thermal if one.now_c is not None]
        return max(zones, key=lambda one: one.now_c or 0.0, default=None)
