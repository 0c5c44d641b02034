"""Debian systems in folders, made once by debootstrap, used through an overlay that is thrown away.

Their own command, as root, with the network for the first run:

    sudo .venv/bin/pytest -m slow tests/install/test_real_roots.py
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

SUITE = "bookworm"
MIRROR = os.environ.get("KINFLOW_DEBIAN")
# What a Raspberry Pi OS or a Debian has anyway, and no more: no pip, no venv, no compiler.
PACKAGES = {
    "amd64": "ca-certificates,python3,systemd,systemd-sysv,dbus,iproute2",
    "arm64": "ca-certificates,python3",
}
BINFMT = Path("/proc/sys/fs/binfmt_misc")


def require(*tools: str) -> None:
    """Skip, saying what is missing."""
    if os.geteuid() != 0:
        pytest.skip("making and entering a root needs root: run this as root")
    missing = [tool for tool in tools if shutil.which(tool) is None]
    if missing:
        pytest.skip(
            f"{', '.join(missing)} missing: sudo apt-get install debootstrap systemd-container qemu-user-static"
        )


def require_arm64() -> None:
    """The kernel hands arm64 programs to qemu."""
    require("debootstrap", "unshare", "chroot", "qemu-aarch64-static")
    if not (BINFMT / "register").exists():
        subprocess.run(["mount", "-t", "binfmt_misc", "binfmt_misc", BINFMT], check=False)
    if not (BINFMT / "qemu-aarch64").exists() and shutil.which("update-binfmts"):
        subprocess.run(["update-binfmts", "--enable", "qemu-aarch64"], check=False)
    if not (BINFMT / "qemu-aarch64").exists():
        pytest.skip("this kernel does not hand arm64 programs to qemu (binfmt_misc)")


def base_root(arch: str) -> Path:
    """The untouched system; about two minutes the first time."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "kinflow" / "roots"
    made = cache / f"{SUITE}-{arch}"
    if made.is_dir():
        return made
    part = cache / f".{made.name}.part"
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    foreign = ["--foreign"] if arch == "arm64" and os.uname().machine != "aarch64" else []
    command = ["debootstrap", *foreign, f"--arch={arch}", "--variant=minbase", f"--include={PACKAGES[arch]}"]
    subprocess.run([*command, SUITE, part, *filter(None, [MIRROR])], check=True)
    if foreign:
        shutil.copy("/usr/bin/qemu-aarch64-static", part / "usr" / "bin")
        subprocess.run(["chroot", part, "/debootstrap/debootstrap", "--second-stage"], check=True)
    part.rename(made)
    return made


@contextmanager
def overlay(base: Path, folder: Path) -> Iterator[Path]:
    """A root to write into; `base` stays as it is."""
    upper, work, root = folder / "upper", folder / "work", folder / "root"
    for one in (upper, work, root):
        one.mkdir(parents=True)
    options = f"lowerdir={base},upperdir={upper},workdir={work}"
    subprocess.run(["mount", "-t", "overlay", "overlay", "-o", options, root], check=True)
    try:
        yield root
    finally:
        subprocess.run(["umount", "--recursive", root], check=True)


@contextmanager
def mounted(root: Path, **places: Path | str) -> Iterator[None]:
    """proc, sys and dev in a root, and folders of ours: `usb=…` at /usb. Undone by overlay()."""
    subprocess.run(["mount", "-t", "proc", "proc", root / "proc"], check=True)
    # opencv's and onnxruntime's cpuinfo read /sys.
    for name in ("sys", "dev"):
        subprocess.run(["mount", "--rbind", f"/{name}", root / name], check=True)
        # Else taking it away here would take it away there.
        subprocess.run(["mount", "--make-rslave", root / name], check=True)
    for name, source in places.items():
        (root / name).mkdir(exist_ok=True)
        subprocess.run(["mount", "--bind", str(source), root / name], check=True)
    yield
