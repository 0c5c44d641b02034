"""Hardware profiles: what is known of a kind of board beyond what a probe can see. Adding one is adding a file."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from node.hardware.found import Hardware

GENERIC = "generic"


class Known(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One file of profiles/. compatible: the device tree's names that it stands for, by any of them."""

    title: str
    compatible: tuple[str, ...]
    architecture: str
    reserve_mb: Annotated[int, Meta(ge=0)]
    unit_share: Annotated[float, Meta(gt=0.0, le=1.0)]
    spare_cores: Annotated[int, Meta(ge=0)]
    camera: tuple[int, int]
    warm_c: float
    hot_c: float


class Size(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one detector or one member asks for."""

    name: str
    memory_mb: int
    cores: int = 1
    aarch64: tuple[str, ...] = ()
    x86_64: tuple[str, ...] = ()

    def features(self, architecture: str) -> tuple[str, ...]:
        return {"aarch64": self.aarch64, "x86_64": self.x86_64}.get(architecture, ())


class Sizes(Struct, frozen=True, forbid_unknown_fields=True):
    """From the smallest to the largest."""

    detector: tuple[Size, ...]
    member: tuple[Size, ...]


@cache
def profiles() -> dict[str, Known]:
    folder = files(__package__) / "profiles"
    return {
        file.name.removesuffix(".toml"): msgspec.toml.decode(file.read_bytes(), type=Known)
        for file in sorted(folder.iterdir(), key=lambda one: one.name)
        if file.name.endswith(".toml")
    }


@cache
def sizes() -> Sizes:
    return msgspec.toml.decode((files(__package__) / "sizes.toml").read_bytes(), type=Sizes)


def choose(hardware: Hardware, known: dict[str, Known]) -> str:
    """The profile whose board this is; else the one of its architecture that names no board; else the generic one."""
    for name in hardware.board.compatible:
        for profile, one in known.items():
            if name in one.compatible:
                return profile
    for profile, one in known.items():
        if not one.compatible and one.architecture == hardware.processor.architecture:
            return profile
    return GENERIC
