"""The machines that bundles are made for: what pip calls them, and which builds of llama.cpp they may need."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Arch = Literal["arm64", "x86_64"]

# Ubuntu 22.04 and JetPack 6 have the oldest C library of the systems that Kinflow is installed on.
OLDEST_GLIBC_MINOR = 35


@dataclass(frozen=True)
class Variant:
    """One build of llama.cpp. flags: of CMake. install.sh (fitting_variant) knows what each needs of a processor."""

    name: str
    flags: tuple[str, ...]


@dataclass(frozen=True)
class Target:
    """machine: as the kernel names it. variants: the plainest first. compiler: the prefix of a compiler for it."""

    arch: Arch
    machine: str
    variants: tuple[Variant, ...]
    compiler: str

    @property
    def platforms(self) -> tuple[str, ...]:
        """Every platform tag whose wheels run on all the systems, the newest first."""
        newer = tuple(f"manylinux_2_{minor}_{self.machine}" for minor in range(OLDEST_GLIBC_MINOR, 4, -1))
        return (*newer, f"manylinux2014_{self.machine}", f"linux_{self.machine}")


def _x86(*extensions: str) -> tuple[str, ...]:
    known = ("SSE42", "AVX", "AVX2", "FMA", "F16C", "BMI2")
    return tuple(f"-DGGML_{one}={'ON' if one in extensions else 'OFF'}" for one in known)


TARGETS: dict[str, Target] = {
    "arm64": Target(
        "arm64",
        "aarch64",
        (
            Variant("armv8-a", ("-DGGML_CPU_ARM_ARCH=armv8-a",)),
            Variant("armv8.2-a+dotprod", ("-DGGML_CPU_ARM_ARCH=armv8.2-a+dotprod",)),
        ),
        "aarch64-linux-gnu-",
    ),
    "x86_64": Target(
        "x86_64",
        "x86_64",
        (
            Variant("x86-64-v2", _x86("SSE42")),
            Variant("x86-64-v3", _x86("SSE42", "AVX", "AVX2", "FMA", "F16C", "BMI2")),
        ),
        "x86_64-linux-gnu-",
    ),
}
