"""Making a version: an environment of its own from a bundle's wheels, in its place, marked unfinished until whole.

It is not moved afterwards: the programs of an environment name their interpreter by its path. Nothing points at it
before it is whole, and what was cut off is begun anew. install.sh makes the first version in the same way.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import subprocess
import sys
from pathlib import Path

from node.errors import VersionUnfit
from node.update.bundle import Manifest
from node.update.durable import sync_folder
from node.update.places import UNFINISHED, Places

PIP_TIMEOUT_S = 3_600
_LLAMA = {
    "arm64": (("armv8.2-a+dotprod", ("asimddp",)), ("armv8-a", ())),
    "x86_64": (("x86-64-v3", ("avx2", "fma", "f16c", "bmi2")), ("x86-64-v2", ("sse4_2",))),
}


def make_version(bundle: Path, manifest: Manifest, places: Places) -> None:
    """Install a verified bundle's folder as `places.version(manifest.version)`; it is whole and on the disk when this
    returns. Raises VersionUnfit (KF182), or OSError: a full disk among them."""
    python = f"{sys.version_info[0]}.{sys.version_info[1]}"
    if python not in manifest.python:
        detail = f"it has wheels for Python {', '.join(manifest.python)}, and this is {python}"
        raise VersionUnfit(version=manifest.version, detail=detail)
    folder = places.version(manifest.version)
    remove_version(places, manifest.version)
    folder.mkdir(parents=True)
    (folder / UNFINISHED).touch()
    interpreter = os.path.realpath(getattr(sys, "_base_executable", sys.executable))
    _run(manifest.version, [interpreter, "-I", "-m", "venv", "--without-pip", str(folder)])
    _run(manifest.version, _pip_install(bundle, manifest, folder))
    for kind in ("models", "maps"):
        if (bundle / kind).is_dir():
            shutil.copytree(bundle / kind, folder / kind)
    if not os.access(folder / "bin" / "kinflow", os.X_OK):
        raise VersionUnfit(version=manifest.version, detail="its bundle holds no kinflow command")
    # All of it first, the mark's removal after it: a power cut must not leave holes in what looks whole.
    os.sync()
    (folder / UNFINISHED).unlink()
    sync_folder(folder)


def remove_version(places: Places, version: str) -> None:
    """Delete a version; a part that is left of it can't be taken for a whole one. Raises OSError."""
    folder = places.version(version)
    if folder.is_dir():
        # The mark needs a little room, which a disk that this version has filled does not have.
        with contextlib.suppress(OSError):
            (folder / UNFINISHED).touch()
        (folder / "bin" / "kinflow").unlink(missing_ok=True)
        shutil.rmtree(folder)


def fitting_llama(wheels: Path, arch: str, cpuinfo: str) -> str | None:
    """The build of llama.cpp in a bundle that a processor with these flags can run; None when there is none."""
    lines = [line for line in cpuinfo.splitlines() if line.startswith(("flags", "Features"))]
    flags = set(lines[0].partition(":")[2].split()) if lines else set()
    for name, needed in _LLAMA.get(arch, ()):
        if flags.issuperset(needed) and (wheels / "llama" / name).is_dir():
            return name
    return None


def _pip_install(bundle: Path, manifest: Manifest, folder: Path) -> list[str]:
    """A bundle is closed: every wheel in it is installed, so nothing has to be resolved, and nothing is fetched."""
    wheels = bundle / "wheels"
    pip = sorted(wheels.glob("pip-*.whl"))
    if not pip:
        raise VersionUnfit(version=manifest.version, detail="its bundle holds no pip")
    names = sorted({path.name.partition("-")[0] for path in wheels.glob("*.whl")})
    places = ["--find-links", str(wheels)]
    variant = fitting_llama(wheels, manifest.arch, _cpuinfo())
    if variant is not None:
        places += ["--find-links", str(wheels / "llama" / variant)]
        names.append("llama_cpp_python")
    options = ["--no-index", "--no-deps", "--no-cache-dir", "--disable-pip-version-check", "--no-input", "--quiet"]
    return [str(folder / "bin" / "python"), "-I", str(pip[-1] / "pip"), "install", *options, *places, *names]


def _run(version: str, command: list[str]) -> None:
    try:
        done = subprocess.run(
            command, env=clean_environment(), capture_output=True, text=True, timeout=PIP_TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise VersionUnfit(version=version, detail=f"its installation took more than {PIP_TIMEOUT_S} s") from error
    if done.returncode == 0:
        return
    said = [line for line in (done.stderr + done.stdout).splitlines() if line.strip()]
    if any(os.strerror(errno.ENOSPC) in line for line in said):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    detail = said[-1].strip()[:200] if said else f"it ended with status {done.returncode}"
    raise VersionUnfit(version=version, detail=f"its installation failed: {detail}")


def clean_environment(**more: str) -> dict[str, str]:
    """What a child gets: nothing that points it at another Python's packages or at another pip's settings."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "PIP_", "VIRTUAL_ENV"))}
    return {**kept, "PIP_CONFIG_FILE": os.devnull, **more}


def _cpuinfo() -> str:
    try:
        return Path("/proc/cpuinfo").read_text("ascii", errors="replace")
    except OSError:
        return ""
