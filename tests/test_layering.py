"""Imports run one way (docs/architecture.md), and agent, edge server and cloud never import one another."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

LINTER = Path(sys.executable).with_name("lint-imports")


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    return subprocess.run(
        [LINTER, "--no-cache"], cwd=folder, env=environment, capture_output=True, text=True, timeout=60, check=False
    )


def packages(repository: Path) -> list[str]:
    return tomllib.loads((repository / "pyproject.toml").read_text())["tool"]["importlinter"]["root_packages"]


@pytest.fixture
def empty_copy(repository: Path, tmp_path: Path) -> Path:
    """Every package's name with nothing in it, under the repository's own contract."""
    shutil.copy(repository / "pyproject.toml", tmp_path)
    for package in packages(repository):
        (tmp_path / package).mkdir()
        (tmp_path / package / "__init__.py").touch()
        (tmp_path / package / "part.py").touch()
    return tmp_path


def test_the_repository_keeps_the_rule(repository: Path) -> None:
    done = lint(repository)
    assert done.returncode == 0, done.stdout


def test_every_package_in_the_repository_is_under_the_rule(repository: Path) -> None:
    found = {init.parent.name for init in repository.glob("*/__init__.py")}
    assert found == set(packages(repository))


def test_the_empty_copy_keeps_the_rule(empty_copy: Path) -> None:
    done = lint(empty_copy)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("importer", "imported"),
    [
        ("protocol", "node"),
        ("node", "models"),
        ("models", "agent"),
        ("agent", "edge_server"),
        ("edge_server", "agent"),
        ("edge_server", "cloud"),
        ("cloud", "agent"),
        ("agent", "sim_devices"),
        ("sim_devices", "benchmarks"),
        ("benchmarks", "kinflow"),
    ],
)
def test_a_planted_violation_is_found(empty_copy: Path, importer: str, imported: str) -> None:
    (empty_copy / importer / "part.py").write_text(f"import {imported}.part\n")
    done = lint(empty_copy)
    assert done.returncode != 0
    assert f"{importer}.part -> {imported}.part" in done.stdout
