"""The machines that bundles are made for: what pip calls them, and which builds of llama.cpp they may need."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from pathlib import Path
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
    """machine: as the kernel names it. variants: the plainest first. compiler: the prefix of a compiler for it.
    native: built for the machine that builds, whatever its C library."""

    arch: Arch
    machine: str
    variants: tuple[Variant, ...]
    compiler: str
    native: bool = False

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


# What a build needs of a processor, in the kernel's words, the most able first; install.sh (fitting_variant) chooses
# alike. Not all that the processor claims is used: virtual machines claim more (AMX) than they let a program do.
NEEDS: dict[str, frozenset[str]] = {
    "x86-64-v3": frozenset({"avx2", "fma", "f16c", "bmi2"}),
    "x86-64-v2": frozenset({"sse4_2"}),
    "armv8.2-a+dotprod": frozenset({"asimddp"}),
    "armv8-a": frozenset({"asimd"}),
}


def here(cpuinfo: Path = Path("/proc/cpuinfo")) -> Target:
    """This very machine: the most able build that its processor runs, against its own C library, which names it too."""
    machine = platform.machine()
    abilities = _abilities(cpuinfo)
    known = {
        variant.name: variant for target in TARGETS.values() if target.machine == machine for variant in target.variants
    }
    fitting = [known[name] for name, needs in NEEDS.items() if name in known and needs <= abilities]
    # A processor that nobody has tried gets what its compiler makes for it.
    plain = fitting[0] if fitting else Variant("plain", ())
    variant = Variant(f"{plain.name}-glibc-{platform.libc_ver()[1] or 'other'}", plain.flags)
    return Target("arm64" if machine == "aarch64" else "x86_64", machine, (variant,), "", native=True)


def _abilities(cpuinfo: Path) -> frozenset[str]:
    """What the kernel says of the first processor: `flags` on x86, `Features` on ARM."""
    try:
        lines = cpuinfo.read_text("utf-8", "replace").splitlines()
    except OSError:
        return frozenset()
    line = next((line for line in lines if line.startswith(("flags", "Features"))), "")
    return frozenset(line.partition(":")[2].split())
