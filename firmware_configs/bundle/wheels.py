"""Fill a folder with wheels for another machine: what Kinflow needs, and Kinflow itself."""

from __future__ import annotations

import os
import shutil
import tempfile
import tomllib
from collections.abc import Iterable, Sequence
from pathlib import Path

from firmware_configs.bundle.target import Target
from firmware_configs.bundle.tool import ToolFailed, pip, run
from firmware_configs.errors import WheelsMissing

# 1980 is the earliest that a zip can tell; any constant makes the wheel's bytes depend on its content alone.
EPOCH = "315532800"
# What each wheel of llama-cpp-python imports; the last is never used (CVE-2025-69872), only imported.
LLAMA_NEEDS = ("typing_extensions", "numpy", "jinja2", "diskcache")


def requirements(tree: Path, tiers: Iterable[str], *, llama: bool) -> list[str]:
    """What pyproject.toml names for these tiers."""
    project = tomllib.loads((tree / "pyproject.toml").read_text("utf-8"))["project"]
    extras = [one for tier in tiers for one in project["optional-dependencies"][tier]]
    return sorted({*project["dependencies"], *extras, *(LLAMA_NEEDS if llama else ())})


def version_of(tree: Path) -> str:
    return str(tomllib.loads((tree / "pyproject.toml").read_text("utf-8"))["project"]["version"])


def fetch(wheels: Path, needed: Sequence[str], tree: Path, target: Target, python: str) -> None:
    """Download what is needed, and pip, as wheels for that machine and Python. Raises WheelsMissing (KF247)."""
    platforms = [word for tag in target.platforms for word in ("--platform", tag)]
    command = pip("download", "--quiet", "--only-binary", ":all:", "--implementation", "cp", *platforms)
    constraints = tree / "constraints.txt"
    try:
        run([*command, "--python-version", python, "-d", str(wheels), "-c", str(constraints), *needed, "pip"])
    except ToolFailed as error:
        raise WheelsMissing(arch=target.arch, python=python, detail=error) from error


def build_own(wheels: Path, tree: Path) -> None:
    """Kinflow's own wheel, from a copy of the tree: a build leaves folders behind, and takes along what an earlier one
    has left. Raises WheelsMissing (KF247)."""
    with tempfile.TemporaryDirectory(prefix="kinflow-wheel-") as name:
        copy = Path(name) / "tree"
        shutil.copytree(tree, copy, ignore=_not_packed)
        command = pip("wheel", "--quiet", "--no-deps", "--wheel-dir", str(wheels), str(copy))
        try:
            run(command, environment={**os.environ, "SOURCE_DATE_EPOCH": EPOCH})
        except ToolFailed as error:
            raise WheelsMissing(arch="any", python="3", detail=error) from error


def _not_packed(folder: str, names: list[str]) -> set[str]:
    hidden = {name for name in names if name.startswith(".") or name == "__pycache__" or name.endswith(".egg-info")}
    return hidden | ({"tests", "docs", "build"} & set(names) if Path(folder, "pyproject.toml").is_file() else set())
